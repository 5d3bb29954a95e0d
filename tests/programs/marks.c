/* marks MODE PROGRAM [NAME=VALUE…]: executes a program with exactly this environment, in one of
 * several ways; `then` first tries to execute a directory with it. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char **environment, *program;

static int execute(void) {
    char *argv[] = { program, 0 };
    execve(program, argv, environment);
    perror(program);
    _exit(1);
}

static void *in_thread(void *unused) {
    execute();
    return unused;
}

/* Changes the last letter of the first variable for ever. */
static void *change(void *unused) {
    volatile char *last = environment[0] + strlen(environment[0]) - 1;
    for (;;) *last = *last == 'a' ? 'b' : 'a';
    return unused;
}

int main(int argc, char **argv) {
    pthread_t thread;
    if (argc < 3) return 2;
    const char *mode = argv[1];
    program = argv[2];
    environment = argv + 3;
    if (!strcmp(mode, "vfork")) {
        int status = 0;
        if (!vfork()) execute();
        wait(&status);
        return WEXITSTATUS(status);
    }
    if (!strcmp(mode, "thread")) {
        pthread_create(&thread, 0, in_thread, 0);
        pthread_join(thread, 0);
    }
    if (!strcmp(mode, "at")) {
        char *words[] = { program, 0 };
        int fd = open(program, O_PATH | O_CLOEXEC);
        syscall(SYS_execveat, fd, "", words, environment, AT_EMPTY_PATH);
        perror("execveat");
        return 1;
    }
    if (!strcmp(mode, "changing")) {
        pthread_create(&thread, 0, change, 0);
    }
    if (!strcmp(mode, "refused")) {
        char *words[] = { program, 0 };
        if (!execve("/", words, environment)) return 1;
        char *none[] = { 0 };
        environment = none;
    }
    return execute();
}
