/* Copies a program into a memfd and executes that. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv) {
    char *arguments[] = { "program", 0 }, *environment[] = { 0 };
    static char buf[1 << 16];
    long n;
    if (argc < 2) return 1;
    int from = open(argv[1], O_RDONLY), to = memfd_create("program", MFD_CLOEXEC);
    while ((n = read(from, buf, sizeof buf)) > 0)
        if (write(to, buf, (size_t)n) != n) return 1;
    fexecve(to, arguments, environment);
    perror("fexecve");
    return 1;
}
