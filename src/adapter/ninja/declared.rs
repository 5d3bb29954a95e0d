//! Where people declare what a manifest says that CMake or meson wrote.

use super::super::{cmake, meson};
use super::manifest::{Edge, Manifest, Quoting};
use airtight_policy::{Flavour, Place, absolute};

/// Who knows the places.
pub(super) enum Declarations {
    /// The manifest itself: people wrote it, or a generator that is not known.
    Manifest,
    /// The files of a CMake project.
    Cmake(cmake::Places),
    /// The files of a meson project.
    Meson(meson::Places),
}

impl Declarations {
    /// Reads the files of the project. `inputs` are what the edges depend on that write the
    /// manifest: the files that CMake reads are among them.
    pub(super) fn load<'i>(
        flavour: Flavour,
        directory: &[u8],
        inputs: impl Iterator<Item = &'i [u8]>,
        workspace: &[u8],
    ) -> Declarations {
        match flavour {
            Flavour::Cmake => {
                Declarations::Cmake(cmake::Places::load(directory, inputs, workspace))
            }
            Flavour::Meson => Declarations::Meson(meson::Places::load(directory, workspace)),
            _ => Declarations::Manifest,
        }
    }

    /// Where an edge is declared, if that can be told.
    pub(super) fn of(&self, manifest: &Manifest, edge: &Edge, directory: &[u8]) -> Option<Place> {
        let first = manifest.name(edge.outputs[0]);
        let places = match self {
            Declarations::Manifest => return None,
            Declarations::Meson(places) => return places.target(&absolute(directory, first)),
            Declarations::Cmake(places) => places,
        };
        if let Some(target) = cmake_target(first) {
            // Of several configurations each has its own: `CMakeFiles/TARGET-Debug`.
            let of_all = || places.target(target.rsplit_once('-')?.0);
            return places.target(&target).or_else(of_all);
        }
        if manifest.rule(edge) == b"CUSTOM_COMMAND" {
            let below = first.strip_prefix(directory).and_then(|rest| rest.strip_prefix(b"/"));
            return places.custom_command(below.unwrap_or(first));
        }
        // A link edge names the directory of its objects.
        let objects = manifest.binding(edge, b"OBJECT_DIR", Quoting::None).ok()?;
        places.target(&cmake_target(&objects)?)
    }
}

/// The target that a name in CMake's build directory belongs to: `CMakeFiles/TARGET.dir/…` for its
/// objects, `CMakeFiles/TARGET` and `CMakeFiles/TARGET.util` for a target without a file.
fn cmake_target(name: &[u8]) -> Option<String> {
    let mut parts = name.split(|&b| b == b'/').skip_while(|part| *part != b"CMakeFiles").skip(1);
    let part = parts.next()?;
    let target = match part.strip_suffix(b".dir") {
        Some(target) => target,
        None if parts.next().is_some() => return None,
        None => part.strip_suffix(b".util").unwrap_or(part),
    };
    Some(String::from_utf8_lossy(target).into_owned())
}
