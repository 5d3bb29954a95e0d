//! Calls that change what names mean, or the host itself.

use super::Decoder::*;
use super::When::Exit;
use super::{Row, Rule, pass, rows, trace};

const fn namespace() -> Rule {
    trace(Namespace, Exit, "names mean something else if it succeeds")
}

const fn opaque(why: &'static str) -> Rule {
    trace(Opaque, Exit, why)
}

const KERNEL: &str = "runs code in the kernel that no call shows";
const OLD: &str = "gone from current kernels; where it works it can't be decoded";

pub(super) const ROWS: &[Row] = rows! {
    mount 165 21 40 => namespace();
    umount2 166 52 39 => namespace();
    umount _ 22 _ => namespace();
    pivot_root 155 217 41 => namespace();
    open_tree 428 428 428 => namespace();
    open_tree_attr 467 467 467 => namespace();
    move_mount 429 429 429 => namespace();
    fsconfig 431 431 431 => namespace();
    fsmount 432 432 432 => namespace();
    fspick 433 433 433 => namespace();
    mount_setattr 442 442 442 => namespace();
    setns 308 346 268 => namespace();
    unshare 272 310 97 => namespace();

    acct 163 51 89 => opaque("the kernel writes the file at the end of every process");
    swapon 167 87 224 => opaque("the kernel writes the file at any time");
    swapoff 168 115 225 => opaque("the kernel reads the file");
    quotactl 179 131 60 => opaque("the kernel reads and writes quota files");
    quotactl_fd 443 443 443 => opaque("the kernel reads and writes quota files");
    fanotify_init 300 338 262 => opaque("its events hand out open files");
    bpf 321 357 280 => opaque(KERNEL);
    init_module 175 128 105 => opaque(KERNEL);
    finit_module 313 350 273 => opaque(KERNEL);
    delete_module 176 129 106 => opaque(KERNEL);
    kexec_load 246 283 104 x32 528 => opaque(KERNEL);
    kexec_file_load 320 _ 294 => opaque(KERNEL);
    create_module 174 127 _ => opaque(OLD);
    query_module 178 167 _ => opaque(OLD);
    get_kernel_syms 177 130 _ => opaque(OLD);
    nfsservctl 180 169 42 => opaque(OLD);
    _sysctl 156 149 _ => opaque(OLD);
    lookup_dcookie 212 253 18 => opaque(OLD);
    sysfs 139 135 _ => pass("tells the names of file system types");
};
