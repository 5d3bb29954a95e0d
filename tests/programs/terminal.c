/* terminal SCENARIO COMMAND…: a terminal with a person and a shell. Runs the command as a job on a
 * new pseudo-terminal, types what the scenario says each time the job has printed "ready", lets a
 * stopped job go on in the foreground, and prints what came on the screen and what became of the
 * job. Nothing here waits for time to pass. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static const struct scenario {
    const char *name, *typed[2];
    int background, resize, hangup;
} scenarios[] = {
    { "plain", { 0, 0 }, 0, 0, 0 },
    { "ctrl-c", { "\003", 0 }, 0, 0, 0 },
    { "ctrl-backslash", { "\034", 0 }, 0, 0, 0 },
    { "ctrl-z", { "\032", "line\n" }, 0, 0, 0 },
    { "ctrl-d", { "\004", 0 }, 0, 0, 0 },
    { "line", { "line\n", 0 }, 0, 0, 0 },
    { "background", { "line\n", 0 }, 1, 0, 0 },
    { "resize", { "", 0 }, 0, 1, 0 },
    { "hangup", { "", 0 }, 0, 0, 1 },
};

static void must(long result, const char *what) {
    if (result >= 0) return;
    perror(what);
    _exit(97);
}

static pid_t job;

/* A shell passes a hangup on to its jobs. */
static void hang_up(int number) {
    kill(-job, number);
}

/* The session's leader, as a shell would be: one job, its stops and its end. */
static void shell(const struct scenario *s, const char *name, int report, int opened, char **argv) {
    int start[2];
    char byte;
    must(setsid(), "setsid");
    int tty = open(name, O_RDWR);
    must(tty, name);
    close(opened);
    must(ioctl(tty, TIOCSCTTY, 0), "TIOCSCTTY");
    struct termios settings;
    must(tcgetattr(tty, &settings), "tcgetattr");
    settings.c_lflag &= ~(tcflag_t)ECHO;
    settings.c_lflag |= NOFLSH; /* a key that signals doesn't swallow the answer */
    must(tcsetattr(tty, TCSANOW, &settings), "tcsetattr");
    struct winsize size = { .ws_row = 24, .ws_col = 80 };
    must(ioctl(tty, TIOCSWINSZ, &size), "TIOCSWINSZ");
    must(pipe(start), "pipe");
    job = fork();
    must(job, "fork");
    if (!job) {
        setpgid(0, 0);
        close(start[1]);
        if (read(start[0], &byte, 1) < 0) _exit(97);
        close(start[0]), close(report);
        for (int i = 1; i < 32; i++) signal(i, SIG_DFL); /* whatever we were started with */
        for (int fd = 0; fd < 3; fd++) dup2(tty, fd);
        close(tty);
        execv(argv[0], argv);
        _exit(97);
    }
    signal(SIGTTOU, SIG_IGN);
    setpgid(job, job);
    signal(SIGHUP, hang_up);
    if (!s->background) must(tcsetpgrp(tty, job), "tcsetpgrp");
    close(start[0]), close(start[1]);
    for (;;) {
        int status;
        must(waitpid(job, &status, WUNTRACED), "waitpid");
        if (WIFSTOPPED(status)) {
            dprintf(report, "stopped %d\n", WSTOPSIG(status));
            must(tcsetpgrp(tty, job), "tcsetpgrp");
            kill(-job, SIGCONT);
            continue;
        }
        if (WIFSIGNALED(status)) dprintf(report, "signal %d\n", WTERMSIG(status));
        else dprintf(report, "exit %d\n", WEXITSTATUS(status));
        _exit(0);
    }
}

int main(int argc, char **argv) {
    const struct scenario *s = scenarios, *end = s + sizeof scenarios / sizeof *scenarios;
    if (argc < 3) return 97;
    while (s < end && strcmp(s->name, argv[1])) s++;
    if (s == end) return 97;
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), reports[2], opened[2];
    must(master, "posix_openpt");
    must(grantpt(master), "grantpt");
    must(unlockpt(master), "unlockpt");
    char *name = strdup(ptsname(master));
    int hold = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC); /* until the shell has it open */
    must(hold, name);
    must(pipe2(reports, O_CLOEXEC), "pipe2");
    must(pipe2(opened, O_CLOEXEC), "pipe2");
    pid_t leader = fork();
    must(leader, "fork");
    if (!leader) {
        close(master), close(hold), close(reports[0]), close(opened[0]);
        shell(s, name, reports[1], opened[1], argv + 2);
    }
    char byte;
    close(reports[1]), close(opened[1]);
    must(read(opened[0], &byte, 1), "read");
    close(hold);
    static char screen[1 << 16];
    size_t used = 0, seen = 0;
    int typed = 0;
    for (int open_master = 1; open_master;) {
        long n = read(master, screen + used, sizeof screen - used - 1);
        if (n <= 0) break;
        used += (size_t)n;
        for (char *ready; (ready = strstr(screen + seen, "ready\r\n")) != 0;) {
            seen = (size_t)(ready - screen) + 7;
            const char *keys = typed < 2 ? s->typed[typed++] : 0;
            if (!keys) continue;
            if (s->resize) {
                struct winsize size = { .ws_row = 33, .ws_col = 99 };
                must(ioctl(master, TIOCSWINSZ, &size), "TIOCSWINSZ");
            }
            if (s->hangup) { close(master), open_master = 0; break; }
            must(write(master, keys, strlen(keys)), "write");
        }
    }
    for (size_t i = 0; i < used; i++)
        if (screen[i] != '\r') putchar(screen[i]);
    char line[256];
    for (long n; (n = read(reports[0], line, sizeof line)) > 0;) fwrite(line, 1, (size_t)n, stdout);
    must(waitpid(leader, 0, 0), "waitpid");
    return 0;
}
