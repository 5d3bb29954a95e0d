/* ask ROUNDS FILE: has something done and undone by somebody else (see meddle.c), and opens the file
 * and looks for `no` beside it before and after. With a third argument it goes to that directory. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 0, there = 0, gone = 0;
    char byte = 'x';
    char beside[64];
    struct stat st;
    if (argc < 3 || (argc > 3 && chdir(argv[3]))) return 1;
    snprintf(beside, sizeof beside, "%.50s-no", argv[2]);
    for (int i = 0; i < 2 * rounds; i++) {
        if (!stat(beside, &st)) return 2;
        if (write(8, &byte, 1) != 1 || read(9, &byte, 1) != 1) return 1;
        int fd = open(argv[2], O_RDONLY);
        if (fd >= 0) there++, close(fd);
        else gone++;
    }
    printf("%d there, %d gone\n", there, gone);
    return 0;
}
