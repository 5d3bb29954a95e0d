/* Work under disturbance. `alarms FLAGS`: threads open files while a timer fires a thousand times a
 * second. `stops`: a busy process is stopped and continued fifty times. `kills`: a hundred busy
 * processes are killed in mid-work. `execs`: busy threads lose their process to an exec. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static atomic_int failures;
static volatile sig_atomic_t alarms;

static void note(int signal) {
    (void)signal;
    alarms++;
}

static void once(void) {
    struct stat st;
    int fd = open("f", O_RDONLY);
    if (fd < 0 || close(fd) || !stat("no", &st) || errno != ENOENT) failures++;
}

static void *some(void *unused) {
    for (int i = 0; i < 500; i++) once();
    return unused;
}

static void *forever(void *unused) {
    for (;;) once();
    return unused;
}

static void *execute(void *program) {
    execl(program, program, "stat :g &buf", (char *)0);
    return 0;
}

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "";
    pthread_t threads[4];
    int status, bad = 0;
    signal(SIGTERM, SIG_DFL); /* whatever we were started with */
    if (!strcmp(how, "alarms")) {
        struct sigaction action = { .sa_flags = argc > 2 ? SA_RESTART : 0 };
        struct itimerval often = { { 0, 1000 }, { 0, 1000 } }, never = { { 0, 0 }, { 0, 0 } };
        action.sa_handler = note;
        sigaction(SIGALRM, &action, 0);
        setitimer(ITIMER_REAL, &often, 0);
        for (int i = 0; i < 4; i++) pthread_create(&threads[i], 0, some, 0);
        for (int i = 0; i < 4; i++) pthread_join(threads[i], 0);
        while (!alarms) once();
        setitimer(ITIMER_REAL, &never, 0);
        printf("%d failures\n", failures);
    } else if (!strcmp(how, "stops")) {
        pid_t child = fork();
        if (!child) {
            for (int i = 0; i < 4; i++) pthread_create(&threads[i], 0, forever, 0);
            forever(0);
        }
        for (int i = 0; i < 50; i++) {
            kill(child, SIGSTOP);
            if (waitpid(child, &status, WUNTRACED) != child || !WIFSTOPPED(status)) bad++;
            kill(child, SIGCONT);
            if (waitpid(child, &status, WCONTINUED) != child || !WIFCONTINUED(status)) bad++;
        }
        kill(child, SIGTERM);
        waitpid(child, &status, 0);
        printf("%d failures, signal %d\n", bad, WTERMSIG(status));
    } else if (!strcmp(how, "kills")) {
        atomic_int *started = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        for (int i = 0; i < 100; i++) {
            *started = 0;
            pid_t child = fork();
            if (!child) {
                for (int k = 0; k < i % 3; k++) pthread_create(&threads[k], 0, forever, 0);
                for (int k = 0;; k++, once()) *started = k;
            }
            while (*started < 1 + i % 7) sched_yield();
            kill(child, SIGKILL);
            if (waitpid(child, &status, 0) != child || WTERMSIG(status) != SIGKILL) bad++;
        }
        printf("%d failures\n", bad);
    } else if (!strcmp(how, "execs")) {
        for (int i = 0; i < 30; i++) {
            pid_t child = fork();
            if (!child) {
                for (int k = 0; k < 3; k++) pthread_create(&threads[k], 0, forever, 0);
                pthread_create(&threads[3], 0, execute, argv[2]);
                forever(0);
            }
            if (waitpid(child, &status, 0) != child || status) bad++;
        }
        printf("%d failures\n", bad);
    } else {
        return 99;
    }
    return 0;
}
