/* Opens files. `loop THREADS COUNT FILE`: each thread opens it so many times; says its pid first, and
   how many opens failed last. `handle FILE`: opens it by its handle. `kept`: tells how many of its own
   descriptors are fanotify groups. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *name;
static long count;
static atomic_long failed;

static void *loop(void *unused) {
    for (long i = 0; i < count; i++) {
        int fd = open(name, O_RDONLY);
        if (fd < 0 || close(fd)) failed++;
    }
    return unused;
}

static int by_handle(const char *path) {
    static struct {
        struct file_handle head;
        char room[MAX_HANDLE_SZ];
    } handle = {.head.handle_bytes = MAX_HANDLE_SZ};
    int mount, here = open(".", O_RDONLY | O_DIRECTORY);
    if (here < 0 || name_to_handle_at(AT_FDCWD, path, &handle.head, &mount, 0)) return 2;
    int fd = open_by_handle_at(here, &handle.head, O_RDONLY);
    puts(fd < 0 ? strerrorname_np(errno) : "ok");
    return fd < 0;
}

static int kept(void) {
    DIR *all = opendir("/proc/self/fd");
    int groups = 0;
    for (struct dirent *one; all && (one = readdir(all));) {
        char link[512], text[256] = "";
        snprintf(link, sizeof link, "/proc/self/fd/%s", one->d_name);
        if (readlink(link, text, sizeof text - 1) > 0) groups += !!strstr(text, "fanotify");
    }
    printf("%d\n", groups);
    return 0;
}

int main(int argc, char **argv) {
    pthread_t threads[64];
    if (argc > 2 && !strcmp(argv[1], "handle")) return by_handle(argv[2]);
    if (argc > 1 && !strcmp(argv[1], "kept")) return kept();
    if (argc < 5) return 2;
    int number = atoi(argv[2]);
    if (number < 1 || number > 64) return 2;
    count = atol(argv[3]);
    name = argv[4];
    printf("%d\n", getpid());
    fflush(stdout);
    for (int i = 0; i < number; i++)
        if (pthread_create(&threads[i], 0, loop, 0)) return 2;
    for (int i = 0; i < number; i++) pthread_join(threads[i], 0);
    printf("%ld\n", failed);
    return failed != 0;
}
