/* `uffd`: a userfaultfd by the device. `ring`: io_uring by the C library's numbers, used to open `f`
 * if the kernel lets us, by open if not. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "uffd")) {
        int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
        int fd = device < 0 ? -1 : ioctl(device, _IO(0xAA, 0), O_CLOEXEC);
        printf("%s\n", fd < 0 ? strerrorname_np(errno) : "ok");
        return 0;
    }
    struct io_uring_params params = { 0 };
    long ring = syscall(SYS_io_uring_setup, 4, &params);
    printf("%s\n", ring < 0 ? strerrorname_np(errno) : "ok");
    return open("f", O_RDONLY) < 0;
}
