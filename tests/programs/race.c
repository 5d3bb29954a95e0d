/* One process renames directories and replaces and removes files in them, another meanwhile opens
   those files and makes others there: whoever comes first. `race N` does so in N directories. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char names[2][64];

static const char *at(int round, char directory, const char *file) {
    static int next;
    char *name = names[next = !next];
    snprintf(name, sizeof *names, "%c%d%s", directory, round, file);
    return name;
}

static void put(const char *name) {
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd >= 0) close(fd);
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 1, status;
    pid_t child = fork();
    if (child < 0) return 2;
    for (int i = 0; i < rounds; i++) {
        if (child) {
            mkdir(at(i, 'a', ""), 0755);
            put(at(i, 'a', "/new"));
            rename(at(i, 'a', "/new"), at(i, 'a', "/f"));
            rename(at(i, 'a', ""), at(i, 'b', ""));
            unlink(at(i, 'b', "/f"));
            unlink(at(i, 'b', "/g"));
        } else {
            int fd = open(at(i, 'a', "/f"), O_RDONLY);
            if (fd >= 0) close(fd);
            put(at(i, 'a', "/g"));
            put(at(i, 'b', "/g"));
            unlink(at(i, 'a', "/g"));
        }
    }
    if (!child) _exit(0);
    return waitpid(child, &status, 0) != child || status;
}
