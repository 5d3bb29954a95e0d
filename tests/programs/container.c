/* container COMMAND [ARG...]: runs a command with the seccomp filter that container runtimes set by
 * default: as the published profile does, it refuses namespaces, mounts, kernel keys, io_uring and
 * the like with EPERM, and clone3 with ENOSYS, so that flags of clone can be looked at. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __x86_64__
#define ARCH AUDIT_ARCH_X86_64
#else
#define ARCH AUDIT_ARCH_AARCH64
#endif

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ANSWER(value) BPF_STMT(BPF_RET | BPF_K, value)
/* The next instruction is for this value only. */
#define ONLY(value) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1)

static const int refused[] = {
    SYS_acct, SYS_add_key, SYS_bpf, SYS_clock_adjtime, SYS_clock_settime, SYS_delete_module,
    SYS_fanotify_init, SYS_finit_module, SYS_fsconfig, SYS_fsmount, SYS_fsopen, SYS_fspick,
    SYS_init_module, SYS_io_uring_enter, SYS_io_uring_register, SYS_io_uring_setup,
    SYS_kexec_load, SYS_keyctl, SYS_mbind, SYS_mount, SYS_mount_setattr, SYS_move_mount,
    SYS_move_pages, SYS_nfsservctl, SYS_open_by_handle_at, SYS_open_tree, SYS_perf_event_open,
    SYS_pidfd_getfd, SYS_pivot_root, SYS_quotactl, SYS_reboot, SYS_request_key,
    SYS_set_mempolicy, SYS_setdomainname, SYS_sethostname, SYS_setns, SYS_settimeofday,
    SYS_swapoff, SYS_swapon, SYS_syslog, SYS_umount2, SYS_unshare, SYS_userfaultfd, SYS_vhangup,
#ifdef __x86_64__
    SYS__sysctl, SYS_ioperm, SYS_iopl, SYS_kexec_file_load, SYS_sysfs, SYS_uselib, SYS_ustat,
#endif
};

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    const unsigned namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
    struct sock_filter code[2 * sizeof refused / sizeof *refused + 16] = {
        LOAD(arch),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
        ANSWER(SECCOMP_RET_ALLOW),
        LOAD(nr),
        ONLY(SYS_clone3),
        ANSWER(SECCOMP_RET_ERRNO | ENOSYS),
    };
    unsigned short at = 6;
    for (size_t n = 0; n < sizeof refused / sizeof *refused; n++) {
        code[at++] = (struct sock_filter)ONLY((unsigned)refused[n]);
        code[at++] = (struct sock_filter)ANSWER(SECCOMP_RET_ERRNO | EPERM);
    }
    /* A call other than clone jumps over the two that look at its flags. */
    code[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3);
    code[at++] = (struct sock_filter)LOAD(args[0]);
    code[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, namespaces, 0, 1);
    code[at++] = (struct sock_filter)ANSWER(SECCOMP_RET_ERRNO | EPERM);
    code[at++] = (struct sock_filter)ANSWER(SECCOMP_RET_ALLOW);
    struct sock_fprog program = { at, code };
    /* Without this an ordinary user may set no filter. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program))
        return perror("seccomp"), 2;
    execvp(argv[1], argv + 1);
    return perror(argv[1]), 127;
}
