/* A program at a terminal; its first argument says what it does. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static volatile sig_atomic_t got;

static void note(int signal) {
    got = signal;
}

static void size(void) {
    struct winsize w = { 0 };
    ioctl(0, TIOCGWINSZ, &w);
    dprintf(1, "%dx%d\n", w.ws_row, w.ws_col);
}

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "";
    char line[256];
    sigset_t all, none;
    sigfillset(&all), sigemptyset(&none);
    if (open("f", O_RDONLY) < 0) return 98;
    if (!strcmp(how, "look")) {
        dprintf(1, "%d%d%d %d %d ", isatty(0), isatty(1), isatty(2), tcgetpgrp(0) == getpgrp(),
               tcgetsid(0) == getsid(0));
        size();
        int tty = open("/dev/tty", O_RDWR);
        dprintf(1, "%s\n", tty < 0 ? "no /dev/tty" : "/dev/tty");
        return 0;
    }
    if (!strcmp(how, "wait")) {
        dprintf(1, "ready\n");
        for (;;) pause();
    }
    if (!strcmp(how, "catch")) {
        sigprocmask(SIG_SETMASK, &all, 0);
        for (int i = 1; i < 32; i++)
            if (i != SIGKILL && i != SIGSTOP) signal(i, note);
        dprintf(1, "ready\n");
        sigsuspend(&none);
        dprintf(1, "caught %d\n", (int)got);
        return 5;
    }
    if (!strcmp(how, "job")) { /* goes on after a stop */
        sigset_t cont;
        sigemptyset(&cont), sigaddset(&cont, SIGCONT);
        sigprocmask(SIG_BLOCK, &cont, 0);
        signal(SIGCONT, note);
        dprintf(1, "ready\n");
        while (!got) sigsuspend(&none);
        dprintf(1, "continued\nready\n");
        if (!fgets(line, sizeof line, stdin)) return 1;
        dprintf(1, "read %s", line);
        return 3;
    }
    if (!strcmp(how, "stop-itself")) {
        raise(SIGSTOP);
        dprintf(1, "and on\n");
        return 4;
    }
    if (!strcmp(how, "read")) {
        dprintf(1, "ready\n");
        dprintf(1, "read %s", fgets(line, sizeof line, stdin) ? line : "nothing\n");
        return 0;
    }
    if (!strcmp(how, "resized")) {
        sigset_t winch;
        int signal;
        sigemptyset(&winch), sigaddset(&winch, SIGWINCH);
        sigprocmask(SIG_BLOCK, &winch, 0);
        dprintf(1, "ready\n");
        sigwait(&winch, &signal);
        size();
        return 0;
    }
    return 99;
}
