//! All or nothing: outputs are built under temporary names, then take the places of the old ones.

use super::place::{Place, Places};
use super::room::Room;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::RenameFlags;
use rustix::io::Errno;
use std::rc::Rc;

/// Outputs on their way into the workspace. When it is dropped before [`Transaction::commit`] has
/// succeeded, everything is as it was.
#[derive(Debug)]
pub(super) struct Transaction {
    rooms: Vec<(Rc<OwnedFd>, Room)>,
    staged: Vec<Staged>,
    /// How many of `staged` stand in their places, and what was there.
    done: Vec<Old>,
    /// Last, so that directories that were made are removed when the rooms in them are gone.
    places: Places,
}

/// An output that is complete under a temporary name.
#[derive(Debug)]
struct Staged {
    place: Place,
    room: usize,
    temporary: String,
}

/// What stood where an output now stands.
#[derive(Debug)]
enum Old {
    Nothing,
    /// It has the output's temporary name now.
    Exchanged,
    /// It has this temporary name now.
    Aside(String),
}

impl Transaction {
    pub(super) fn new(places: Places) -> Transaction {
        Transaction { rooms: Vec::new(), staged: Vec::new(), done: Vec::new(), places }
    }

    /// Where outputs stand.
    pub(super) fn places(&mut self) -> &mut Places {
        &mut self.places
    }

    /// Builds an output under a temporary name next to `place`.
    pub(super) fn stage<E: From<Errno>>(
        &mut self,
        place: &Place,
        build: impl FnOnce(BorrowedFd<'_>, &str) -> Result<(), E>,
    ) -> Result<(), E> {
        let known = self.rooms.iter().position(|(dir, _)| Rc::ptr_eq(dir, &place.dir));
        let room = match known {
            Some(room) => room,
            None => {
                self.rooms.push((Rc::clone(&place.dir), Room::open(&place.dir)?));
                self.rooms.len() - 1
            }
        };
        let temporary = self.rooms[room].1.name();
        build(place.dir.as_fd(), &temporary)?;
        self.staged.push(Staged { place: place.clone(), room, temporary });
        Ok(())
    }

    /// Puts everything into its place.
    ///
    /// # Errors
    /// The path of the output for which it failed, and why.
    pub(super) fn commit(mut self) -> Result<(), (String, Errno)> {
        for at in self.done.len()..self.staged.len() {
            let staged = &self.staged[at];
            let room = &mut self.rooms[staged.room].1;
            let old = put(staged, room).map_err(|errno| (staged.place.path(), errno))?;
            if !matches!(old, Old::Exchanged) {
                room.release(&staged.temporary);
            }
            self.done.push(old);
        }
        self.done.clear();
        self.places.keep();
        Ok(())
    }
}

/// Puts one output into its place.
fn put(staged: &Staged, room: &mut Room) -> Result<Old, Errno> {
    let Staged { place: Place { dir, name, .. }, temporary, .. } = staged;
    let rename = |flags| rustix::fs::renameat_with(dir, temporary, dir, name, flags);
    loop {
        match rename(RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(Old::Nothing),
            Err(Errno::EXIST) => {}
            Err(Errno::INVAL | Errno::NOSYS) => break,
            Err(error) => return Err(error),
        }
        match rename(RenameFlags::EXCHANGE) {
            Ok(()) => return Ok(Old::Exchanged),
            // Somebody has removed it meanwhile.
            Err(Errno::NOENT) => {}
            Err(Errno::INVAL | Errno::NOSYS) => break,
            Err(error) => return Err(error),
        }
    }
    put_aside(staged, room)
}

/// The same on a file system that can't exchange names, such as NFS.
fn put_aside(staged: &Staged, room: &mut Room) -> Result<Old, Errno> {
    let Staged { place: Place { dir, name, .. }, temporary, .. } = staged;
    let aside = room.name();
    let old = match rustix::fs::renameat(dir, name, dir, &aside) {
        Ok(()) => Old::Aside(aside.clone()),
        Err(Errno::NOENT) => Old::Nothing,
        Err(error) => return Err(error),
    };
    match (rustix::fs::renameat(dir, temporary, dir, name), old) {
        (Ok(()), old) => Ok(old),
        (Err(error), Old::Aside(aside)) => {
            if rustix::fs::renameat(dir, &aside, dir, name).is_err() {
                // Better a leftover than a loss.
                room.release(&aside);
            }
            Err(error)
        }
        (Err(error), _) => Err(error),
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let done = std::mem::take(&mut self.done);
        for (staged, old) in self.staged.iter().zip(done).rev() {
            let Staged { place: Place { dir, name, .. }, room, temporary } = staged;
            let room = &mut self.rooms[*room].1;
            let rename = |from: &str, to: &str| rustix::fs::renameat(dir, from, dir, to);
            // What can't be put back keeps its temporary name rather than being removed.
            match old {
                Old::Nothing => {
                    if rename(name, temporary).is_ok() {
                        room.take(temporary);
                    }
                }
                Old::Exchanged => {
                    let flags = RenameFlags::EXCHANGE;
                    if rustix::fs::renameat_with(dir, temporary, dir, name, flags).is_err() {
                        room.release(temporary);
                    }
                }
                Old::Aside(aside) => {
                    room.release(&aside);
                    if rename(name, temporary).is_ok() {
                        room.take(temporary);
                        let _ = rename(&aside, name);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    /// A transaction with `new` staged for `name`, put into place without exchange.
    fn staged(
        dir: &std::path::Path,
        name: &str,
    ) -> Result<Transaction, Box<dyn std::error::Error>> {
        let mut transaction = Transaction::new(Places::new(dir, true)?);
        let place = transaction.places().find(name).map_err(|error| format!("{error:?}"))?;
        transaction.stage(&place, |dir, temporary| rustix::fs::symlinkat("new", dir, temporary))?;
        let Transaction { rooms, staged, done, .. } = &mut transaction;
        let old = put_aside(&staged[0], &mut rooms[0].1)?;
        rooms[0].1.release(&staged[0].temporary);
        done.push(old);
        Ok(transaction)
    }

    fn names(dir: &std::path::Path) -> Result<Vec<String>, std::io::Error> {
        fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().display().to_string())).collect()
    }

    #[test]
    fn without_exchange_the_old_is_replaced_or_put_back() -> Outcome {
        let dir = tempfile::tempdir()?;
        let (dir, out) = (dir.path(), dir.path().join("out"));
        for old in ["nothing", "file", "directory"] {
            for commit in [true, false] {
                match old {
                    "file" => fs::write(&out, "old")?,
                    "directory" => fs::create_dir_all(out.join("old"))?,
                    _ => {}
                }
                let transaction = staged(dir, "out")?;
                assert_eq!(fs::read_link(&out)?.to_str(), Some("new"), "{old}");
                if commit {
                    transaction.commit().map_err(|(path, errno)| format!("{path}: {errno}"))?;
                    assert_eq!(fs::read_link(&out)?.to_str(), Some("new"), "{old}");
                    assert_eq!(names(dir)?, ["out"], "{old}");
                    fs::remove_file(&out)?;
                    continue;
                }
                drop(transaction);
                match old {
                    "file" => assert_eq!(fs::read(&out)?, b"old"),
                    "directory" => assert!(out.join("old").is_dir()),
                    _ => assert!(!out.exists()),
                }
                assert_eq!(names(dir)?.len(), usize::from(old != "nothing"), "{old}");
                let _ = fs::remove_file(&out).or_else(|_| fs::remove_dir_all(&out));
            }
        }
        Ok(())
    }
}
