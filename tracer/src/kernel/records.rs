//! The side-band records of perf_event_open(2), parsed. Pure: bytes in, values out.

/// What became of a task. Times are CLOCK_MONOTONIC in nanoseconds; pids are those of the pid
/// namespace in which the recording was begun, 0 for a task outside of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// A task was made: a process if `tid` is `pid`, else a thread of `pid`.
    Fork { time: u64, pid: i32, tid: i32, parent: i32 },
    /// A process executed a program: it has one thread now, whose id is the pid.
    Exec { time: u64, pid: i32, comm: Vec<u8> },
    /// A process mapped a file to execute code of it.
    Map { time: u64, pid: i32, file: Vec<u8> },
    /// A task ends. What it has open is closed after this.
    Exit { time: u64, pid: i32, tid: i32 },
    /// So many records did not fit.
    Lost { time: u64, count: u64 },
}

impl Record {
    /// When it was.
    pub(crate) fn time(&self) -> u64 {
        match self {
            Record::Fork { time, .. }
            | Record::Exec { time, .. }
            | Record::Map { time, .. }
            | Record::Exit { time, .. }
            | Record::Lost { time, .. } => *time,
        }
    }
}

/// What is no record, so that nothing behind it can be read either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

const LOST: u32 = 2;
const COMM: u32 = 3;
const EXIT: u32 = 4;
const FORK: u32 = 7;
const MMAP2: u32 = 10;
/// Where the name is in a `PERF_RECORD_MMAP2`, behind the header.
const MAP_NAME: usize = 64;
/// `PERF_RECORD_MISC_COMM_EXEC`: the name changed by an exec, not by prctl(2).
const MISC_COMM_EXEC: u16 = 1 << 13;
/// `struct perf_event_header`.
const HEADER: usize = 8;
/// `TASK_COMM_LEN`.
const COMM_LENGTH: usize = 16;
/// `PATH_MAX`, and what the kernel may add to a name: ` (deleted)`.
const PATH_LENGTH: usize = 4096 + 16;

/// Reads all records in `bytes`.
///
/// # Errors
/// At the first that is none; those before it have been given out.
pub(crate) fn parse(mut bytes: &[u8], mut each: impl FnMut(Record)) -> Result<(), Malformed> {
    while !bytes.is_empty() {
        let kind = word(bytes, 0)?;
        let misc = half(bytes, 4)?;
        let size = usize::from(half(bytes, 6)?);
        if size < HEADER || size % 8 != 0 {
            return Err(Malformed);
        }
        let record = bytes.get(..size).ok_or(Malformed)?;
        if let Some(record) = one(kind, misc, &record[HEADER..])? {
            each(record);
        }
        bytes = &bytes[size..];
    }
    Ok(())
}

/// One record's body: its own fields, then the time (`sample_id_all` with `PERF_SAMPLE_TIME`).
fn one(kind: u32, misc: u16, body: &[u8]) -> Result<Option<Record>, Malformed> {
    if !matches!(kind, LOST | COMM | EXIT | FORK | MMAP2) {
        return Ok(None);
    }
    let fields = body.len().checked_sub(8).ok_or(Malformed)?;
    let time = long(body, fields)?;
    let body = &body[..fields];
    let pid = |at| word(body, at).map(|number| number as i32);
    Ok(Some(match kind {
        FORK => Record::Fork { time, pid: pid(0)?, parent: pid(4)?, tid: pid(8)? },
        EXIT => Record::Exit { time, pid: pid(0)?, tid: pid(8)? },
        LOST => Record::Lost { time, count: long(body, 8)? },
        MMAP2 => Record::Map { time, pid: pid(0)?, file: text(body, MAP_NAME, PATH_LENGTH)? },
        _ if misc & MISC_COMM_EXEC == 0 => return Ok(None),
        _ => Record::Exec { time, pid: pid(0)?, comm: text(body, 8, COMM_LENGTH)? },
    }))
}

/// The text that begins at `at` and ends with a NUL within `most` bytes.
fn text(bytes: &[u8], at: usize, most: usize) -> Result<Vec<u8>, Malformed> {
    let text = bytes.get(at..).ok_or(Malformed)?;
    let end = text.iter().position(|byte| *byte == 0).filter(|end| *end < most);
    end.map(|end| text[..end].to_vec()).ok_or(Malformed)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Malformed> {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or(Malformed)
}

fn half(bytes: &[u8], at: usize) -> Result<u16, Malformed> {
    array(bytes, at).map(u16::from_ne_bytes)
}

fn word(bytes: &[u8], at: usize) -> Result<u32, Malformed> {
    array(bytes, at).map(u32::from_ne_bytes)
}

fn long(bytes: &[u8], at: usize) -> Result<u64, Malformed> {
    array(bytes, at).map(u64::from_ne_bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A record as the kernel writes it.
    pub(crate) fn written(record: &Record) -> Vec<u8> {
        let words = |words: &[i32]| words.iter().flat_map(|w| w.to_ne_bytes()).collect::<Vec<u8>>();
        let (kind, misc, mut body) = match record {
            Record::Fork { time, pid, tid, parent } => {
                let fields = words(&[*pid, *parent, *tid, *parent]);
                (FORK, 0, [fields, time.to_ne_bytes().to_vec()].concat())
            }
            Record::Exit { time, pid, tid } => {
                let fields = words(&[*pid, 1, *tid, 1]);
                (EXIT, 0, [fields, time.to_ne_bytes().to_vec()].concat())
            }
            Record::Exec { pid, comm, .. } => {
                let mut body = [words(&[*pid, *pid]), comm.clone(), vec![0]].concat();
                body.resize(body.len().next_multiple_of(8), 0);
                (COMM, MISC_COMM_EXEC, body)
            }
            Record::Map { pid, file, .. } => {
                let mut body = words(&[*pid, *pid]);
                body.resize(MAP_NAME, 7);
                body.extend_from_slice(file);
                body.push(0);
                body.resize(body.len().next_multiple_of(8), 0);
                (MMAP2, 0, body)
            }
            Record::Lost { count, .. } => {
                (LOST, 0, [7u64.to_ne_bytes(), count.to_ne_bytes()].concat())
            }
        };
        body.extend(record.time().to_ne_bytes());
        let size = (HEADER + body.len()) as u16;
        [&kind.to_ne_bytes()[..], &u16::to_ne_bytes(misc), &size.to_ne_bytes(), &body].concat()
    }

    fn record() -> impl Strategy<Value = Record> {
        let pid = 0..1000i32;
        prop_oneof![
            (any::<u64>(), pid.clone(), pid.clone(), pid.clone())
                .prop_map(|(time, pid, tid, parent)| Record::Fork { time, pid, tid, parent }),
            (any::<u64>(), pid.clone(), prop::collection::vec(1..=255u8, 0..16))
                .prop_map(|(time, pid, comm)| Record::Exec { time, pid, comm }),
            (any::<u64>(), pid.clone(), prop::collection::vec(1..=255u8, 0..90))
                .prop_map(|(time, pid, file)| Record::Map { time, pid, file }),
            (any::<u64>(), pid.clone(), pid).prop_map(|(time, pid, tid)| Record::Exit {
                time,
                pid,
                tid
            }),
            (any::<u64>(), any::<u64>()).prop_map(|(time, count)| Record::Lost { time, count }),
        ]
    }

    fn read(bytes: &[u8]) -> (Vec<Record>, Result<(), Malformed>) {
        let mut records = Vec::new();
        let end = parse(bytes, |record| records.push(record));
        (records, end)
    }

    proptest! {
        #[test]
        fn what_the_kernel_writes_is_read(records in prop::collection::vec(record(), 0..20)) {
            let bytes: Vec<u8> = records.iter().flat_map(written).collect();
            prop_assert_eq!(read(&bytes), (records, Ok(())));
        }

        #[test]
        fn a_part_of_a_record_is_malformed(records in prop::collection::vec(record(), 1..5),
                                           cut in 1..24usize) {
            let bytes: Vec<u8> = records.iter().flat_map(written).collect();
            let (read, end) = read(&bytes[..bytes.len() - cut]);
            prop_assert_eq!(read, &records[..records.len() - 1]);
            prop_assert_eq!(end, Err(Malformed));
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let (records, _) = read(&bytes);
            prop_assert!(records.len() <= bytes.len() / HEADER);
        }

        #[test]
        fn a_damaged_record_is_read_without_harm(record in record(), at in 0..32usize, byte: u8) {
            let mut bytes = written(&record);
            bytes[at.min(31)] = byte;
            prop_assert!(read(&bytes).0.len() <= bytes.len() / HEADER);
        }
    }

    #[test]
    fn other_records_are_passed_over() {
        // PERF_RECORD_THROTTLE, and a name that prctl(2) has set.
        let throttle = [&5u32.to_ne_bytes()[..], &[0, 0], &8u16.to_ne_bytes()].concat();
        let mut renamed = written(&Record::Exec { time: 3, pid: 4, comm: b"x".to_vec() });
        renamed[4..6].fill(0);
        let fork = Record::Fork { time: 1, pid: 2, tid: 2, parent: 1 };
        assert_eq!(read(&[throttle, renamed, written(&fork)].concat()), (vec![fork], Ok(())));
    }
}
