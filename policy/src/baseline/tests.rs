//! Parsing, matching and editing together: most of it is about what an edit makes of what was
//! matched.

use super::{Baseline, Change, Edit, create};
use crate::build::{Action, ActionId, ActionVerdict, Build, BuildVerdict, Nature};
use crate::finding::{Finding, PathBytes};
use crate::policy::{Date, Policy, Reaction, Severity};
use crate::rules::Rule;
use crate::source::Source;
use crate::verdict::KnownBy;
use airtight_recording::{Completeness, Exit};
use proptest::prelude::*;
use std::collections::BTreeSet;

const TODAY: Date = Date { year: 2026, month: 11, day: 21 };

/// A build in `/ws` that ran these actions; of those with a `-` it has them only.
fn build(names: &[&str]) -> (Build, BuildVerdict) {
    let mut build =
        Build { workspace: b"/ws".to_vec(), home: b"/home/u".to_vec(), ..Build::default() };
    let mut verdict = BuildVerdict {
        exit: Some(Exit::Code(0)),
        completeness: Some(Completeness::Complete),
        ..BuildVerdict::default()
    };
    let command = ["make"];
    for name in command.iter().chain(names) {
        let ran = !name.starts_with('-');
        let name = name.trim_start_matches('-').to_owned();
        let nature = Nature::Normal;
        let id = build.graph.add(Action { name: name.clone(), nature, ..Action::default() });
        if ran {
            let action = ActionVerdict {
                id: ActionId(id.0),
                name,
                declared_at: None,
                processes: 1,
                findings: 0,
                uncacheable: Vec::new(),
            };
            verdict.actions.push(action);
        }
    }
    (build, verdict)
}

fn finding(rule: Rule, action: &str, path: impl AsRef<[u8]>) -> Finding {
    let path = path.as_ref();
    let mut finding = Finding {
        id: String::new(),
        rule,
        slug: rule.slug(),
        severity: Severity::Error,
        reaction: Reaction::Fail,
        action: action.to_owned(),
        declared_at: None,
        path: PathBytes(path.to_vec()),
        subject: crate::display(path, b"/ws").into_owned(),
        kind: None,
        count: 1,
        message: String::new(),
        evidence: None,
        related: Vec::new(),
        effect: String::new(),
        fix: String::new(),
        group: String::new(),
        enforced: false,
        missing_generated: false,
        confirmed: None,
        fingerprint: String::new(),
    };
    finding.seal();
    finding
}

fn parse(text: &str) -> Baseline {
    Baseline::parse(Source { name: "b.toml", text }).unwrap()
}

fn wrong(text: &str) -> String {
    Baseline::parse(Source { name: "b.toml", text }).unwrap_err().to_string()
}

/// A verdict in which each of `findings` is also counted by its action.
fn with(findings: Vec<Finding>, names: &[&str]) -> (Build, BuildVerdict) {
    let (build, mut verdict) = build(names);
    for finding in &findings {
        for action in verdict.actions.iter_mut().filter(|a| a.name == finding.action) {
            action.findings += 1;
        }
    }
    verdict.findings = findings;
    (build, verdict)
}

fn update(text: &str, build: &Build, verdict: &BuildVerdict, accept: &[Rule]) -> Edit {
    let baseline = parse(text);
    let standings = baseline.standings(verdict, build, Some(TODAY));
    let accept: BTreeSet<Rule> = accept.iter().copied().collect();
    baseline.update(verdict, build, &standings, &accept, TODAY).unwrap()
}

fn prune(text: &str, build: &Build, verdict: &BuildVerdict) -> Edit {
    let baseline = parse(text);
    baseline.prune(&baseline.standings(verdict, build, Some(TODAY))).unwrap()
}

const FILE: &str = r#"# Ours.

# The generated one.
[[debt]]
rule = "R001"
action = "build/*.o"
path = "$WORKSPACE/cfg.h"
count = 3 # three
since = 2026-01-02

# Nobody can help it.
[[accepted]]
rule = "H001"
reason = "licence server"

[[debt]]
rule = "W001"
path = "$WORKSPACE/log"
count = 1
since = "2026-01-02"
"#;

#[test]
fn reads_what_the_documentation_shows() {
    let baseline = parse(FILE);
    let shown: Vec<(String, u32)> =
        baseline.entries().iter().map(|e| (e.to_string(), e.place.line)).collect();
    let expected = [
        ("R001 on $WORKSPACE/cfg.h in build/*.o", 4),
        ("W001 on $WORKSPACE/log", 16),
        ("H001", 12),
    ];
    assert_eq!(shown, expected.map(|(text, line)| (text.to_owned(), line)));
}

#[test]
fn errors_name_the_line_and_what_was_meant() {
    let debt = "[[debt]]\nrule = \"R001\"\ncount = 1\nsince = 2026-01-02\n";
    let cases = [
        (debt.replace("rule", "rul"), "b.toml:2:1: unknown field `rul`; did you mean `rule`?"),
        (debt.replace("R001", "R0O1"), "b.toml:2:8: unknown rule `R0O1`; did you mean `R001`?"),
        (
            debt.replace("= 1", "= 0"),
            "b.toml:3:9: `count = 0` covers nothing: it must be 1 or more",
        ),
        (
            debt.replace("= 1", "= -4"),
            "b.toml:3:9: `count = -4` covers nothing: it must be 1 or more",
        ),
        (debt.replace("count = 1\n", ""), "b.toml:1:1: missing field `count`"),
        (debt.replace("since = 2026-01-02\n", ""), "b.toml:1:1: missing field `since`"),
        (debt.replace("2026-01-02", "2026-13-02"), "b.toml:4:9: "),
        (
            "[[acepted]]\n".to_owned(),
            "b.toml:1:3: unknown field `acepted`; did you mean `accepted`?",
        ),
        ("[[accepted]]\nrule = \"R001\"\n".to_owned(), "b.toml:1:1: missing field `reason`"),
        (
            "[[accepted]]\nrule = \"R001\"\nreason = \" \"\n".to_owned(),
            "b.toml:3:10: an accepted finding needs a reason",
        ),
        (
            "[[accepted]]\nrule = \"R001\"\nreason = \"x\"\npath = \"a[\"\n".to_owned(),
            "b.toml:4:8: bad pattern `a[`",
        ),
    ];
    for (text, expected) in cases {
        let error = wrong(&text);
        assert!(error.starts_with(expected), "{error}\nnot\n{expected}");
    }
}

#[test]
fn known_findings_are_suppressed_and_the_rest_is_told() {
    let findings = vec![
        finding(Rule::R001, "build/a.o", "/ws/cfg.h"),
        finding(Rule::R001, "build/b.o", "/ws/cfg.h"),
        finding(Rule::R001, "build/b.o", "/ws/other.h"),
        finding(Rule::W001, "x", "/ws/log"),
    ];
    let (build, mut verdict) = with(findings, &["build/a.o", "build/b.o", "x"]);
    parse(FILE).apply(&mut verdict, &build, &Policy::default(), Some(TODAY));
    let told: Vec<&str> = verdict.findings.iter().map(|f| f.subject.as_str()).collect();
    assert_eq!(told, ["other.h", "H001"]);
    let stale = &verdict.findings[1];
    assert_eq!((stale.rule, stale.severity), (Rule::U003, Severity::Note));
    assert_eq!(stale.related[0].place.as_ref().unwrap().to_string(), "b.toml:12");
    assert!(stale.fix.contains("b.toml:12"), "{}", stale.fix);
    let known: Vec<(&str, KnownBy, bool)> =
        verdict.suppressed.iter().map(|s| (s.reason.as_str(), s.by, s.cacheable)).collect();
    assert_eq!(known, [("baseline since 2026-01-02", KnownBy::Debt, false); 3]);
    assert_eq!((verdict.counts.error, verdict.counts.note, verdict.counts.suppressed), (1, 1, 3));
    let left: Vec<u32> = verdict.actions.iter().map(|action| action.findings).collect();
    assert_eq!(left, [0, 0, 1, 0]);
}

#[test]
fn more_than_counted_is_new() {
    let names = ["build/a.o", "build/b.o", "build/c.o", "build/d.o"];
    let findings = names.map(|name| finding(Rule::R001, name, "/ws/cfg.h")).to_vec();
    let (build, mut verdict) = with(findings, &names);
    parse(FILE).apply(&mut verdict, &build, &Policy::default(), Some(TODAY));
    assert_eq!(verdict.suppressed.len(), 3);
    let new = &verdict.findings[0];
    assert_eq!((new.rule, new.action.as_str()), (Rule::R001, "build/d.o"));
    assert_eq!(new.related[0].what, "more than the 3 that the baseline knows");
    assert_eq!(new.related[0].place.as_ref().unwrap().line, 4);
}

#[test]
fn accepted_comes_first_and_ends() {
    let text = "[[accepted]]\nrule = \"R001\"\npath = \"gen\"\nreason = \"old tool\"\n\
                until = 2026-11-20\n[[debt]]\nrule = \"R001\"\npath = \"gen/a\"\ncount = 1\n\
                since = 2026-01-01\n";
    let (build, verdict) = with(vec![finding(Rule::R001, "x", "/ws/gen/a")], &["x"]);
    let day = |day| Some(Date { day, ..TODAY });
    let mut before = with(verdict.findings.clone(), &["x"]).1;
    parse(text).apply(&mut before, &build, &Policy::default(), day(20));
    assert_eq!(before.suppressed[0].by, KnownBy::Accepted);
    assert_eq!(before.suppressed[0].reason, "old tool");
    let mut after = with(verdict.findings.clone(), &["x"]).1;
    parse(text).apply(&mut after, &build, &Policy::default(), day(21));
    assert_eq!(after.suppressed[0].by, KnownBy::Debt);
    assert_eq!(after.findings[0].subject, "R001 on gen, ended 2026-11-20");
}

#[test]
fn nothing_is_stale_that_was_not_seen() {
    let text = "[[debt]]\nrule = \"R001\"\naction = \"b/*.o\"\ncount = 2\nsince = 2026-01-01\n\
                [[debt]]\nrule = \"R001\"\naction = \"x\"\ncount = 2\nsince = 2026-01-01\n";
    let stale = |names: &[&str]| -> Vec<bool> {
        let (build, verdict) = build(names);
        let standings = parse(text).standings(&verdict, &build, None);
        standings.entries.iter().map(super::Standing::is_stale).collect()
    };
    assert_eq!(stale(&["-b/1.o", "-b/2.o", "-x"]), [false, false]);
    assert_eq!(stale(&["b/1.o", "-b/2.o", "x"]), [false, true]);
    // As many ran as are counted; another was not asked for.
    assert_eq!(stale(&["b/1.o", "b/2.o", "-b/3.o", "-x"]), [true, false]);
    // What the build does not have any more has no findings.
    assert_eq!(stale(&["y"]), [true, true]);
    let (build, mut verdict) = build(&["y"]);
    verdict.exit = Some(Exit::Code(2));
    let failed = parse(text).standings(&verdict, &build, None);
    assert!(!failed.entries.iter().any(super::Standing::is_stale));
    let text = prune(text, &build, &verdict).text;
    assert_eq!(text.matches("[[debt]]").count(), 2);
}

#[test]
fn a_new_baseline_groups_and_sorts() {
    let mut findings = Vec::new();
    for number in 0..300 {
        findings.push(finding(Rule::R001, &format!("build/{number}.o"), "/ws/cfg.h"));
    }
    for number in 0..5 {
        findings.push(finding(Rule::R001, &format!("lib/d{number}/a.o"), "/ws/lib.h"));
    }
    for name in ["b.o", "a.o", "sh -c 'x > y.o'"] {
        findings.push(finding(Rule::R001, name, "/ws/lib.h"));
    }
    findings.push(finding(Rule::W001, "gen[1]", "/home/u/.cache/x"));
    findings.push(finding(Rule::W001, "gen[1]", b"/ws/\xff*"));
    let mut address = finding(Rule::H001, "fetch", "");
    "192.0.2.1:80".clone_into(&mut address.subject);
    findings.push(address);
    // What the recording says of itself is no debt, and notes harm nobody.
    findings.push(finding(Rule::I002, "fetch", ""));
    let note = Finding { severity: Severity::Note, ..finding(Rule::R007, "fetch", "/ws/a") };
    findings.push(note);
    let (build, verdict) = with(findings, &[]);
    let edit = create(&verdict, &build, TODAY).unwrap();
    insta::assert_snapshot!(edit.text);
    assert_eq!(edit.changes.len(), 6);
    // Everything that it was made of is covered by it.
    let (_, mut again) = with(verdict.findings, &[]);
    parse(&edit.text).apply(&mut again, &build, &Policy::default(), Some(TODAY));
    let left: Vec<Rule> = again.findings.iter().map(|f| f.rule).collect();
    assert_eq!(left, [Rule::I002, Rule::R007]);
}

#[test]
fn update_lowers_and_adds_only_what_is_accepted() {
    let findings = vec![
        finding(Rule::R001, "build/a.o", "/ws/cfg.h"),
        finding(Rule::R001, "build/b.o", "/ws/cfg.h"),
        finding(Rule::R001, "x", "/ws/new.h"),
        finding(Rule::W001, "x", "/ws/log"),
        finding(Rule::W001, "y", "/ws/log"),
    ];
    let (build, verdict) = with(findings, &["build/a.o", "build/b.o", "x", "y"]);
    let lowered = update(FILE, &build, &verdict, &[]);
    assert_eq!(lowered.text, FILE.replace("count = 3 # three", "count = 2 # three"));
    let entry = "R001 on $WORKSPACE/cfg.h in build/*.o".to_owned();
    assert_eq!(lowered.changes, [Change::Count { entry, from: 3, to: 2 }]);

    let raised = update(&lowered.text, &build, &verdict, &[Rule::W001]);
    assert_eq!(raised.text, lowered.text.replace("count = 1\n", "count = 2\n"));

    let added = update(&raised.text, &build, &verdict, &[Rule::R001]);
    let entry = "\n[[debt]]\nrule = \"R001\"\naction = \"x\"\npath = \"$WORKSPACE/new.h\"\n\
                 count = 1\nsince = 2026-11-21\n";
    let (before, after) = raised.text.split_at(raised.text.find("[[debt]]\nrule = \"W").unwrap());
    assert_eq!(added.text, format!("{before}{}\n{after}", &entry[1..]));
    let same = update(&added.text, &build, &verdict, &[Rule::R001, Rule::W001]);
    assert_eq!((same.text, same.changes), (added.text, Vec::new()));
}

#[test]
fn prune_removes_an_entry_with_its_comment_and_nothing_else() {
    let (build, verdict) = with(vec![finding(Rule::W001, "x", "/ws/log")], &["x"]);
    let edit = prune(FILE, &build, &verdict);
    let from = FILE.find("# The generated one.").unwrap();
    let to = FILE.find("# Nobody").unwrap();
    assert_eq!(edit.text, format!("{}{}", &FILE[..from], &FILE[to..]));
    let (build, verdict) = with(Vec::new(), &["x"]);
    let edit = prune(&edit.text, &build, &verdict);
    let rest = "# Ours.\n\n# Nobody can help it.\n[[accepted]]\nrule = \"H001\"\n\
                reason = \"licence server\"\n\n";
    assert_eq!(edit.text, rest);
    assert_eq!(prune(&edit.text, &build, &verdict).text, rest);
}

#[test]
fn odd_files_are_edited_or_refused() {
    let (build, verdict) = with(vec![finding(Rule::R001, "x", "/ws/a")], &["x"]);
    // No end of the last line, and the line ends of another system.
    let text = "[[debt]]\r\nrule = \"R002\"\r\ncount = 1\r\nsince = 2026-01-01";
    let edit = update(text, &build, &verdict, &[Rule::R001]);
    assert_eq!(
        edit.text,
        format!(
            "[[debt]]\r\nrule = \"R001\"\r\naction = \"x\"\r\npath = \"$WORKSPACE/a\"\r\n\
             count = 1\r\nsince = 2026-11-21\r\n\r\n{text}"
        )
    );
    let text = "[[debt]]\nrule = \"R001\"\naction = \"w\"\ncount = 1\nsince = 2026-01-01";
    let edit = update(text, &build, &verdict, &[Rule::R001]);
    assert!(edit.text.starts_with(&format!("{text}\n\n[[debt]]\nrule = \"R001\"\n")));
    let text = "debt = [{ rule = \"H001\", count = 1, since = 2026-01-01 }]\n";
    let baseline = parse(text);
    let standings = baseline.standings(&verdict, &build, None);
    let error = baseline.prune(&standings).unwrap_err().to_string();
    assert!(error.contains("[[debt]]"), "{error}");
    // A text in several lines that looks like entries and comments is left alone.
    let text = "[[accepted]]\nrule = \"H001\"\nreason = \"\"\"\n[[debt]]\n# x\n\n\"\"\"\n\
                [[debt]]\nrule = \"H002\"\ncount = 1\nsince = 2026-01-01\n";
    let edit = prune(text, &build, &verdict);
    assert_eq!(edit.text, text[..text.rfind("[[debt]]").unwrap()]);
}

fn some_name() -> impl Strategy<Value = String> {
    const FIXED: [&str; 10] =
        ["a.o", "b/a.o", "b/c.o", "b/d.o", "b/e.o", "c/a.o", "d/a.o", "e/a.o", "", "cc -c"];
    prop_oneof![
        4 => prop::sample::select(&FIXED[..]).prop_map(str::to_owned),
        1 => "[a-c*?\\[\\]{}\\\\$#\"'\n.é/ ]{0,6}",
    ]
}

fn some_finding() -> impl Strategy<Value = Finding> {
    const RULES: [Rule; 5] = [Rule::R001, Rule::R002, Rule::W001, Rule::H001, Rule::I002];
    let path = prop_oneof![
        3 => some_name().prop_map(|name| format!("/ws/p{name}").into_bytes()),
        1 => some_name().prop_map(|name| format!("/home/u/{name}x").into_bytes()),
        1 => prop::collection::vec(1u8..=255, 1..6).prop_map(|name| {
            let name: Vec<u8> = name.into_iter().filter(|byte| *byte != b'/').collect();
            [b"/ws/x", name.as_slice()].concat()
        }),
        1 => Just(Vec::new()),
    ];
    (prop::sample::select(&RULES[..]), some_name(), path, some_name()).prop_map(
        |(rule, action, path, subject)| {
            // Paths are canonical.
            let path = if path.is_empty() { path } else { crate::absolute(b"/", &path) };
            let mut finding = finding(rule, &action, path);
            if finding.path.0.is_empty() {
                finding.subject = subject;
            }
            finding
        },
    )
}

fn some_accepted() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        Just("# why\n[[accepted]]\nrule = \"R001\"\nreason = \"x\"\npath = \"p*\"\ncount = 1\n"),
        Just("[[accepted]] # who\n  rule= \"W001\"\n\n# more\nreason = '''\n# y\n'''\n# after\n\n"),
        Just("#far\n\n[[accepted]]\nrule = \"R002\"\nreason = \"\\u0041\"\naction = \"b/*\"\n"),
    ];
    prop::collection::vec(text, 0..4).prop_map(|texts| texts.concat())
}

proptest! {
    /// A baseline made of findings covers all of them that may be entered; made of more, it covers
    /// fewer too; and people's part stays as it is through it all.
    #[test]
    fn what_was_entered_is_covered(
        findings in prop::collection::vec(some_finding(), 0..40),
        fewer in prop::collection::vec(any::<bool>(), 40),
        accepted in some_accepted(),
    ) {
        let (build, verdict) = with(findings, &["b/a.o"]);
        let all: Vec<Rule> = Rule::all().map(|doc| doc.rule).collect();
        let edit = update(&accepted, &build, &verdict, &all);
        prop_assert!(edit.text.starts_with(&accepted));
        let baseline = parse(&edit.text);
        let standings = baseline.standings(&verdict, &build, Some(TODAY));
        let new: Vec<&Finding> = baseline.new_findings(&verdict, &standings).collect();
        prop_assert!(new.is_empty(), "{}\n{new:?}", edit.text);
        prop_assert!(!standings.entries.iter().any(|standing| standing.beyond > 0));
        prop_assert_eq!(&update(&edit.text, &build, &verdict, &all).text, &edit.text);
        prop_assert_eq!(&prune(&edit.text, &build, &verdict).text, &edit.text);

        let some = verdict.findings.iter().zip(&fewer).filter(|(_, keep)| **keep);
        let some: Vec<Finding> = some.map(|(finding, _)| finding.clone()).collect();
        let (_, verdict) = with(some, &["b/a.o"]);
        let lowered = update(&edit.text, &build, &verdict, &[]);
        let lower = |c: &Change| matches!(c, Change::Count { from, to, .. } if to < from);
        prop_assert!(lowered.changes.iter().all(lower));
        let pruned = prune(&lowered.text, &build, &verdict);
        let removed = |change: &Change| matches!(change, Change::Removed(_));
        prop_assert!(pruned.changes.iter().all(removed));
        let baseline = parse(&pruned.text);
        let standings = baseline.standings(&verdict, &build, Some(TODAY));
        prop_assert_eq!(baseline.new_findings(&verdict, &standings).count(), 0);
        let debt = baseline.entries().iter().zip(&standings.entries);
        for (entry, standing) in debt.filter(|(e, _)| e.section == super::Section::Debt) {
            prop_assert_eq!(entry.count, Some(standing.covers), "{}", entry);
        }
        let (_, verdict) = with(Vec::new(), &["b/a.o"]);
        let empty = prune(&pruned.text, &build, &verdict).text;
        prop_assert_eq!(empty.trim_end(), accepted.trim_end());
    }

    /// Debt is kept in order, whatever was there before.
    #[test]
    fn entries_stay_sorted(
        first in prop::collection::vec(some_finding(), 0..20),
        second in prop::collection::vec(some_finding(), 0..20),
    ) {
        let (build, verdict) = with(first, &[]);
        let text = create(&verdict, &build, TODAY).unwrap().text;
        let (_, verdict) = with(second, &[]);
        let all: Vec<Rule> = Rule::all().map(|doc| doc.rule).collect();
        let text = update(&text, &build, &verdict, &all).text;
        let baseline = parse(&text);
        let keys: Vec<_> =
            baseline.entries().iter().map(|e| (e.rule, e.action.clone(), e.path.clone())).collect();
        prop_assert!(keys.is_sorted(), "{}", text);
    }
}
