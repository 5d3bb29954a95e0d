/* One system call by its number; `high` is stat of `f` with the upper half of rax set. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int main(int argc, char **argv) {
    static struct stat st;
    long number = argc > 1 ? atol(argv[1]) : 0, result;
    if (argc > 1 && !strcmp(argv[1], "high")) number = 4 | (1l << 40);
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"("f"), "S"(&st), "d"(0L)
                     : "rcx", "r11", "memory");
    printf("%s\n", result < 0 ? strerrorname_np((int)-result) : "ok");
    return 0;
}
