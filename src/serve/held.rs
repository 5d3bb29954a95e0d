//! Results that were found for a client and are not written yet: it looks for many results ahead of
//! the build, and wants no file to change before its turn has come.

use super::answer::{Answer, Done, Hit, Miss};
use super::daemon::{Counted, Daemon};
use super::message::{Failure, Restore};
use super::runs::Runs;
use super::subject::Subject;
use crate::caching::Session;
use airtight_cache as cache;

/// A result that was found.
pub(super) struct Held {
    subject: Subject,
    session: Box<Session>,
    hit: cache::Hit,
    _counted: Counted,
}

impl Daemon {
    /// Keeps a hit, and tells of it.
    pub(super) fn hold(
        &self,
        subject: Subject,
        hit: cache::Hit,
        session: Box<Session>,
        runs: &Runs,
    ) -> Result<Answer, Failure> {
        let (_, token) = self.token();
        let answer = self.hit(&hit, &session, false);
        let held = Held { subject, session, hit, _counted: Counted::new(&self.runs) };
        runs.hold(token.clone(), held)?;
        Ok(Answer::Hit(Box::new(Hit { token: Some(token), ..answer })))
    }

    /// Writes the outputs of a result that was kept.
    pub(super) fn restore(&self, restore: &Restore, runs: &Runs) -> Result<Answer, Failure> {
        let Held { subject, session, hit, .. } = runs.release(&restore.token)?;
        Ok(match session.write(&subject.declaration, &self.config, &hit) {
            Ok(notes) => Answer::Done(Done { notes }),
            Err(miss) => Answer::Miss(Miss {
                reason: miss.reason.name(),
                key: Some(session.action.weak().to_string()),
                uncacheable: None,
                notes: miss.notes,
            }),
        })
    }
}
