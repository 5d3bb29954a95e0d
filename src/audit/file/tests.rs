use super::*;
use airtight_policy::build::{
    Action, ActionId, Attribution, Graph, Input, Nature, Owner, Run, RunId, Span, Via,
};
use airtight_recording::{Completeness, Exit, PathId, Process, ProcessId};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

fn recording(processes: u32) -> Recording {
    let process = |id: u32| Process {
        id: ProcessId(id),
        parent: id.checked_sub(1).map(ProcessId),
        pid: 100 + id,
        start: u64::from(id),
        images: Vec::new(),
        exit: Some((1000 + u64::from(id), Exit::Code(0))),
    };
    let mut recording = Recording {
        processes: (0..processes).map(process).collect(),
        syscalls: vec![String::new()],
        end: Some(Completeness::Complete),
        ..Recording::default()
    };
    recording.header.command = vec![b"make".to_vec()];
    recording
}

/// Builds whose numbers all mean something.
fn build(processes: u32) -> impl Strategy<Value = Build> {
    let name = vec(any::<u8>(), 1..6);
    let names = proptest::collection::btree_set(name, 1..6);
    let natures = [Nature::Normal, Nature::Always, Nature::Configure, Nature::Alias];
    let action =
        (any::<String>(), vec(any::<Index>(), 0..3), select(natures.to_vec()), any::<bool>());
    let actions = vec(action, 1..5);
    let runs = vec((0..processes, any::<Option<Index>>(), vec(any::<String>(), 0..3)), 0..3);
    let owners = vec((any::<Index>(), 0..4u8, any::<u64>()), processes as usize);
    (names, actions, runs, owners).prop_map(|(names, actions, runs, owners)| {
        let mut graph = Graph::default();
        let paths: Vec<PathId> = names.iter().map(|name| graph.paths.intern(name)).collect();
        let number = |index: &Index| *index.get(&paths);
        for (name, indices, nature, closed) in &actions {
            graph.add(Action {
                name: name.clone(),
                outputs: indices.iter().map(number).collect(),
                inputs: indices
                    .iter()
                    .map(|i| Input { path: number(i), via: Via::Depfile })
                    .collect(),
                nature: *nature,
                closed: *closed,
                run: (!runs.is_empty() && *closed).then_some(RunId(0)),
                ..Action::default()
            });
        }
        let action = |index: &Index| ActionId(index.index(actions.len()) as u32);
        graph.runs = runs
            .iter()
            .map(|(process, within, argv)| Run {
                tool: "make".to_owned(),
                process: ProcessId(*process),
                since: 7,
                cwd: paths[0],
                argv: argv.clone(),
                within: within.as_ref().map(action),
            })
            .collect();
        let owner = |index: &Index, kind| match (kind, runs.len()) {
            (0, _) | (_, 0) => Owner::Action(action(index)),
            (1, count) => Owner::Tool(RunId(index.index(count) as u32)),
            (2, count) => Owner::Parsing(RunId(index.index(count) as u32)),
            (_, count) => Owner::Nobody(RunId(index.index(count) as u32)),
        };
        let spans = (0u32..).zip(&owners).map(|(process, (index, kind, since))| Span {
            process: ProcessId(process),
            since: *since,
            owner: owner(index, *kind),
        });
        let attribution = Attribution::new(spans.collect());
        Build { workspace: b"/w\xff".to_vec(), home: b"/root".to_vec(), graph, attribution }
    })
}

fn head(build: Build) -> Head {
    let asked = serde_json::json!({"adapter": "auto"});
    Head { airtight: "1".to_owned(), asked, loaded: true, build }
}

fn written(head: &Head, recording: &Recording) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(head, recording, &mut bytes).expect("memory can be written");
    bytes
}

fn text(head: &Head) -> String {
    serde_json::to_string(head).expect("it can be written")
}

/// A file with this text in place of the head, and all sums right.
fn with_head(json: &str) -> Vec<u8> {
    let whole = written(&head(Build::default()), &recording(2));
    let length = u64::from_le_bytes(whole[9..17].try_into().expect("8 bytes"));
    let frame = zstd::encode_all(json.as_bytes(), 1).expect("memory can be written");
    let rest = &whole[17 + length as usize..];
    [&whole[..9], &(frame.len() as u64).to_le_bytes(), &frame, rest].concat()
}

proptest! {
    #[test]
    fn what_is_written_is_read(build in build(4)) {
        let (head, recording) = (head(build), recording(4));
        let saved = read(&written(&head, &recording)[..], Limits::default());
        let saved = saved.map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(text(&saved.head), text(&head));
        prop_assert!(saved.recording == recording);
    }

    #[test]
    fn no_change_of_a_byte_changes_what_is_read(build in build(3), at: Index, bits in 1..=255u8) {
        let (head, recording) = (head(build), recording(3));
        let mut bytes = written(&head, &recording);
        let at = at.index(bytes.len());
        bytes[at] ^= bits;
        // A frame of zstd has bits that mean nothing.
        if let Ok(saved) = read(&bytes[..], Limits::default()) {
            prop_assert_eq!(text(&saved.head), text(&head));
            prop_assert!(saved.recording == recording);
        }
    }

    #[test]
    fn no_part_of_a_file_is_taken_for_a_whole(build in build(3), at: Index) {
        let bytes = written(&head(build), &recording(3));
        prop_assert!(read(&bytes[..at.index(bytes.len())], Limits::default()).is_err());
        let more = [&bytes[..], b"x"].concat();
        prop_assert!(read(&more[..], Limits::default()).is_err());
    }

    #[test]
    fn any_numbers_are_held_against_what_they_mean(build in build(2), at: Index, digit in "[0-9]{1,10}") {
        // One number of the JSON is replaced by another.
        let json = text(&head(build));
        let numbers: Vec<_> = json
            .char_indices()
            .filter(|&(at, c)| c.is_ascii_digit() && !json[..at].ends_with(|c: char| c.is_ascii_digit()))
            .map(|(at, _)| at)
            .collect();
        let start = *at.get(&numbers);
        let end = start + json[start..].find(|c: char| !c.is_ascii_digit()).unwrap_or(0);
        let json = format!("{}{digit}{}", &json[..start], &json[end..]);
        if let Ok(saved) = read(&with_head(&json)[..], Limits::default()) {
            let policy = airtight_policy::Policy::default();
            let options = airtight_policy::build::Options::default();
            airtight_policy::build::judge(&saved.head.build, &policy, &saved.recording, options);
        }
    }
}

#[track_caller]
fn refused(bytes: &[u8]) -> String {
    read(bytes, Limits { bytes: 1 << 16 }).expect_err("it is refused").to_string()
}

#[test]
fn errors_say_what_is_wrong() {
    let mut build = Build { workspace: b"/w".to_vec(), ..Build::default() };
    build.graph.add(Action::default());
    let good = Head { loaded: false, ..head(build.clone()) };
    let whole = written(&good, &recording(2));
    assert!(read(&whole[..], Limits::default()).is_ok());
    assert_eq!(refused(b"something else"), "not the file of an audit");
    assert_eq!(refused(&whole[..8]), "cut off in the part on the build");
    assert_eq!(refused(&whole[..12]), "cut off in the part on the build");
    assert_eq!(refused(&whole[..20]), "cut off in the part on the build");
    let end = refused(&whole[..whole.len() - 1]);
    assert!(end.starts_with("the recording in it: cut off"), "{end}");
    let mut newer = whole.clone();
    newer[8] = 9;
    assert_eq!(refused(&newer), "written by a newer airtight (audit format 9, this one knows 1)");
    // A small file that unpacks to a large one.
    let bomb = format!("{}{}", text(&good), " ".repeat(1 << 20));
    assert_eq!(refused(&with_head(&bomb)), "the part on the build has more than 65536 bytes");
    let what = |json: &str| refused(&with_head(json));
    assert!(what("{}").starts_with("damaged in the part on the build: missing field"));
    let loaded = text(&head(build.clone()));
    assert_eq!(what(&loaded), "damaged in the part on the build: a process has no owner");
    let relative = text(&good).replace("\"/w\"", "\"w\"");
    assert!(what(&relative).ends_with("the workspace has no absolute name"));
    build.graph.actions[0].outputs = vec![PathId(5)];
    let dangling = text(&Head { loaded: false, ..head(build) });
    assert!(what(&dangling).ends_with("action 0 names path 5, and there are 1"));
}
