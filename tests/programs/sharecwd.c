/* Two threads share one current directory until one of them unshares it. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static struct stat st;

static void *share(void *unused) {
    (void)unused;
    return (void *)(long)chdir("d");
}

static void *apart(void *unused) {
    (void)unused;
    long bad = unshare(CLONE_FS) | chdir("e") | !stat("g", &st);
    return (void *)bad;
}

static int run(void *(*f)(void *)) {
    pthread_t thread;
    void *result;
    if (pthread_create(&thread, 0, f, 0) || pthread_join(thread, &result)) return 1;
    return result != 0;
}

int main(void) {
    if (run(share) || open("f", O_RDONLY) < 0) return 1;
    if (run(apart)) return 2;
    return stat("g", &st) ? 0 : 3;
}
