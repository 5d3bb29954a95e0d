/* threadexec FILE PROGRAM…: opens the file in the first thread and executes the program from another,
 * while a third runs. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static void *execute(void *argv) {
    char **words = argv;
    execv(words[0], words);
    perror("execv");
    return 0;
}

static void *linger(void *unused) {
    for (;;) pause();
    return unused;
}

int main(int argc, char **argv) {
    pthread_t a, b;
    if (argc < 3 || open(argv[1], O_RDONLY) < 0) return 1;
    pthread_create(&a, 0, linger, 0);
    pthread_create(&b, 0, execute, argv + 2);
    pthread_join(b, 0);
    return 1;
}
