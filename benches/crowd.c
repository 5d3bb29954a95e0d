/* crowd PROCESSES OPENS NAMES: forks that many processes, eight at a time; each tries to open
   OPENS files of the current directory, taken in turn from NAMES different names. None exists. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    long processes = atol(argv[1]), opens = atol(argv[2]), names = atol(argv[3]);
    long running = 0;
    int status;
    for (long p = 0; p < processes; p++) {
        if (running == 8) {
            if (wait(&status) < 0 || status != 0)
                return 1;
            running--;
        }
        pid_t child = fork();
        if (child < 0)
            return 1;
        if (child == 0) {
            char name[64];
            for (long n = p * opens; n < (p + 1) * opens; n++) {
                snprintf(name, sizeof name, "include/some/header_%07ld.h", n % names);
                if (open(name, O_RDONLY) >= 0)
                    _exit(1);
            }
            _exit(0);
        }
        running++;
    }
    while (running-- > 0)
        if (wait(&status) < 0 || status != 0)
            return 1;
    return 0;
}
