/* `handle show PATH` prints what identifies a file to its file system; `handle open DIRECTORY TEXT`
   opens the file that another process has printed so. DIRECTORY is any of the same file system. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    struct file_handle *handle = malloc(sizeof *handle + MAX_HANDLE_SZ);
    if (argc < 3 || !handle) return 2;
    if (!strcmp(argv[1], "show")) {
        int mount;
        handle->handle_bytes = MAX_HANDLE_SZ;
        if (name_to_handle_at(AT_FDCWD, argv[2], handle, &mount, 0)) return perror(argv[2]), 1;
        printf("%d", handle->handle_type);
        for (unsigned i = 0; i < handle->handle_bytes; i++) printf(",%u", handle->f_handle[i]);
        return 0;
    }
    if (argc < 4) return 2;
    int directory = open(argv[2], O_RDONLY | O_DIRECTORY);
    handle->handle_type = atoi(argv[3]);
    handle->handle_bytes = 0;
    for (char *next = strchr(argv[3], ','); next && handle->handle_bytes < MAX_HANDLE_SZ;
         next = strchr(next + 1, ','))
        handle->f_handle[handle->handle_bytes++] = atoi(next + 1);
    if (open_by_handle_at(directory, handle, O_RDONLY) < 0) return perror("open_by_handle_at"), 1;
    return 0;
}
