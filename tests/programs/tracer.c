/* Uses ptrace: `traceme`, `attach` or `seize` (a child that waits), then opens `f`. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>


int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "";
    long result = -1;
    int error = 0;
    if (!strcmp(how, "traceme")) {
        int status;
        fflush(stdout);
        pid_t child = fork();
        if (!child) {
            result = ptrace(PTRACE_TRACEME, 0, 0, 0);
            _exit(result ? errno : 0);
        }
        waitpid(child, &status, 0);
        error = WEXITSTATUS(status);
    } else {
        int go[2];
        char byte;
        if (pipe(go)) return 1;
        pid_t child = fork();
        if (!child) {
            close(go[1]);
            _exit(read(go[0], &byte, 1) < 0);
        }
        result = ptrace(!strcmp(how, "seize") ? PTRACE_SEIZE : PTRACE_ATTACH, child, 0, 0);
        error = result ? errno : 0;
        if (!result) kill(child, SIGKILL);
        close(go[1]);
        waitpid(child, 0, 0);
    }
    printf("%s\n", error ? strerrorname_np(error) : "ok");
    return open("f", O_RDONLY) < 0;
}
