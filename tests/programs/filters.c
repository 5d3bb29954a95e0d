/* Installs a seccomp filter of its own that answers every openat of its child as the first argument
 * says, then opens `f` that way and looks at `g` in another. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int trapped;

static void trap(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)context;
    if (info->si_code == 1 /* SYS_SECCOMP */ && info->si_syscall == SYS_openat)
        trapped = info->si_errno + 1;
}

static long install(unsigned answer, unsigned flags) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, answer),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof code / sizeof *code, code };
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static int use(void) {
    static struct stat st;
    long fd = syscall(SYS_openat, AT_FDCWD, "f", O_RDONLY);
    printf("openat %s", fd < 0 ? strerrorname_np(errno) : "ok");
    printf(" trapped %d stat %s\n", trapped, stat("g", &st) ? "failed" : "ok");
    return 0;
}

/* The filter's listener lets every call go on. */
static int notify(void) {
    int ready[2];
    if (pipe(ready)) return 97;
    long listener = install(SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);
    if (listener < 0) return printf("listener %s\n", strerrorname_np(errno)), 0;
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        use();
        fflush(stdout);
        _exit(0);
    }
    struct seccomp_notif asked;
    struct seccomp_notif_resp answer;
    memset(&asked, 0, sizeof asked);
    if (!ioctl((int)listener, SECCOMP_IOCTL_NOTIF_RECV, &asked)) {
        memset(&answer, 0, sizeof answer);
        answer.id = asked.id, answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
        ioctl((int)listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
    }
    waitpid(child, 0, 0);
    return 0;
}

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "";
    unsigned data = argc > 2 ? (unsigned)strtoul(argv[2], 0, 0) : 0;
    struct sigaction action = { .sa_flags = SA_SIGINFO };
    action.sa_sigaction = trap;
    sigaction(SIGSYS, &action, 0);
    setvbuf(stdout, 0, _IOFBF, 4096);
    if (!strcmp(how, "notify")) return notify();
    if (!strcmp(how, "strict") || !strcmp(how, "strict-breach")) {
        pid_t child = fork();
        if (!child) {
            if (how[6] == '-' ? prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT)
                              : syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, 0))
                _exit(9);
            if (write(1, "strict\n", 7) == 7 && how[6] == '-') syscall(SYS_openat, AT_FDCWD, "f", 0);
            syscall(SYS_exit, 3);
        }
        int status;
        waitpid(child, &status, 0);
        printf("%d\n", status);
        return 0;
    }
    unsigned answer = !strcmp(how, "errno")          ? SECCOMP_RET_ERRNO | data
                      : !strcmp(how, "trap")         ? SECCOMP_RET_TRAP | data
                      : !strcmp(how, "kill-thread")  ? SECCOMP_RET_KILL_THREAD
                      : !strcmp(how, "kill-process") ? SECCOMP_RET_KILL_PROCESS
                      : !strcmp(how, "trace")        ? SECCOMP_RET_TRACE | data
                      : !strcmp(how, "log")          ? SECCOMP_RET_LOG
                                                     : SECCOMP_RET_ALLOW;
    if (install(answer, 0)) return printf("%s\n", strerrorname_np(errno)), 0;
    return use();
}
