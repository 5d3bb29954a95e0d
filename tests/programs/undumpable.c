/* Forbids others to look into it, then opens `f`, changes the directory, and looks for `no`. */
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void) {
    static struct stat st;
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (open("f", O_RDONLY) < 0 || chdir("d") || open("g", O_RDONLY) < 0) return 1;
    return !stat("no", &st);
}
