/* Signals with all that belongs to them; prints what it saw. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static volatile sig_atomic_t count, on_other_stack;
static siginfo_t last;
static char *other_stack;
static int feed = -1;

static void note(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)context;
    char here;
    last = *info;
    count++;
    on_other_stack = other_stack && &here >= other_stack && &here < other_stack + (1 << 14);
    if (feed >= 0 && write(feed, "x", 1) != 1) abort();
}

static void skip(int signal, siginfo_t *info, void *context) {
    note(signal, info, context);
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 2; /* ud2, and div of two bytes */
}

static void handle(int number, void (*f)(int, siginfo_t *, void *), int flags) {
    struct sigaction action = { .sa_flags = SA_SIGINFO | flags };
    action.sa_sigaction = f;
    sigaction(number, &action, 0);
}

static void tick(long microseconds) {
    struct itimerval t = { { 0, microseconds }, { 0, microseconds } };
    setitimer(ITIMER_REAL, &t, 0);
}

static void *wait_thread(void *set) {
    int number = 0;
    sigwait(set, &number);
    return (void *)(long)number;
}

int main(void) {
    union sigval value = { .sival_int = 4242 };
    sigset_t set, old;
    siginfo_t info;
    char byte;
    int pair[2], status;

    handle(SIGUSR1, note, 0);
    sigqueue(getpid(), SIGUSR1, value);
    printf("queue %d %d %d %d\n", last.si_code, last.si_value.sival_int, last.si_pid == getpid(),
           last.si_uid == getuid());
    kill(getpid(), SIGUSR1);
    printf("kill %d %d\n", last.si_code, last.si_pid == getpid());
    syscall(SYS_tgkill, getpid(), getpid(), SIGUSR1);
    printf("tgkill %d\n", last.si_code);

    /* Real-time signals queue, in order, each with its value. */
    sigemptyset(&set), sigaddset(&set, SIGRTMIN + 3), sigaddset(&set, SIGRTMAX);
    sigprocmask(SIG_BLOCK, &set, &old);
    pid_t child = fork();
    if (!child) {
        for (value.sival_int = 1; value.sival_int <= 3; value.sival_int++)
            sigqueue(getppid(), SIGRTMIN + 3, value);
        _exit(sigqueue(getppid(), SIGRTMAX, value) != 0);
    }
    for (int i = 0; i < 4; i++) {
        int number = sigwaitinfo(&set, &info);
        printf("real-time %d %d %d\n", number, info.si_value.sival_int, info.si_pid == child);
    }
    waitpid(child, 0, 0);

    /* The death, stop and continuation of a child. */
    sigemptyset(&set), sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, 0);
    if (pipe(pair)) return 1;
    child = fork();
    if (!child) {
        raise(SIGSTOP);
        _exit(read(pair[0], &byte, 1) == 1 ? 17 : 18);
    }
    sigwaitinfo(&set, &info);
    printf("child %d %d %d\n", info.si_code, info.si_status, info.si_pid == child);
    printf("wait %d ", waitpid(child, &status, WUNTRACED) == child);
    printf("%d\n", WIFSTOPPED(status) ? WSTOPSIG(status) : -1);
    kill(child, SIGCONT);
    printf("wait %d ", waitpid(child, &status, WCONTINUED) == child);
    printf("%d\n", WIFCONTINUED(status));
    if (write(pair[1], "x", 1) != 1) return 1;
    waitpid(child, &status, 0);
    printf("ended %d\n", WEXITSTATUS(status));
    child = fork();
    if (!child) for (;;) pause();
    kill(child, SIGSTOP);
    waitpid(child, &status, WUNTRACED);
    printf("stopped %d\n", WSTOPSIG(status));
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    printf("killed %d\n", WTERMSIG(status));
    sigprocmask(SIG_SETMASK, &old, 0);

    /* Faults. */
    handle(SIGILL, skip, 0);
    __asm__ volatile("ud2");
    printf("ill %d\n", last.si_code);
    handle(SIGFPE, skip, 0);
    __asm__ volatile("xor %%edx, %%edx\n xor %%ecx, %%ecx\n mov $1, %%eax\n div %%ecx"
                     ::: "eax", "ecx", "edx");
    printf("fpe %d\n", last.si_code);
    handle(SIGTRAP, note, 0);
    __asm__ volatile("int3");
    printf("int3 %d\n", last.si_code);
    raise(SIGTRAP);
    printf("trap %d\n", last.si_code);
    static char alternate[1 << 14];
    stack_t stack = { .ss_sp = alternate, .ss_size = sizeof alternate };
    other_stack = alternate;
    sigaltstack(&stack, 0);
    handle(SIGUSR2, note, SA_ONSTACK);
    raise(SIGUSR2);
    printf("stack %d\n", (int)on_other_stack);

    /* A blocking call is interrupted, or goes on by itself. */
    handle(SIGALRM, note, 0);
    tick(2000);
    errno = 0;
    long n = read(pair[0], &byte, 1);
    printf("read %ld %s\n", n, strerrorname_np(errno));
    tick(0);
    handle(SIGALRM, note, SA_RESTART);
    feed = pair[1];
    tick(2000);
    printf("restarted %ld\n", (long)read(pair[0], &byte, 1));
    tick(0), feed = -1;

    /* The same for an open that blocks. */
    mkfifo("pipe", 0600);
    handle(SIGALRM, note, 0);
    tick(2000);
    errno = 0;
    int fd = open("pipe", O_RDONLY);
    printf("open %d %s\n", fd, strerrorname_np(errno));
    tick(0);
    handle(SIGALRM, note, SA_RESTART);
    feed = pair[1];
    tick(2000);
    child = fork();
    if (!child) { /* opens the other end once the parent has been interrupted three times */
        for (int i = 0; i < 3; i++)
            if (read(pair[0], &byte, 1) != 1) _exit(1);
        _exit(open("pipe", O_WRONLY) < 0);
    }
    fd = open("pipe", O_RDONLY);
    tick(0), feed = -1;
    printf("open %d\n", fd >= 0);
    waitpid(child, 0, 0);

    /* Sleeps keep their end: nanosleep interrupted by a signal that has no handler goes on. */
    struct timespec some = { 0, 30000000 }, from, to;
    signal(SIGALRM, SIG_IGN);
    tick(2000);
    clock_gettime(CLOCK_MONOTONIC, &from);
    int slept = nanosleep(&some, 0);
    clock_gettime(CLOCK_MONOTONIC, &to);
    tick(0);
    printf("sleep %d %d\n", slept, (to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000 >= 30);
    child = fork();
    if (!child) {
        /* Stopped and continued, a sleep with a restart block goes on too. */
        struct timespec t = { 0, 50000000 };
        _exit(nanosleep(&t, 0) ? errno : 0);
    }
    for (int i = 0; i < 3; i++) {
        kill(child, SIGSTOP);
        if (waitpid(child, &status, WUNTRACED) != child || !WIFSTOPPED(status)) break;
        kill(child, SIGCONT);
        waitpid(child, &status, WCONTINUED);
    }
    waitpid(child, &status, 0);
    printf("stopped sleep %d\n", status);

    /* Timers with a value, signals by descriptor, signals to threads. */
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 5 };
    event.sigev_value.sival_int = 77;
    timer_t timer;
    sigemptyset(&set), sigaddset(&set, SIGRTMIN + 5);
    sigprocmask(SIG_BLOCK, &set, 0);
    timer_create(CLOCK_MONOTONIC, &event, &timer);
    struct itimerspec soon = { { 0, 0 }, { 0, 1000000 } };
    timer_settime(timer, 0, &soon, 0);
    sigwaitinfo(&set, &info);
    printf("timer %d %d\n", info.si_code, info.si_value.sival_int);
    sigemptyset(&set), sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, 0);
    int by = signalfd(-1, &set, 0);
    struct signalfd_siginfo told;
    kill(getpid(), SIGTERM);
    printf("signalfd %d ", read(by, &told, sizeof told) == sizeof told);
    printf("%d\n", (int)told.ssi_signo);
    sigemptyset(&set), sigaddset(&set, SIGRTMIN + 7);
    sigprocmask(SIG_BLOCK, &set, 0);
    pthread_t thread;
    void *number;
    pthread_create(&thread, 0, wait_thread, &set);
    pthread_kill(thread, SIGRTMIN + 7);
    pthread_join(thread, &number);
    printf("thread %ld\n", (long)number);
    return 0;
}
