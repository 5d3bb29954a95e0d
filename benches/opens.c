/* opens N FILE: opens and closes one existing file N times. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    for (long n = atol(argv[1]); n > 0; n--) {
        int fd = open(argv[2], O_RDONLY);
        if (fd < 0)
            return 1;
        close(fd);
    }
    return 0;
}
