/* Has `x` made and removed by somebody else (see meddle.c), and opens it each time. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 0, there = 0, gone = 0;
    char byte = 'x';
    for (int i = 0; i < 2 * rounds; i++) {
        if (write(8, &byte, 1) != 1 || read(9, &byte, 1) != 1) return 1;
        int fd = open("x", O_RDONLY);
        if (fd >= 0) there++, close(fd);
        else gone++;
    }
    printf("%d there, %d gone\n", there, gone);
    return 0;
}
