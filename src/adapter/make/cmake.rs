//! What is particular about the makefiles that CMake generates.

use super::depfiles;
use crate::adapter::cmake::{Places, calls};
use crate::adapter::files;
use airtight_policy::Place;
use airtight_recording::Image;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::rc::Rc;

/// The projects whose makefiles were read, by their build directories.
#[derive(Default)]
pub(super) struct Projects {
    known: RefCell<HashMap<Vec<u8>, Rc<Places>>>,
}

impl Projects {
    /// Where the project of a build directory declares the target that a makefile's target
    /// belongs to, or the custom command that makes one of its outputs.
    pub(super) fn place(
        &self,
        build: &[u8],
        name: &[u8],
        makefile: &[u8],
        workspace: &[u8],
    ) -> Option<Place> {
        let (_, target) = target(name).or_else(|| target(makefile))?;
        let places = self.places(build, workspace);
        let custom = if self::target(name).is_none() { places.custom_command(name) } else { None };
        custom.or_else(|| places.target(std::str::from_utf8(target).ok()?))
    }

    fn places(&self, build: &[u8], workspace: &[u8]) -> Rc<Places> {
        let mut known = self.known.borrow_mut();
        let load = || {
            let list = files::read(&[build, b"/CMakeFiles/Makefile.cmake"].concat());
            let text = list.unwrap_or_default();
            let read: Vec<Vec<u8>> = calls(&String::from_utf8_lossy(&text))
                .into_iter()
                .filter(|call| {
                    call.name == "set"
                        && call
                            .arguments
                            .first()
                            .is_some_and(|name| name == "CMAKE_MAKEFILE_DEPENDS")
                })
                .flat_map(|call| call.arguments.into_iter().skip(1))
                .map(|name| match name.starts_with('/') {
                    true => name.into_bytes(),
                    false => [build, b"/", name.as_bytes()].concat(),
                })
                .collect();
            Rc::new(Places::load(build, read.iter().map(Vec::as_slice), workspace))
        };
        known.entry(build.to_vec()).or_insert_with(load).clone()
    }
}

/// The directory of a name in `DIRECTORY/CMakeFiles/TARGET.dir/…`, with a `/` at its end, and the
/// target.
pub(super) fn target(name: &[u8]) -> Option<(&[u8], &[u8])> {
    const FILES: &[u8] = b"CMakeFiles/";
    let at = name.windows(FILES.len()).position(|window| window == FILES)?;
    let rest = &name[at + FILES.len()..];
    let end = rest.windows(5).position(|window| window == b".dir/")?;
    Some((&name[..at], &rest[..end]))
}

/// What CMake writes beside a `build.make` for its rules to read: lists of objects, scripts that
/// clean and link. They change when the makefile does, and no rule names all of them.
pub(super) fn generated(makefile: &[u8], path: impl Fn(&[u8]) -> Vec<u8>) -> Vec<Vec<u8>> {
    let Some(directory) = makefile.strip_suffix(b"/build.make") else { return Vec::new() };
    let directory = path(directory);
    let entries = fs::read_dir(Path::new(OsStr::from_bytes(&directory)));
    let names = entries.into_iter().flatten().flatten().map(|entry| entry.file_name());
    let names = names.filter(|name| {
        let extension = Path::new(name).extension().unwrap_or_default();
        ["cmake", "make", "rsp", "txt"].iter().any(|known| extension == *known)
    });
    let mut paths: Vec<Vec<u8>> =
        names.map(|name| [&directory, b"/".as_slice(), name.as_bytes()].concat()).collect();
    paths.sort();
    paths
}

/// What CMake's next build will learn of each output of a custom command from its `DEPFILE`: the
/// list is in the `DependInfo.cmake` beside a `build.make`, and names without a leading `/` are
/// below the binary directory that the makefile's target belongs to.
pub(super) fn custom_inputs(
    makefile: &[u8],
    path: impl Fn(&[u8]) -> Vec<u8>,
) -> HashMap<Vec<u8>, Vec<Vec<u8>>> {
    let mut inputs: HashMap<Vec<u8>, Vec<Vec<u8>>> = HashMap::new();
    let Some(base) = makefile.strip_suffix(b"build.make") else { return inputs };
    let Some((directory, _)) = target(makefile) else { return inputs };
    let below = |name: &[u8]| match name.starts_with(b"/") {
        true => path(name),
        false => path(&[directory, name].concat()),
    };
    let info = files::read(&path(&[base, b"DependInfo.cmake"].concat())).unwrap_or_default();
    for call in calls(&String::from_utf8_lossy(&info)) {
        let list = match call.arguments.split_first() {
            Some((name, list)) if name == "CMAKE_DEPENDS_DEPENDENCY_FILES" => list,
            _ => continue,
        };
        // Source, output, format, depfile.
        for entry in list.chunks_exact(4).filter(|entry| entry[2] == "custom") {
            let rules = depfiles::read(&path(entry[3].as_bytes())).unwrap_or_default();
            for rule in &rules {
                for target in &rule.targets {
                    let known = inputs.entry(below(target)).or_default();
                    known.extend(rule.inputs.iter().map(|input| below(input)));
                }
            }
        }
    }
    inputs
}

/// Whether a command only tells how far the build is. All actions count in one file.
pub(super) fn tells_progress(image: &Image) -> bool {
    let has = |word: &[u8], part: &[u8]| word.windows(part.len()).any(|window| window == part);
    let alone = |word: &Vec<u8>| {
        !has(word, b"&&")
            && (has(word, b"-E cmake_echo_color") || has(word, b"-E cmake_progress_start"))
    };
    match image.argv.as_slice() {
        [_, option, command, ..] if option == b"-E" => {
            matches!(command.as_slice(), b"cmake_echo_color" | b"cmake_progress_start")
        }
        [.., script] => alone(script),
        [] => false,
    }
}
