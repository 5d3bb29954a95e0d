//! Compiles the programs of tests/programs, each once.

use nix::unistd::{AccessFlags, access, geteuid};
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex};

static BUILT: LazyLock<Mutex<HashMap<String, PathBuf>>> = LazyLock::new(Mutex::default);

/// The compiled `NAME.c` (or `NAME.S`), for `NAME.VARIANT` with the variant's flags.
pub(crate) fn program(name: &str) -> PathBuf {
    let mut built = BUILT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(path) = built.get(name) {
        return path.clone();
    }
    let (stem, variant) = name.split_once('.').unwrap_or((name, ""));
    let flags: &[&str] = match variant {
        "" => &[],
        "static" => &["-static"],
        "m32" => &["-m32"],
        "m32static" => &["-m32", "-static"],
        "int80" => &["-static", "-no-pie", "-mno-red-zone", "-DINT80"],
        "x32" => &["-static", "-no-pie", "-DX32"],
        "ownld" => &["-Wl,--dynamic-linker=own/ld"],
        "bare" => &["-static", "-nostdlib", "-nostartfiles", "-ffreestanding", "-fno-builtin"],
        other => panic!("{name}: no build variant {other}"),
    };
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs");
    let source = ["c", "S"].map(|e| sources.join(format!("{stem}.{e}")));
    let source = source.iter().find(|s| s.exists()).unwrap_or_else(|| panic!("{name}: no source"));
    let path = directory().join(name);
    if !is_newer(&path, source) {
        // Made under a name of its own, so that another test process sees all of it or nothing.
        let draft = directory().join(format!(".{name}.{}", std::process::id()));
        let compiler = Command::new("gcc")
            .args(["-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"])
            .arg(&draft)
            .args(flags)
            .arg(source)
            .output()
            .expect("gcc is needed to compile the test programs");
        assert!(compiler.status.success(), "{name}: {}", String::from_utf8_lossy(&compiler.stderr));
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).expect("chmod");
        fs::rename(&draft, &path).expect("rename");
    }
    built.insert(name.to_owned(), path.clone());
    path
}

fn is_newer(path: &Path, than: &Path) -> bool {
    let changed = |p: &Path| fs::metadata(p).and_then(|m| m.modified());
    matches!((changed(path), changed(than)), (Ok(a), Ok(b)) if a > b)
}

/// Cargo's directory for this, or, where the tests run as a user who can't write there, one in
/// /tmp.
fn directory() -> PathBuf {
    let own = Path::new(env!("CARGO_TARGET_TMPDIR")).join("programs");
    if fs::create_dir_all(&own).is_ok() && access(&own, AccessFlags::W_OK).is_ok() {
        return own;
    }
    let other = std::env::temp_dir().join(format!("airtight-programs-{}", geteuid()));
    fs::create_dir_all(&other).expect("a directory for compiled programs");
    other
}
