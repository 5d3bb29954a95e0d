/* Ends in the way its first argument names, with threads and children about. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int ready[2];

static void *work(void *name) {
    int fd = open(name, O_RDONLY);
    if (write(ready[1], "x", 1) != 1) abort();
    for (;;) pause();
    return (void *)(long)fd;
}

static void *leave(void *unused) {
    syscall(SYS_exit_group, 7);
    return unused;
}

static void *crash(void *unused) {
    raise(SIGSEGV);
    return unused;
}

static void *last(void *unused) {
    int fd = open("g", O_RDONLY);
    exit(fd < 0);
    return unused;
}

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "";
    pthread_t thread, other;
    char byte;
    if (pipe(ready)) return 99;
    if (!strcmp(how, "core")) { /* a crash that leaves a core file in the cwd */
        struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
        if (setrlimit(RLIMIT_CORE, &unlimited)) return 98;
        abort();
    }
    if (!strcmp(how, "child-core")) {
        struct rlimit some = { 1 << 26, 1 << 26 };
        int status;
        if (setrlimit(RLIMIT_CORE, &some)) return 98;
        pid_t pid = fork();
        if (!pid) abort();
        waitpid(pid, &status, 0);
        printf("%d %d\n", WTERMSIG(status), !!WCOREDUMP(status));
        return 0;
    }
    if (!strcmp(how, "leader-first")) { /* the first thread ends, another goes on */
        pthread_create(&thread, 0, last, 0);
        pthread_exit(0);
    }
    if (!strcmp(how, "orphans")) { /* the middle process ends first; the grandchild is reparented */
        int gone[2];
        if (pipe(gone)) return 98;
        pid_t middle = fork();
        if (!middle) {
            if (!fork()) {
                close(gone[1]);
                if (read(gone[0], &byte, 1) < 0) _exit(1); /* until the middle one is gone */
                int fd = open("f", O_RDONLY);
                if (write(ready[1], fd < 0 ? "n" : "y", 1) < 0) _exit(1);
                _exit(0);
            }
            _exit(0);
        }
        close(gone[1]), close(gone[0]), close(ready[1]);
        waitpid(middle, 0, 0);
        if (read(ready[0], &byte, 1) != 1) return 97;
        return byte != 'y' || read(ready[0], &byte, 1) != 0; /* and until the grandchild is */
    }
    if (!strcmp(how, "subreaper")) { /* reaps its orphaned grandchild itself */
        int status;
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        pid_t middle = fork();
        if (!middle) {
            if (!fork()) _exit(open("f", O_RDONLY) < 0 ? 1 : 5);
            _exit(0);
        }
        waitpid(middle, 0, 0);
        if (wait(&status) < 0) return 96;
        printf("grandchild %d\n", WEXITSTATUS(status));
        return 0;
    }
    if (!strcmp(how, "unwaited")) { /* the kernel reaps them, as SIGCHLD is ignored */
        signal(SIGCHLD, SIG_IGN);
        for (int i = 0; i < 20; i++)
            if (!fork()) _exit(open("f", O_RDONLY) < 0);
        int status;
        long gone = wait(&status);
        printf("%ld\n", gone);
        return 0;
    }
    if (!strcmp(how, "bereaved")) { /* a child that wants to die with its parent */
        int gone[2];
        if (pipe(gone)) return 98;
        pid_t middle = fork();
        if (!middle) {
            if (!fork()) {
                close(gone[0]);
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (open("f", O_RDONLY) < 0 || write(ready[1], "x", 1) != 1) _exit(1);
                for (;;) pause();
            }
            _exit(read(ready[0], &byte, 1) != 1);
        }
        close(gone[1]);
        return read(gone[0], &byte, 1) != 0; /* the end of the grandchild */
    }
    if (!strcmp(how, "zombies")) { /* children that nobody waits for */
        for (int i = 0; i < 20; i++)
            if (!fork()) _exit(open("f", O_RDONLY) < 0);
        siginfo_t info;
        for (int i = 0; i < 1; i++) waitid(P_ALL, 0, &info, WEXITED | WNOWAIT);
        close(ready[1]);
        return 0;
    }
    pthread_create(&other, 0, work, "f");
    if (read(ready[0], &byte, 1) != 1) return 95;
    if (!strcmp(how, "thread-exits")) pthread_create(&thread, 0, leave, 0);
    else if (!strcmp(how, "thread-crashes")) pthread_create(&thread, 0, crash, 0);
    else if (!strcmp(how, "killed")) kill(getpid(), SIGKILL);
    else return 99;
    for (;;) pause();
}
