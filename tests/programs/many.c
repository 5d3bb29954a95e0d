/* Load: `threads N M` (each of N threads opens M files, its own and a missing one), `children N`,
 * `churn N` (threads that end at once), `nested N` (a line of forks N deep). */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int each;

static void look(const char *kind, long id, int i) {
    char name[64];
    snprintf(name, sizeof name, "%s/%ld-%d", kind, id, i);
    int fd = open(name, O_RDONLY);
    if (fd >= 0) close(fd);
}

static void *opens(void *id) {
    for (int i = 0; i < each; i++) look("t", (long)id, i);
    return 0;
}

static void *one(void *id) {
    look("c", (long)id, 0);
    return 0;
}

int main(int argc, char **argv) {
    const char *how = argc > 2 ? argv[1] : "";
    int n = argc > 2 ? atoi(argv[2]) : 0;
    each = argc > 3 ? atoi(argv[3]) : 0;
    pthread_t threads[64];
    if (!strcmp(how, "threads")) {
        for (long i = 0; i < n; i++) pthread_create(&threads[i], 0, opens, (void *)i);
        for (int i = 0; i < n; i++) pthread_join(threads[i], 0);
    } else if (!strcmp(how, "churn")) {
        for (long i = 0; i < n; i += 8) {
            for (long k = 0; k < 8; k++) pthread_create(&threads[k], 0, one, (void *)(i + k));
            for (int k = 0; k < 8; k++) pthread_join(threads[k], 0);
        }
    } else if (!strcmp(how, "children")) {
        for (int i = 0; i < n; i++)
            if (!fork()) {
                look("p", i, 0);
                _exit(0);
            }
        while (wait(0) > 0) {}
    } else if (!strcmp(how, "nested")) {
        for (int i = 0; i < n; i++) {
            look("n", i, 0);
            pid_t child = fork();
            if (child) {
                int status;
                waitpid(child, &status, 0);
                _exit(WEXITSTATUS(status));
            }
        }
    } else {
        return 99;
    }
    return 0;
}
