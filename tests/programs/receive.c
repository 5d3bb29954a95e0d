/* Receives two descriptors on descriptor 3; reads the first, writes the second. */
#include "passfd.h"
#include <stdio.h>
#include <unistd.h>

int main(void) {
    char buf[64];
    int in = receive_fd(3), out = receive_fd(3);
    long n = read(in, buf, sizeof buf);
    printf("%ld %ld\n", n, n > 0 ? (long)write(out, buf, (size_t)n) : -1);
    return 0;
}
