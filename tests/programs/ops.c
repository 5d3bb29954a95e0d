/* Makes the system calls named on the command line, one an argument, and prints how each ended.
 *
 *   ops 'a: openat AT_FDCWD :dir/file O_RDONLY' 'fchmod @a 0600' 'spawn :tool x'
 *
 * An argument of a call is
 *   :text            a string (%XX for any byte; ":" alone is the empty string)
 *   @a               what the call labelled "a:" returned
 *   &buf             64 KiB of scratch memory          &bad     an address that is not mapped
 *   &page:text       a string whose NUL is the last byte before an unmapped page
 *   &nonul           4000 bytes of x and then an unmapped page, with no NUL
 *   &how:F,M,R       a struct open_how                  &handle  a struct file_handle
 *   &times           two fixed struct timespec          &xattr   a struct xattr_args
 *   &sun:text        a struct sockaddr_un of 110 bytes
 *   A|B|7|010        constants
 * The same source is compiled for every ABI: plain, -static, -m32, -DINT80 (i386 numbers from
 * 64-bit code, which needs all memory below 4 GiB: -static -no-pie), -DX32. */
#define _GNU_SOURCE
#if defined INT80
#include <asm/unistd_32.h>
#elif defined X32
#define __X32_SYSCALL_BIT 0x40000000 /* the headers have it for -mx32 only */
#include <asm/unistd_x32.h>
#else
#include <asm/unistd.h>
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Numbers newer than the headers; the same in every ABI but for the x32 bit. */
#ifdef X32
#define NEW(n) (__X32_SYSCALL_BIT + (n))
#else
#define NEW(n) (n)
#endif
#define __NR_new_close_range NEW(436)
#define __NR_new_faccessat2 NEW(439)
#define __NR_new_fchmodat2 NEW(452)
#define __NR_new_setxattrat NEW(463)
#define __NR_new_getxattrat NEW(464)
#define __NR_new_listxattrat NEW(465)
#define __NR_new_removexattrat NEW(466)
#define __NR_new_open_tree_attr NEW(467)
#define __NR_new_file_getattr NEW(468)
#define __NR_new_file_setattr NEW(469)

static const struct { const char *name; long number; } calls[] = {
#define N(n) { #n, __NR_##n },
#define W(n) { #n, __NR_new_##n },
    N(open) N(openat) N(openat2) N(creat) N(close) N(read) N(write) N(pwrite64) N(lseek)
    N(stat) N(lstat) N(fstat) N(statx) N(statfs) N(fstatfs) N(access) N(faccessat) W(faccessat2)
    N(readlink) N(readlinkat) N(getdents64) N(getcwd) N(chdir) N(fchdir) N(chroot)
    N(rename) N(renameat) N(renameat2) N(link) N(linkat) N(symlink) N(symlinkat)
    N(unlink) N(unlinkat) N(rmdir) N(mkdir) N(mkdirat) N(mknod) N(mknodat)
    N(chmod) N(fchmod) N(fchmodat) W(fchmodat2) N(chown) N(lchown) N(fchown) N(fchownat)
    N(utime) N(utimes) N(utimensat) N(futimesat) N(truncate) N(ftruncate) N(fallocate)
    N(getxattr) N(lgetxattr) N(fgetxattr) N(listxattr) N(llistxattr) N(flistxattr)
    N(setxattr) N(lsetxattr) N(fsetxattr) N(removexattr) N(lremovexattr) N(fremovexattr)
    W(setxattrat) W(getxattrat) W(listxattrat) W(removexattrat) W(file_getattr) W(file_setattr)
    N(name_to_handle_at) N(open_by_handle_at) N(open_tree) W(open_tree_attr)
    N(inotify_init1) N(inotify_add_watch) N(socket) N(bind) N(connect) N(sendto) N(dup) N(dup3) N(fcntl) W(close_range)
    N(copy_file_range) N(sendfile) N(io_uring_setup) N(userfaultfd) N(memfd_create) N(umask)
    N(swapon) N(acct) N(quotactl) N(mount) N(umount2) N(unshare) N(fanotify_init) N(fanotify_mark)
#if !defined INT80 && !defined __i386__
    { "newfstatat", __NR_newfstatat },
#else
    N(stat64) N(lstat64) N(fstat64) N(fstatat64) N(truncate64) N(oldstat) N(oldlstat)
#endif
};

static const struct { const char *name; long value; } constants[] = {
#define C(n) { #n, n },
    C(AT_FDCWD) C(AT_EMPTY_PATH) C(AT_SYMLINK_NOFOLLOW) C(AT_SYMLINK_FOLLOW) C(AT_REMOVEDIR)
    C(AT_EACCESS) C(AT_NO_AUTOMOUNT) C(O_RDONLY) C(O_WRONLY) C(O_RDWR) C(O_CREAT) C(O_EXCL)
    C(O_TRUNC) C(O_APPEND) C(O_DIRECTORY) C(O_NOFOLLOW) C(O_PATH) C(O_TMPFILE) C(O_CLOEXEC)
    C(RENAME_EXCHANGE) C(RENAME_NOREPLACE) C(RENAME_WHITEOUT) C(S_IFIFO) C(S_IFREG) C(S_IFSOCK)
    C(S_IFCHR) C(RESOLVE_IN_ROOT) C(RESOLVE_BENEATH) C(RESOLVE_NO_SYMLINKS)
    C(RESOLVE_NO_MAGICLINKS) C(R_OK) C(W_OK) C(X_OK) C(F_OK) C(STATX_ALL) C(AF_UNIX) C(SOCK_STREAM)
    C(SOCK_DGRAM) C(PROT_READ) C(PROT_WRITE) C(MAP_SHARED) C(MAP_PRIVATE) C(F_DUPFD) C(CLONE_NEWNS)
    C(CLONE_NEWUSER) C(CLONE_FS) C(CLONE_FILES)
};

static char arena[1 << 20], buf[1 << 16], structs[1 << 12];
static size_t used, used_structs;
static long slots[256];

static void die(const char *what) {
    dprintf(2, "ops: %s\n", what);
    _exit(99);
}

/* Decodes %XX into static memory. */
static char *text(const char *s) {
    char *start = arena + used;
    for (; *s; s++) {
        if (used + 2 > sizeof arena) die("arena full");
        if (*s == '%') {
            char hex[3] = { s[1], s[2], 0 };
            arena[used++] = (char)strtol(hex, 0, 16);
            s += 2;
        } else {
            arena[used++] = *s;
        }
    }
    arena[used++] = 0;
    return start;
}

static char *guarded(void) {
    int low = 0;
#ifdef MAP_32BIT
    low = MAP_32BIT;
#endif
    char *p = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | low, -1, 0);
    munmap(p + 4096, 4096);
    return p;
}

static void *record(size_t size) {
    void *p = structs + used_structs;
    used_structs += (size + 15) & ~15ul;
    if (used_structs > sizeof structs) die("too many structs");
    return p;
}

static long constant(char *s) {
    long value = 0;
    char *rest = 0;
    for (char *word = strtok_r(s, "|", &rest); word; word = strtok_r(0, "|", &rest)) {
        size_t i = 0, n = sizeof constants / sizeof *constants;
        char *end;
        long number = strtol(word, &end, 0);
        if (!*end) { value |= number; continue; }
        while (i < n && strcmp(constants[i].name, word)) i++;
        if (i == n) die(word);
        value |= constants[i].value;
    }
    return value;
}

static long argument(char *s) {
    if (*s == ':') return (long)text(s + 1);
    if (*s == '@') return slots[(unsigned char)s[1]];
    if (*s != '&') return constant(s);
    if (!strcmp(s, "&buf")) return (long)buf;
    if (!strcmp(s, "&bad")) return 8;
    if (!strncmp(s, "&page:", 6)) {
        char *string = text(s + 6), *page = guarded();
        size_t size = strlen(string) + 1;
        return (long)memcpy(page + 4096 - size, string, size);
    }
    if (!strcmp(s, "&nonul")) {
        char *page = guarded();
        return (long)memset(page + 96, 'x', 4000); /* shorter than PATH_MAX */
    }
    if (!strncmp(s, "&how:", 5)) {
        struct open_how *how = record(sizeof *how);
        char *rest = 0, *flags = strtok_r(s + 5, ",", &rest), *mode = strtok_r(0, ",", &rest);
        how->flags = constant(flags), how->mode = constant(mode);
        how->resolve = constant(strtok_r(0, ",", &rest));
        return (long)how;
    }
    if (!strcmp(s, "&handle")) {
        static uint32_t handle[34];
        if (!handle[0]) handle[0] = 128;
        return (long)handle;
    }
    if (!strcmp(s, "&times")) {
        static long times[4] = { 1000000000, 0, 1000000000, 0 };
        return (long)times;
    }
    if (!strcmp(s, "&xattr")) {
        static struct { uint64_t value; uint32_t size, flags; } args;
        args.value = (uintptr_t)buf, args.size = 4;
        return (long)&args;
    }
    if (!strncmp(s, "&sun:", 5)) {
        struct sockaddr_un *sun = record(sizeof *sun);
        sun->sun_family = AF_UNIX;
        strcpy(sun->sun_path, text(s + 5));
        return (long)sun;
    }
    die(s);
    return 0;
}

static long invoke(long number, long *a) {
#ifdef INT80
    long result;
    register long sixth __asm__("r8") = a[5];
    __asm__ volatile("push %%rbp\n mov %%r8d, %%ebp\n int $0x80\n pop %%rbp"
                     : "=a"(result), "+r"(sixth)
                     : "a"(number), "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4])
                     : "memory", "r9", "r10", "r11");
    result = (int)result;
#elif defined __x86_64__
    long result;
    register long r10 __asm__("r10") = a[3], r8 __asm__("r8") = a[4], r9 __asm__("r9") = a[5];
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "memory", "rcx", "r11");
#else
    long result = syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (result == -1) result = -errno;
#endif
    return result;
}

static void report(const char *op, long result) {
    if (result < 0 && result > -4096)
        dprintf(1, "%s = %s\n", op, strerrorname_np((int)-result));
    else
        dprintf(1, "%s = ok\n", op);
}

/* Forks, executes, waits; or, without a fork, executes. */
static void execute(const char *op, char **words, int n, int apart) {
    static char *argv[64];
    for (int i = 0; i < n; i++) argv[i] = *words[i] == ':' ? text(words[i] + 1) : words[i];
    argv[n] = 0;
    int failed[2];
    if (!apart) {
        execv(argv[0], argv);
        report(op, -errno);
        return;
    }
    if (pipe2(failed, O_CLOEXEC)) die("pipe");
    pid_t child = fork();
    if (!child) {
        execv(argv[0], argv);
        int e = errno;
        if (write(failed[1], &e, sizeof e) < 0) _exit(98);
        _exit(0);
    }
    close(failed[1]);
    int status, e = 0;
    if (read(failed[0], &e, sizeof e) < 0) die("read");
    close(failed[0]);
    waitpid(child, &status, 0);
    if (e) report(op, -e);
    else if (WIFSIGNALED(status)) dprintf(1, "%s = signal %d\n", op, WTERMSIG(status));
    else dprintf(1, "%s = %d\n", op, WEXITSTATUS(status));
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        char *words[64], *rest = 0, *copy = strdup(argv[i]);
        int n = 0, slot = 0;
        for (char *w = strtok_r(copy, " ", &rest); w && n < 63; w = strtok_r(0, " ", &rest))
            words[n++] = w;
        if (!n) continue;
        char **word = words;
        if (word[0][1] == ':' && !word[0][2]) slot = (unsigned char)*word++[0], n--;
        const char *op = *word++;
        n--;
        if (!strcmp(op, "exit")) _exit((int)constant(word[0]));
        if (!strcmp(op, "spawn") || !strcmp(op, "exec")) {
            execute(op, word, n, *op == 's');
            continue;
        }
        if (!strcmp(op, "fork")) { /* the child makes the next N calls, the parent skips them */
            int count = (int)constant(word[0]);
            pid_t child = fork();
            if (!child) { argc = i + 1 + count; continue; }
            waitpid(child, 0, 0);
            i += count;
            continue;
        }
        if (!strcmp(op, "map")) { /* descriptor, protection, flags */
            void *p = mmap(0, 4096, (int)argument(word[1]), (int)argument(word[2]),
                           (int)argument(word[0]), 0);
            report(op, p == MAP_FAILED ? -errno : 0);
            continue;
        }
        size_t c = 0, known = sizeof calls / sizeof *calls;
        while (c < known && strcmp(calls[c].name, op)) c++;
        if (c == known) die(op);
        long a[6] = { 0 };
        for (int k = 0; k < n && k < 6; k++) a[k] = argument(word[k]);
        long result = invoke(calls[c].number, a);
        slots[slot] = result;
        report(op, result);
    }
    return 0;
}
