//! Files of the build directory, read with bounds.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// More than any file that describes a build has.
const LARGEST: u64 = 1 << 30;

/// A name as a path of the system.
pub(super) fn path(name: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(name))
}

/// The content of a regular file. Anything else could block for ever.
pub(super) fn read(name: &[u8]) -> io::Result<Vec<u8>> {
    let invalid = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let path = path(name);
    if !fs::metadata(path)?.is_file() {
        return Err(invalid("not a regular file"));
    }
    let mut content = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut content)?;
    match content.len() as u64 > LARGEST {
        true => Err(invalid("larger than 1 GiB")),
        false => Ok(content),
    }
}
