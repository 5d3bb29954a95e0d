/* Goes down fifty directories with names of 200 bytes, making them, and works at the bottom: a path
 * of ten thousand bytes, longer than any call takes. Then comes up again and removes all. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv) {
    static char name[201];
    static struct stat st;
    int by_cwd = argc > 1 && !strcmp(argv[1], "cwd"), at[51];
    memset(name, 'd', 200);
    at[0] = open(".", O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < 50; i++) {
        if (mkdirat(at[i], name, 0755)) return 1;
        at[i + 1] = openat(at[i], name, O_RDONLY | O_DIRECTORY);
        if (at[i + 1] < 0) return 2;
    }
    if (by_cwd && fchdir(at[50])) return 3;
    int bottom = by_cwd ? AT_FDCWD : at[50];
    int fd = openat(bottom, "f", O_WRONLY | O_CREAT, 0644);
    if (fd < 0 || fchmod(fd, 0600)) return 4;
    if (!fstatat(bottom, "no", &st, 0) || unlinkat(bottom, "f", 0)) return 5;
    if (by_cwd && fchdir(at[0])) return 6;
    for (int i = 49; i >= 0; i--)
        if (unlinkat(at[i], name, AT_REMOVEDIR)) return 7;
    return 0;
}
