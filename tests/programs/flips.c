/* flips victim N: for each i below N tells the attacker (descriptor 3) to begin, opens fI at the
   same time, prints which file that was, and waits for the attacker (descriptor 4).
   flips attacker N: puts a link to oI in the place of fI each time it is told to.
   flips both N: the one forks the other. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int attack(int from, int to, long n)
{
    char byte, link[32], file[32];
    for (long i = 0; i < n; i++) {
        if (read(from, &byte, 1) != 1)
            return 1;
        snprintf(link, sizeof link, "l%ld", i);
        snprintf(file, sizeof file, "f%ld", i);
        if (rename(link, file) || write(to, &byte, 1) != 1)
            return 2;
    }
    return 0;
}

static int suffer(int to, int from, long n)
{
    char byte = 0, file[32], other[32];
    struct stat before, there, got;
    for (long i = 0; i < n; i++) {
        snprintf(file, sizeof file, "f%ld", i);
        snprintf(other, sizeof other, "o%ld", i);
        if (stat(file, &before) || stat(other, &there) || write(to, &byte, 1) != 1)
            return 3;
        /* A little later each time, so that every order happens. */
        for (volatile long wait = 0; wait < i * 50; wait++)
            ;
        int fd = open(file, O_RDONLY);
        if (fd < 0 || fstat(fd, &got))
            return 4;
        close(fd);
        puts(got.st_ino == before.st_ino ? file : got.st_ino == there.st_ino ? other : "?");
        if (read(from, &byte, 1) != 1)
            return 5;
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 9;
    long n = atol(argv[2]);
    if (!strcmp(argv[1], "victim"))
        return suffer(3, 4, n);
    if (!strcmp(argv[1], "attacker"))
        return attack(3, 4, n);
    int go[2], done[2];
    if (pipe(go) || pipe(done))
        return 6;
    if (!fork())
        _exit(attack(go[0], done[1], n));
    return suffer(go[1], done[0], n);
}
