/* Executes a file by a descriptor of its own: execveat with AT_EMPTY_PATH. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv) {
    char *arguments[] = { "program", 0 }, *environment[] = { 0 };
    if (argc < 2) return 1;
    int fd = open(argv[1], O_PATH);
    syscall(SYS_execveat, fd, "", arguments, environment, AT_EMPTY_PATH);
    perror("execveat");
    return 1;
}
