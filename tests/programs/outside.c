/* outside READ WRITE COMMAND…: opens two files, leaves their descriptors in flight on a socket that
 * becomes descriptor 3, and executes the command. */
#include "passfd.h"
#include <fcntl.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int pair[2];
    if (argc < 4 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) return 1;
    int in = open(argv[1], O_RDONLY), out = open(argv[2], O_WRONLY);
    if (send_fd(pair[0], in) || send_fd(pair[0], out)) return 1;
    close(in), close(out);
    if (pair[1] != 3) dup2(pair[1], 3), close(pair[1]);
    if (pair[0] != 3) close(pair[0]);
    execv(argv[3], argv + 3);
    return 1;
}
