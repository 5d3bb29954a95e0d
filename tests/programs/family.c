/* A process with a thread, a child, a stopped child and a daemon; prints "ready" when all are there. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static int ready[2];

static void *linger(void *unused) {
    for (;;) pause();
    return unused;
}

static void live(void) {
    if (open("f", O_RDONLY) < 0 || write(ready[1], "x", 1) != 1) _exit(1);
    for (;;) pause();
}

int main(void) {
    pthread_t thread;
    char byte;
    int status;
    if (pipe(ready)) return 1;
    pthread_create(&thread, 0, linger, 0);
    if (!fork()) live();
    if (!fork()) {
        setsid();
        if (!fork()) live();
        _exit(0);
    }
    pid_t stopped = fork();
    if (!stopped) {
        raise(SIGSTOP);
        _exit(0);
    }
    waitpid(stopped, &status, WUNTRACED);
    for (int i = 0; i < 2; i++)
        if (read(ready[0], &byte, 1) != 1) return 1;
    printf("ready\n");
    fflush(stdout);
    for (;;) pause();
}
