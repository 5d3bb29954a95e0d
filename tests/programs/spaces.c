/* Enters other roots and mount namespaces (with a user namespace first where it isn't root). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct stat st;

static void must(long result, const char *what) {
    if (result >= 0) return;
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(90);
}

static void put(const char *file, const char *text) {
    int fd = open(file, O_WRONLY);
    must(fd, file);
    must(write(fd, text, strlen(text)), file);
    close(fd);
}

static void capable(int flags) {
    char map[64];
    unsigned uid = geteuid(), gid = getegid();
    if (!uid) {
        if (flags) must(unshare(flags), "unshare");
    } else {
        must(unshare(flags | CLONE_NEWUSER), "unshare");
        put("/proc/self/setgroups", "deny");
        snprintf(map, sizeof map, "0 %u 1", uid), put("/proc/self/uid_map", map);
        snprintf(map, sizeof map, "0 %u 1", gid), put("/proc/self/gid_map", map);
    }
    if (flags & CLONE_NEWNS) must(mount(0, "/", 0, MS_REC | MS_PRIVATE, 0), "private");
}

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "";
    if (!strcmp(how, "chroot")) {
        capable(0);
        must(chroot("d"), "chroot");
        must(chdir("/"), "chdir");
        must(open("/f", O_RDONLY), "f");
        must(open("l", O_RDONLY), "l");
        must(open("/../../e/../g", O_RDONLY), "g");
        return !stat("/no/x", &st);
    }
    if (!strcmp(how, "user")) {
        must(unshare(CLONE_NEWUSER), "unshare");
        must(open("f", O_RDONLY), "f");
        return !stat("no", &st);
    }
    if (!strcmp(how, "bind")) {
        capable(CLONE_NEWNS);
        must(mount("a", "b", 0, MS_BIND, 0), "bind");
        must(open("b/f", O_RDONLY), "b/f");
        must(open("b/new", O_WRONLY | O_CREAT, 0644), "b/new");
        must(unlink("b/g"), "b/g");
        must(chdir("b"), "chdir");
        must(stat("h", &st), "h");
        return !stat("no", &st);
    }
    if (!strcmp(how, "bind-late")) { /* over a directory that was used before, and off again */
        capable(CLONE_NEWNS);
        must(stat("b/f", &st), "b/f");
        must(mount("a", "b", 0, MS_BIND, 0), "bind");
        must(open("b/g", O_RDONLY | O_CLOEXEC), "b/g");
        if (!stat("b/h", &st)) return 95;
        must(umount2("b", MNT_DETACH), "umount");
        must(open("b/h", O_RDONLY), "b/h");
        return !stat("b/g", &st);
    }
    if (!strcmp(how, "bind-file")) {
        capable(CLONE_NEWNS);
        must(mount("a", "b", 0, MS_BIND, 0), "bind");
        return open("b", O_RDONLY) < 0;
    }
    if (!strcmp(how, "tmpfs")) {
        capable(CLONE_NEWNS);
        must(mount("none", "d", "tmpfs", 0, 0), "tmpfs");
        must(open("d/new", O_WRONLY | O_CREAT, 0644), "d/new");
        if (!stat("d/f", &st)) return 91;
        return open("d/new", O_RDONLY) < 0;
    }
    if (!strcmp(how, "detached")) { /* a mount that no tree holds */
        capable(CLONE_NEWNS);
        int tree = (int)syscall(428 /* open_tree */, AT_FDCWD, "a", 1 /* OPEN_TREE_CLONE */);
        must(tree, "open_tree");
        must(openat(tree, "f", O_RDONLY), "f");
        return !fstatat(tree, "no", &st, 0);
    }
    if (!strcmp(how, "setns")) { /* the parent enters its child's namespace */
        int ready[2], done[2];
        char byte, name[64], here[4096];
        if (pipe(ready) || pipe(done) || !getcwd(here, sizeof here)) return 92;
        pid_t child = fork();
        if (!child) {
            close(done[1]);
            capable(CLONE_NEWNS);
            must(mount("a", "b", 0, MS_BIND, 0), "bind");
            if (write(ready[1], "x", 1) != 1) _exit(93);
            _exit(read(done[0], &byte, 1) < 0);
        }
        if (read(ready[0], &byte, 1) != 1) return 94;
        if (geteuid()) {
            snprintf(name, sizeof name, "/proc/%d/ns/user", child);
            must(setns(open(name, O_RDONLY), CLONE_NEWUSER), "setns user");
        }
        snprintf(name, sizeof name, "/proc/%d/ns/mnt", child);
        must(setns(open(name, O_RDONLY), CLONE_NEWNS), "setns");
        strcat(here, "/b/f");
        must(open(here, O_RDONLY), "b/f");
        close(done[1]);
        waitpid(child, 0, 0);
        return 0;
    }
    if (!strcmp(how, "pid")) {
        capable(CLONE_NEWPID);
        int status;
        pid_t child = fork();
        if (!child) _exit(getpid() != 1 || open("f", O_RDONLY) < 0);
        waitpid(child, &status, 0);
        return WEXITSTATUS(status);
    }
    if (!strcmp(how, "pivot")) { /* a new root whose old one is gone */
        capable(CLONE_NEWNS);
        must(mount("d", "d", 0, MS_BIND, 0), "bind");
        must(chdir("d"), "chdir");
        must(syscall(SYS_pivot_root, ".", "."), "pivot_root");
        must(umount2(".", MNT_DETACH), "umount");
        must(chdir("/"), "chdir");
        must(open("/f", O_RDONLY), "f");
        return !stat("/no", &st);
    }
    return 99;
}
