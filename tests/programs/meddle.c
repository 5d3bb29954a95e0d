/* meddle WHAT COMMAND…: executes the command with a helper at its side that, at each byte on
 * descriptor 8, does something or undoes it, and answers with a byte on descriptor 9. `file`: makes
 * `x`. `link`: moves the directory `d` to `e` and puts a link in its place. `move`: moves `d` to `e`. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int asked[2], answered[2];
    char byte;
    if (argc < 3 || pipe(asked) || pipe(answered)) return 1;
    if (!fork()) {
        int unused = 0;
        close(asked[1]);
        for (int there = 0; read(asked[0], &byte, 1) == 1; there = !there) {
            if (*argv[1] == 'f' && there) unlink("x");
            else if (*argv[1] == 'f') close(open("x", O_WRONLY | O_CREAT, 0644));
            else if (*argv[1] == 'l' && there) unlink("d"), rename("e", "d");
            else if (*argv[1] == 'l') rename("d", "e"), unused |= symlink("e", "d");
            else if (there) rename("e", "d");
            else rename("d", "e");
            if (write(answered[1], &byte, 1) != 1) break;
        }
        _exit(unused);
    }
    dup2(asked[1], 8), dup2(answered[0], 9);
    close(asked[0]), close(asked[1]), close(answered[0]), close(answered[1]);
    execv(argv[2], argv + 2);
    return 1;
}
