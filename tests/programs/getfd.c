/* A child opens the file; the parent takes the descriptor with pidfd_getfd and reads. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int ready[2], stay[2];
    char buf[64];
    if (argc < 2 || pipe(ready) || pipe(stay)) return 1;
    pid_t child = fork();
    if (!child) {
        int fd = open(argv[1], O_RDONLY);
        close(stay[1]);
        if (write(ready[1], &fd, sizeof fd) < 0) _exit(1);
        _exit(read(stay[0], buf, 1) < 0);
    }
    close(stay[0]);
    int theirs = -1;
    if (read(ready[0], &theirs, sizeof theirs) < 0) return 1;
    int pidfd = (int)syscall(SYS_pidfd_open, child, 0);
    int mine = (int)syscall(SYS_pidfd_getfd, pidfd, theirs, 0);
    printf("%ld\n", (long)read(mine, buf, sizeof buf));
    close(stay[1]);
    waitpid(child, 0, 0);
    return 0;
}
