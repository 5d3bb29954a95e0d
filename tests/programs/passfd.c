/* A child opens the file and sends its descriptor to the parent, who reads. */
#include "passfd.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int pair[2];
    if (argc < 2 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) return 1;
    if (!fork()) {
        int fd = open(argv[1], O_RDONLY);
        _exit(send_fd(pair[1], fd) ? 1 : 0);
    }
    char buf[64];
    int fd = receive_fd(pair[0]), status;
    long n = read(fd, buf, sizeof buf);
    wait(&status);
    printf("%ld %d\n", n, status);
    return 0;
}
