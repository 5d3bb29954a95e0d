/* Leaves a process behind, in the way its first argument names. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static int ready[2], rootgone[2];

static void *linger(void *unused) {
    for (;;) pause();
    return unused;
}

static void survive(const char *how) {
    char byte;
    if (!strcmp(how, "quick")) { /* ends by itself, once the root process has */
        close(rootgone[1]);
        if (write(ready[1], "x", 1) != 1 || read(rootgone[0], &byte, 1) < 0) _exit(1);
        _exit(open("f", O_RDONLY) < 0);
    }
    for (int fd = 0; fd < 3; fd++) close(fd);
    if (!strcmp(how, "stubborn"))
        for (int i = 1; i < 32; i++) signal(i, SIG_IGN);
    if (!strcmp(how, "threads")) {
        pthread_t thread;
        for (int i = 0; i < 4; i++) pthread_create(&thread, 0, linger, 0);
    }
    if (open("f", O_RDONLY) < 0 || write(ready[1], "x", 1) != 1) _exit(1);
    close(ready[1]);
    if (!strcmp(how, "stopped")) raise(SIGSTOP);
    for (;;) pause();
}

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "";
    char byte;
    if (pipe(ready) || pipe(rootgone)) return 1;
    if (!fork()) {
        setsid();
        if (!strcmp(how, "plain")) survive(how);
        if (!fork()) survive(how);
        _exit(0);
    }
    close(rootgone[0]), close(ready[1]);
    if (read(ready[0], &byte, 1) != 1) return 2;
    /* A stopped one first lets go of the pipe. */
    if (!strcmp(how, "stopped") && read(ready[0], &byte, 1) != 0) return 3;
    return 0;
}
