/* flip CALL: a second thread changes the name under the call, all the time, between `yes` (there)
 * and `nop` (not there). Both are one machine word, so the kernel sees one or the other. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static _Alignas(8) _Atomic uint64_t word;
static atomic_int stop;
static uint64_t yes, nop;

static void *flip(void *unused) {
    while (!stop) {
        word = yes;
        word = nop;
    }
    return unused;
}

int main(int argc, char **argv) {
    const char *call = argc > 1 ? argv[1] : "", *name = (const char *)&word;
    static struct stat st;
    pthread_t thread;
    memcpy(&yes, "yes", 3), memcpy(&nop, "nop", 3);
    word = yes;
    pthread_create(&thread, 0, flip, 0);
    for (int i = 0; i < 400; i++) {
        if (!strcmp(call, "open")) close(open(name, O_RDONLY));
        else if (!strcmp(call, "stat")) stat(name, &st);
        else if (!strcmp(call, "access")) access(name, R_OK);
        else if (!strcmp(call, "chmod")) chmod(name, 0644);
        else if (!strcmp(call, "unlink")) {
            if (!unlink(name)) close(open("yes", O_WRONLY | O_CREAT, 0644));
        } else if (!strcmp(call, "rename")) {
            if (!rename(name, "to")) rename("to", "yes");
        }
    }
    stop = 1;
    pthread_join(thread, 0);
    return 0;
}
