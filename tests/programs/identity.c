/* Prints its effective user and group, then opens `f`. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
    printf("%d %d\n", (int)geteuid(), (int)getegid());
    return open("f", O_RDONLY) < 0;
}
