//! `airtight cache get --entry`

use super::{Name, existing};
use crate::command::json;
use crate::config::Config;
use crate::error::Error;
use crate::exit::Status;
use crate::output::Output;
use crate::printer::Printer;
use airtight_cache::{ActionDigest, Digest, Entry, Record, RecordError};
use serde_json::{Value, json as value};
use std::io::Write as _;
use std::path::Path;

pub(super) fn get(
    name: &Name,
    output: Option<&Path>,
    config: &Config,
    printer: &Printer,
) -> Result<Status, Error> {
    let store = existing(config)?;
    let record = match store.map(|store| store.inspect(name.digest.hash())).transpose() {
        Ok(record) => record.flatten(),
        Err(RecordError::Store(error)) if !error.is_damage() => return Err(error.into()),
        Err(error) => {
            printer.error(&error.to_string(), &[]);
            return Ok(Status::Unavailable);
        }
    };
    let document = match &record {
        Some(Record::Result { action, entry, checked }) => result(action, entry, *checked),
        Some(Record::PathSets(sets)) => {
            let sets: Vec<String> = sets.iter().map(Digest::to_string).collect();
            value!({ "version": 1, "path_sets": sets })
        }
        _ => {
            printer.error("the local store has no such entry", &[]);
            return Ok(Status::Findings);
        }
    };
    let text = json(&document)?;
    match output {
        None => printer.data(text).map_err(Error::Stdout)?,
        Some(path) => {
            let mut file = Output::create(path)?;
            file.file().write_all(text.as_bytes()).map_err(Error::file(path, "can't write"))?;
            file.commit()?;
        }
    }
    Ok(Status::Success)
}

/// The JSON form. Fields may be added; none is taken away or given another meaning.
fn result(action: &ActionDigest, entry: &Entry, checked: bool) -> Value {
    let (result, from) = (&entry.result, &entry.provenance);
    let text = |digest: &Digest| digest.to_string();
    let files = result.files.iter().map(|file| {
        value!({
            "path": file.path,
            "digest": text(&file.digest),
            "mode": format!("{:o}", file.mode),
        })
    });
    let links = result.links.iter().map(|l| value!({ "path": l.path, "target": l.target }));
    let directories = result.directories.iter();
    let directories = directories.map(|d| value!({ "path": d.path, "tree": text(&d.tree) }));
    value!({
        "version": 1,
        "key": action.to_string(),
        "files": files.collect::<Vec<_>>(),
        "links": links.collect::<Vec<_>>(),
        "directories": directories.collect::<Vec<_>>(),
        "stdout": result.stdout.as_ref().map(text),
        "stderr": result.stderr.as_ref().map(text),
        // False where the store lacks what the signature is checked with.
        "checked": checked,
        "signer": entry.signer,
        "provenance": {
            "airtight": from.version,
            "policy": from.policy,
            "verdict": from.verdict,
            "recording": from.recording,
            "accesses": from.accesses,
            "processes": from.processes,
            "backend": from.backend,
            "host": from.host,
            "time": from.time,
            "milliseconds": from.duration,
            "umask": format!("{:03o}", from.umask),
        },
    })
}
