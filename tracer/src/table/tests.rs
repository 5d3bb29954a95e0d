use super::*;

fn rows() -> impl Iterator<Item = &'static Row> {
    GROUPS.iter().flat_map(|(_, rows)| *rows)
}

/// The newest number is the last one, so that unknown ones are not taken for holes.
#[test]
fn numbers_beyond_the_table_are_unknown() {
    for abi in Abi::ALL {
        assert!(lookup(abi, abi.numbers() - 1).is_some());
        assert_eq!(lookup(abi, abi.numbers()), None);
        assert_eq!(lookup(abi, 0xffff_ffff), None);
    }
    // 512 to 547 without the bit worked before Linux 5.4; they are not in the table of x86-64.
    assert_eq!(lookup(Abi::X86_64, 520), None);
}

#[test]
fn every_row_is_found_by_its_numbers() {
    for row in rows() {
        for abi in Abi::ALL {
            if let Some(number) = row.number(abi) {
                assert_eq!(lookup(abi, number), Some(row));
                assert_eq!(Abi::of(abi.audit_arch(), number), Some(abi));
            }
        }
        assert!(!row.why.is_empty());
        assert!(row.x86_64.or(row.i386).or(row.aarch64).is_some(), "{} has no number", row.name);
    }
}

/// Names and numbers agree with those of another source.
#[test]
fn agrees_with_the_syscalls_crate() {
    let mut compared = 0;
    let mut compare = |abi: Abi, number: u32, name: &str| {
        // The crate lists calls of 32-bit machines for aarch64, and glibc's name for newfstatat.
        if abi == Abi::Aarch64 && (403..=423).contains(&number) {
            return;
        }
        let name = name.trim_start_matches("r#");
        let name = if name == "fstatat" { "newfstatat" } else { name };
        let row = lookup(abi, number).unwrap_or_else(|| panic!("{abi:?} {number} {name}"));
        assert_eq!(row.name, name, "{abi:?} {number}");
        compared += 1;
    };
    for call in syscalls::x86_64::Sysno::iter() {
        compare(Abi::X86_64, call as u32, call.name());
    }
    for call in syscalls::x86::Sysno::iter() {
        compare(Abi::I386, call as u32, call.name());
    }
    for call in syscalls::aarch64::Sysno::iter() {
        compare(Abi::Aarch64, call as u32, call.name());
    }
    assert!(compared > 1100, "{compared}");
}

#[test]
fn holes_are_unknown_to_the_syscalls_crate() {
    use syscalls::{aarch64, x86, x86_64};
    for number in 0..NUMBERS - 1 {
        let n = number as usize;
        let hole = |abi| is_hole(lookup(abi, number).expect("in the table"));
        assert_eq!(hole(Abi::X86_64), x86_64::Sysno::new(n).is_none(), "{number}");
        assert_eq!(hole(Abi::I386), x86::Sysno::new(n).is_none(), "{number}");
        let arm = aarch64::Sysno::new(n).is_none() || (403..=423).contains(&number);
        assert_eq!(hole(Abi::Aarch64), arm, "{number}");
    }
}

/// 512 to 547 as `asm/unistd_x32.h` has them.
#[test]
fn x32_has_its_own_numbers() {
    const OWN: &str = "rt_sigaction rt_sigreturn ioctl readv writev recvfrom sendmsg recvmsg \
        execve ptrace rt_sigpending rt_sigtimedwait rt_sigqueueinfo sigaltstack timer_create \
        mq_notify kexec_load waitid set_robust_list get_robust_list vmsplice move_pages preadv \
        pwritev rt_tgsigqueueinfo recvmmsg sendmmsg process_vm_readv process_vm_writev \
        setsockopt getsockopt io_setup io_submit execveat preadv2 pwritev2";
    for (number, name) in (512..).zip(OWN.split_whitespace()) {
        assert_eq!(lookup(Abi::X32, number | X32_BIT).map(|r| r.name), Some(name));
    }
    assert_eq!(lookup(Abi::X32, 2 | X32_BIT).map(|r| r.name), Some("open"));
}

#[test]
fn calls_without_effect_do_not_stop() {
    let stops = |name: &str, args: [u64; 6]| {
        let row = rows().find(|r| r.name == name).expect(name);
        row.only.stops(&args)
    };
    assert!(!stops("getrandom", [0, 8, 1, 0, 0, 0]));
    assert!(stops("getrandom", [0, 16, 1, 0, 0, 0]));
    assert!(stops("getrandom", [0, 8, 0, 0, 0, 0]));
    // The same lower half, another size.
    assert!(stops("getrandom", [0, 8 | 1 << 32, 1, 0, 0, 0]));
    // The kernel takes an int here.
    assert!(!stops("getrandom", [0, 8, 1 | 1 << 32, 0, 0, 0]));
    assert!(!stops("mmap", [0, 4096, 3, 2, 3, 0]), "private");
    assert!(stops("mmap", [0, 4096, 1, 1, 3, 0]), "mprotect may make it writable");
    assert!(stops("mmap", [0, 4096, 3, 1, 3, 0]));
    assert!(stops("mmap", [0, 4096, 3, 3, 3, 0]), "MAP_SHARED_VALIDATE");
    assert!(!stops("clone", [0x3d_0f00, 0, 0, 0, 0, 0]), "a thread");
    assert!(stops("clone", [0x0080_0011, 0, 0, 0, 0, 0]));
    assert!(!stops("ioctl", [0, 0x5401, 0, 0, 0, 0]));
    assert!(stops("ioctl", [0, 0x4008_6602 | 1 << 40, 0, 0, 0, 0]));
    assert!(!stops("sendto", [3, 0, 0, 0, 0, 0]));
    assert!(stops("sendto", [3, 0, 0, 0, 1 << 40, 0]));
    assert!(!stops("ipc", [1, 0, 0, 0, 0, 0]));
    assert!(stops("ipc", [0x1_0015, 0, 0, 0, 0, 0]));
}

#[test]
fn follows_as_the_flags_say() {
    assert!(Follow::Unless(3, 0x100).follows(&[0; 6]));
    assert!(!Follow::Unless(3, 0x100).follows(&[0, 0, 0, 0x100, 0, 0]));
    assert!(Follow::If(4, 0x400).follows(&[0, 0, 0, 0, 0x400, 0]));
    assert!(!Follow::If(4, 0x400).follows(&[0; 6]));
}

/// A host-specific check of the numbers that are called at run time.
#[test]
#[cfg(target_arch = "x86_64")]
fn agrees_with_libc() {
    for (name, number) in [("openat", libc::SYS_openat), ("statx", libc::SYS_statx)] {
        assert_eq!(lookup(Abi::NATIVE, number as u32).map(|r| r.name), Some(name));
    }
}

#[test]
fn ioctl_effects_are_found() {
    assert_eq!(ioctl_effect(0x4008_6602), Some(IoctlEffect::Metadata));
    assert_eq!(ioctl_effect(0xaa00), Some(IoctlEffect::Refuse));
    assert_eq!(ioctl_effect(0x5401), None);
}

#[test]
fn an_ioctl_has_one_effect() {
    for (i, (number, name, _)) in IOCTLS.iter().enumerate() {
        let twice = IOCTLS[i + 1..].iter().any(|other| other.0 == *number || other.1 == *name);
        assert!(!twice, "{name}");
    }
}
