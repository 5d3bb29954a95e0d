/* Makes a child in the way its first argument names; the child opens `f`, the parent then `g`. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int child(void *unused) {
    (void)unused;
    syscall(SYS_exit, syscall(SYS_open, "f", O_RDONLY) < 0);
    return 1;
}

static int finish(long pid) {
    int status = -1;
    if (pid < 0) return printf("%s\n", strerrorname_np(errno)), 0;
    if (waitpid((pid_t)pid, &status, __WALL) != pid) return 2;
    printf("child %d\n", status);
    return open("g", O_RDONLY) < 0;
}

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "";
    if (!strcmp(how, "fork")) {
        pid_t pid = fork();
        if (!pid) child(0);
        return finish(pid);
    }
    if (!strcmp(how, "vfork")) {
        volatile pid_t pid = vfork();
        if (!pid) _exit(open("f", O_RDONLY) < 0);
        return finish(pid);
    }
    if (!strcmp(how, "vforkexec")) {
        volatile pid_t pid = vfork();
        if (!pid) execl(argv[2], argv[2], argv[3], (char *)0), _exit(9);
        return finish(pid);
    }
    if (!strcmp(how, "posix_spawn")) {
        pid_t pid;
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_addopen(&actions, 9, "f", O_RDONLY, 0);
        char *arguments[] = { argv[2], argv[3], 0 }, *environment[] = { 0 };
        errno = posix_spawn(&pid, argv[2], &actions, 0, arguments, environment);
        return finish(errno ? -1 : pid);
    }
    if (!strcmp(how, "clone")) return finish(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) ?: child(0));
    if (!strcmp(how, "clone-nosignal")) return finish(syscall(SYS_clone, 0, 0, 0, 0, 0) ?: child(0));
    if (!strcmp(how, "untraced"))
        return finish(syscall(SYS_clone, CLONE_UNTRACED | SIGCHLD, 0, 0, 0, 0) ?: child(0));
    if (!strcmp(how, "clone3") || !strcmp(how, "clone3-untraced")) {
        struct clone_args args = { .exit_signal = SIGCHLD };
        if (how[6]) args.flags = CLONE_UNTRACED;
        return finish(syscall(SYS_clone3, &args, sizeof args) ?: child(0));
    }
    if (!strcmp(how, "parent")) /* CLONE_PARENT: a grandchild that is our own child */
    {
        int status;
        pid_t middle = fork();
        if (!middle) {
            long pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
            if (!pid) child(0);
            _exit(pid < 0);
        }
        for (int i = 0; i < 2; i++)
            if (wait(&status) < 0 || status) return 3;
        return open("g", O_RDONLY) < 0;
    }
    if (!strcmp(how, "shared-memory")) { /* CLONE_VM with a stack of its own, no thread */
        char *stack = malloc(1 << 16);
        return finish(clone(child, stack + (1 << 16), CLONE_VM | CLONE_FILES | SIGCHLD, 0));
    }
    if (!strcmp(how, "pidfd")) {
        int pidfd = -1;
        return finish(syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, &pidfd, 0, 0) ?: child(0));
    }
    return 99;
}
