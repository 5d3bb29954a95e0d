//! Tells how far a long build is.

use crate::adapter::Adapter;
use crate::printer::Printer;
use airtight_recording::{Event, ProcessId, Recording, Sink};
use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};

/// How often a line is written that stays.
const LINES: Duration = Duration::from_secs(30);

/// How often the one line of status is written anew.
const STATUS: Duration = Duration::from_millis(500);

/// Keeps the recording and counts what goes by.
pub(crate) struct Progress<'a> {
    /// What was recorded so far.
    pub(crate) recording: Recording,
    printer: &'a Printer,
    adapters: &'a [Box<dyn Adapter>],
    /// The processes that are build tools.
    tools: HashSet<ProcessId>,
    /// How many processes have ended that a build tool had started.
    commands: u64,
    started: Instant,
    told: Instant,
    /// Whether something stands in the line of status.
    status: bool,
}

impl<'a> Progress<'a> {
    /// Begins to count.
    pub(crate) fn new(printer: &'a Printer, adapters: &'a [Box<dyn Adapter>]) -> Progress<'a> {
        let now = Instant::now();
        Progress {
            recording: Recording::default(),
            printer,
            adapters,
            tools: HashSet::new(),
            commands: 0,
            started: now,
            told: now,
            status: false,
        }
    }

    /// Says what is done after the build. Only to those who watch, or who have waited for long.
    pub(crate) fn phase(&mut self, what: &str) {
        if self.printer.watched() {
            self.printer.status(what);
            self.status = true;
        } else if self.started.elapsed() >= LINES {
            self.printer.tell(format!("airtight: {what}\n"));
        }
    }

    /// Takes the line of status away. To be called before anything else is written.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.status) {
            self.printer.status("");
        }
    }

    fn count(&mut self, event: &Event<'_>) {
        match *event {
            Event::Image(process, image)
                if self.adapters.iter().any(|a| a.is_run(&self.recording, image)) =>
            {
                self.tools.insert(process);
            }
            Event::Exit(process, ..) => {
                let process = self.recording.processes.get(process.0 as usize);
                if process.and_then(|p| p.parent).is_some_and(|up| self.tools.contains(&up)) {
                    self.commands += 1;
                }
                self.tell();
            }
            _ => {}
        }
    }

    fn tell(&mut self) {
        // While the build runs, the terminal belongs to it if it writes there: then a line of
        // status would stand between its own words.
        let alone = self.printer.watched() && !self.printer.shared();
        if self.told.elapsed() < if alone { STATUS } else { LINES } {
            return;
        }
        self.told = Instant::now();
        let seconds = self.started.elapsed().as_secs();
        let text = format!(
            "airtight: {}:{:02}, {} commands done, {} processes, {} paths",
            seconds / 60,
            seconds % 60,
            self.commands,
            self.recording.processes.len(),
            self.recording.paths.len()
        );
        if alone {
            self.printer.status(&text);
            self.status = true;
        } else {
            self.printer.tell(text + "\n");
        }
    }
}

impl Sink for Progress<'_> {
    fn put(&mut self, event: &Event<'_>) -> io::Result<()> {
        self.recording.put(event)?;
        self.count(event);
        Ok(())
    }
}
