//! What the local store knows of an action: for people who ask why there was no hit.

use super::find::Search;
use super::{Cache, Restore};
use crate::entry::{Damage, Entry};
use crate::key::{Action, Change, KeyDescription, Look, PathSet, States};
use crate::outputs;
use airtight_policy::ActionDigest;
use airtight_recording::Digest;

/// A path set that stands under an action's weak key.
#[derive(Debug)]
pub struct KnownSet {
    /// The digest of the set.
    pub set: Digest,
    /// The paths.
    pub paths: PathSet,
    /// The state of each of them as things are now.
    pub states: States,
    /// The strong key that this makes.
    pub strong: ActionDigest,
    /// What stands under it.
    pub entry: KnownEntry,
}

/// What stands under a strong key in the local store.
#[derive(Debug)]
#[non_exhaustive]
pub enum KnownEntry {
    /// Nothing.
    None,
    /// A result that can be restored, as far as that can be told without hashing its outputs.
    Whole(Box<Entry>),
    /// A result of which the store lacks something.
    Lacking(String),
    /// Something that is not believed.
    Damaged(Damage),
    /// Something that can't be read.
    Unreadable(String),
}

/// What the local store knows of an action.
#[derive(Debug)]
pub struct Known {
    /// The path sets, the newest first. Those that are damaged or gone are left out.
    pub sets: Vec<KnownSet>,
    /// How many stand under the weak key, readable or not.
    pub listed: usize,
    /// What was found damaged on the way, one line each.
    pub notes: Vec<String>,
}

/// The description of the published key that is most like an action's.
#[derive(Debug)]
pub struct Nearest {
    /// What that key was made of.
    pub description: KeyDescription,
    /// What is different now.
    pub changes: Vec<Change>,
}

impl Cache {
    /// What the local store knows of `action`. Restores nothing and counts nothing; what is found
    /// damaged is removed, as by a look-up.
    pub fn known(&self, action: &Action, look: &Look<'_>) -> Known {
        let mut search = Search::new(self, action, look, Restore::Nothing);
        let listed = search.path_sets().unwrap_or_default();
        let mut sets = Vec::new();
        for set in &listed {
            let Some(paths) = search.path_set(None, set) else { continue };
            let states = look.states(&paths);
            let strong = action.strong_digest(set, &states.digest);
            let entry = self.known_entry(action, &strong);
            sets.push(KnownSet { set: *set, paths, states, strong, entry });
        }
        Known { sets, listed: listed.len(), notes: search.notes }
    }

    fn known_entry(&self, action: &Action, strong: &ActionDigest) -> KnownEntry {
        let bytes = match self.local.get_entry(&strong.0) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return KnownEntry::None,
            Err(error) => return KnownEntry::Unreadable(error.to_string()),
        };
        let entry = match Entry::decode(&bytes, action, strong, &self.options.trusted) {
            Ok(entry) => entry,
            Err(damage) => return KnownEntry::Damaged(damage),
        };
        match outputs::needed(&entry.result, &self.local, u64::MAX) {
            Ok(needed) => match needed.missing.first() {
                None => KnownEntry::Whole(Box::new(entry)),
                Some(first) => {
                    let all = needed.missing.len();
                    KnownEntry::Lacking(format!("{all} of its blobs are gone, {first} among them"))
                }
            },
            Err(error) => KnownEntry::Lacking(error.to_string()),
        }
    }

    /// The description that differs least from what the key of `action` is made of now, of those
    /// kept for actions with the same outputs in the same directory; the newest of several. None
    /// when no such action was published from this store.
    pub fn nearest(&self, action: &Action, look: &Look<'_>) -> Option<Nearest> {
        let names = KeyDescription::names(action);
        let descriptions = names.iter().filter_map(|name| {
            let description = KeyDescription::decode(&self.local.get_description(name)?)?;
            let changes = description.changes(action, look);
            Some(Nearest { description, changes })
        });
        descriptions.min_by_key(|near| (near.changes.len(), -near.description.time))
    }
}
