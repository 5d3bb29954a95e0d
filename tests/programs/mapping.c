/* Maps `f` shared, gets the right to write afterwards (mprotect), and writes a byte. */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

int main(void) {
    int fd = open("f", O_RDWR);
    char *p = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (p == MAP_FAILED || mprotect(p, 4096, PROT_READ | PROT_WRITE)) return 1;
    p[0] = 'X';
    return 0;
}
