/* poke SIGNAL COMMAND…: sends the signal to the command once it has printed "ready", and prints the
 * rest and its end. With `pipe` for a signal its standard output is a pipe that nobody reads. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int out[2], status;
    if (argc < 3 || pipe(out)) return 97;
    int broken = !strcmp(argv[1], "pipe");
    if (broken) close(out[0]);
    pid_t child = fork();
    if (!child) {
        if (!broken) close(out[0]);
        dup2(out[1], 1), close(out[1]);
        for (int i = 1; i < 32; i++) signal(i, SIG_DFL); /* whatever we were started with */
        execv(argv[2], argv + 2);
        _exit(97);
    }
    close(out[1]);
    if (!broken) {
        FILE *from = fdopen(out[0], "r");
        char line[256];
        while (fgets(line, sizeof line, from)) {
            if (!strcmp(line, "ready\n")) kill(child, atoi(argv[1]));
            else fputs(line, stdout);
        }
    }
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) printf("signal %d\n", WTERMSIG(status));
    else printf("exit %d\n", WEXITSTATUS(status));
    return 0;
}
