/* impostor ANSWER PROGRAM…: traces a program as an airtight would, recording nothing, and gives
 * whoever asks it for a recording this answer: a file whose bytes it sends, after `begin` or `end`
 * and a colon; the other question is answered well. `none:` has no sockets at all. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *which, *file;

static int listen_at(const char *what) {
    char space[64] = { 0 };
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    unsigned long number;
    if (readlink("/proc/self/ns/pid", space, sizeof space - 1) < 0) exit(2);
    if (sscanf(space, "pid:[%lu]", &number) != 1) exit(2);
    int length = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "airtight/%lu/%d/%s",
                          number, getpid(), what);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (void *)&name, sizeof name.sun_family + 1 + length) || listen(fd, 9)) exit(2);
    return fd;
}

static void answer(int listener, const char *what) {
    static char bytes[1 << 16];
    const char *good = "{\"protocol\":1,\"answer\":{\"begun\":{\"marks\":[]}}}\n";
    int fd = accept(listener, 0, 0);
    if (strcmp(what, which)) {
        if (write(fd, good, strlen(good)) < 0) exit(2);
    } else {
        int in = open(file, O_RDONLY);
        ssize_t size = read(in, bytes, sizeof bytes);
        if (size < 0 || write(fd, bytes, size) != size) exit(2);
        close(in);
    }
    close(fd);
}

static void *serve(void *listeners) {
    int *sockets = listeners;
    if (!strcmp(which, "end")) { /* asked for the first time, before the command, for the recording */
        answer(sockets[0], "begin");
        answer(sockets[0], "begin");
        answer(sockets[1], "end");
    } else {
        answer(sockets[0], "begin");
    }
    return 0;
}

int main(int argc, char **argv) {
    static int sockets[2];
    int go[2], status = 0;
    pthread_t thread;
    if (argc < 3 || pipe(go)) return 2;
    which = strsep(&argv[1], ":");
    file = argv[1];
    if (strcmp(which, "none")) {
        sockets[0] = listen_at("begin");
        sockets[1] = listen_at("end");
        pthread_create(&thread, 0, serve, sockets);
    }
    pid_t child = fork();
    if (!child) {
        char byte;
        close(go[1]);
        if (read(go[0], &byte, 1) != 1) _exit(2);
        execvp(argv[2], argv + 2);
        _exit(127);
    }
    long options = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE;
    if (ptrace(PTRACE_SEIZE, child, 0, options) || write(go[1], "x", 1) != 1) return 2;
    for (;;) {
        pid_t stopped = waitpid(-1, &status, __WALL);
        if (stopped < 0) return 2;
        if (WIFSTOPPED(status))
            ptrace(PTRACE_CONT, stopped, 0, status >> 16 ? 0 : WSTOPSIG(status));
        else if (stopped == child)
            break;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}
