/* Does things to files by io_uring alone: no system call names them.
 *
 *   ring [sqpoll] VERB PATH [OTHER] ...
 *
 * VERB: read, write (makes the file), open, unlink, rmdir, mkdir, rename, link, symlink. Ends with 77
 * where io_uring can't be had, 1 when an operation fails. With `sqpoll` a thread of the kernel
 * takes the operations, and the process makes no call at all for them. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int ring;
static unsigned *sq_tail, *sq_mask, *sq_array, *sq_flags, *cq_head, *cq_tail, *cq_mask;
static struct io_uring_sqe *sqes;
static struct io_uring_cqe *cqes;

static void setup(int sqpoll) {
    struct io_uring_params p = { .flags = sqpoll ? IORING_SETUP_SQPOLL : 0, .sq_thread_idle = 100 };
    ring = (int)syscall(SYS_io_uring_setup, 4, &p);
    if (ring < 0) _exit(77);
    size_t sq_size = p.sq_off.array + p.sq_entries * sizeof(unsigned);
    size_t cq_size = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
    int prot = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_POPULATE;
    char *sq = mmap(0, sq_size, prot, flags, ring, IORING_OFF_SQ_RING);
    char *cq = mmap(0, cq_size, prot, flags, ring, IORING_OFF_CQ_RING);
    sqes = mmap(0, p.sq_entries * sizeof *sqes, prot, flags, ring, IORING_OFF_SQES);
    if (sq == MAP_FAILED || cq == MAP_FAILED || sqes == MAP_FAILED) _exit(77);
    sq_tail = (void *)(sq + p.sq_off.tail), sq_mask = (void *)(sq + p.sq_off.ring_mask);
    sq_array = (void *)(sq + p.sq_off.array), sq_flags = (void *)(sq + p.sq_off.flags);
    cq_head = (void *)(cq + p.cq_off.head), cq_tail = (void *)(cq + p.cq_off.tail);
    cq_mask = (void *)(cq + p.cq_off.ring_mask), cqes = (void *)(cq + p.cq_off.cqes);
}

static int submit(struct io_uring_sqe sqe) {
    unsigned tail = *sq_tail, index = tail & *sq_mask;
    sqes[index] = sqe;
    sq_array[index] = index;
    __atomic_store_n(sq_tail, tail + 1, __ATOMIC_SEQ_CST);
    unsigned head = *cq_head, flags = IORING_ENTER_GETEVENTS;
    if (__atomic_load_n(sq_flags, __ATOMIC_SEQ_CST) & IORING_SQ_NEED_WAKEUP)
        flags |= IORING_ENTER_SQ_WAKEUP;
    while (__atomic_load_n(cq_tail, __ATOMIC_ACQUIRE) == head)
        syscall(SYS_io_uring_enter, ring, 1, 1, flags, 0, 0);
    int result = cqes[head & *cq_mask].res;
    __atomic_store_n(cq_head, head + 1, __ATOMIC_RELEASE);
    return result;
}

static int at_path(int op, const char *path, unsigned len, int flags) {
    return submit((struct io_uring_sqe){ .opcode = op, .fd = AT_FDCWD,
        .addr = (unsigned long)path, .len = len, .open_flags = flags });
}

static int two(int op, const char *from, const char *to) {
    return submit((struct io_uring_sqe){ .opcode = op, .fd = AT_FDCWD,
        .addr = (unsigned long)from, .addr2 = (unsigned long)to, .len = AT_FDCWD });
}

static int transfer(int op, int fd, char *buf, unsigned len) {
    int done = submit((struct io_uring_sqe){ .opcode = op, .fd = fd,
        .addr = (unsigned long)buf, .len = len });
    submit((struct io_uring_sqe){ .opcode = IORING_OP_CLOSE, .fd = fd });
    return done;
}

int main(int argc, char **argv) {
    int i = 1;
    if (i < argc && !strcmp(argv[i], "sqpoll")) setup(1), i++;
    else setup(0);
    while (i < argc) {
        char *verb = argv[i++], *path = argv[i++], buf[64] = "x\n";
        int result = -1;
        if (!path) return 2;
        if (!strcmp(verb, "open")) {
            result = at_path(IORING_OP_OPENAT, path, 0, O_RDONLY);
        } else if (!strcmp(verb, "read")) {
            result = at_path(IORING_OP_OPENAT, path, 0, O_RDONLY);
            if (result >= 0) result = transfer(IORING_OP_READ, result, buf, sizeof buf);
        } else if (!strcmp(verb, "write")) {
            result = at_path(IORING_OP_OPENAT, path, 0644, O_WRONLY | O_CREAT | O_TRUNC);
            if (result >= 0) result = transfer(IORING_OP_WRITE, result, buf, 2);
        } else if (!strcmp(verb, "unlink")) {
            result = at_path(IORING_OP_UNLINKAT, path, 0, 0);
        } else if (!strcmp(verb, "rmdir")) {
            result = at_path(IORING_OP_UNLINKAT, path, 0, AT_REMOVEDIR);
        } else if (!strcmp(verb, "mkdir")) {
            result = at_path(IORING_OP_MKDIRAT, path, 0755, 0);
        } else if (!strcmp(verb, "rename")) {
            result = two(IORING_OP_RENAMEAT, path, argv[i++]);
        } else if (!strcmp(verb, "link")) {
            result = two(IORING_OP_LINKAT, path, argv[i++]);
        } else if (!strcmp(verb, "symlink")) {
            /* The text first, as in symlink(2). */
            result = submit((struct io_uring_sqe){ .opcode = IORING_OP_SYMLINKAT, .fd = AT_FDCWD,
                .addr = (unsigned long)path, .addr2 = (unsigned long)argv[i++] });
        }
        if (result < 0) {
            fprintf(stderr, "ring: %s %s: %s\n", verb, path, strerror(-result));
            return 1;
        }
    }
    return 0;
}
