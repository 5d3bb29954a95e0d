//! What the enforcer answers while an action runs.

mod common;

use airtight_policy::{Answer, Attempt, Enforcer, Policy, Rule, Source, enforces};
use airtight_recording::Kind;
use common::*;

fn policy(text: &str) -> Policy {
    Policy::parse(Source { name: "test", text }).expect("a good policy")
}

fn attempt(kind: Kind, path: &str) -> Attempt<'_> {
    let path = path.as_bytes();
    Attempt { path, requested: path, kind, exists: true, own: false, object: FILE }
}

#[test]
fn the_reaction_decides_the_answer() {
    for (reaction, answer) in [
        ("record", Answer::Allow),
        ("warn", Answer::Allow),
        ("fail", Answer::Allow),
        ("deny", Answer::Deny),
        ("hide", Answer::Hide),
        ("kill", Answer::Kill),
    ] {
        let policy = policy(&format!("reaction-of.R001 = '{reaction}'"));
        assert_eq!(enforces(&policy), answer != Answer::Allow, "{reaction}");
        let action = action();
        let mut enforcer = Enforcer::new(&action, &policy);
        for _ in 0..2 {
            assert_eq!(enforcer.decide(&attempt(Kind::Read, "/ws/x.h")), answer, "{reaction}");
            assert_eq!(enforcer.decide(&attempt(Kind::Read, "/ws/b.c")), Answer::Allow);
            assert_eq!(enforcer.decide(&attempt(Kind::Probe, "/ws/x.h")), Answer::Allow);
        }
    }
    assert!(!enforces(&Policy::default()));
}

#[test]
fn what_may_still_turn_out_well_is_let_through() {
    let (action, policy) = (action(), policy("reaction = 'deny'"));
    let mut enforcer = Enforcer::new(&action, &policy);
    let absent = Attempt { exists: false, object: 0, ..attempt(Kind::Write, "/ws/new") };
    assert_eq!(enforcer.rule(&absent), None, "it may be a temporary");
    let outside = Attempt { path: b"/usr/lib/new", requested: b"/usr/lib/new", ..absent };
    assert_eq!(enforcer.rule(&outside), Some(Rule::W001));
    let absent = Attempt { kind: Kind::Read, ..absent };
    assert_eq!(enforcer.rule(&absent), None, "a probe of nothing");
    let own = Attempt { own: true, ..attempt(Kind::Read, "/ws/x.h") };
    assert_eq!(enforcer.rule(&own), None);
    let unknown = Attempt { object: 0, ..attempt(Kind::Probe, "/ws/x.h") };
    assert_eq!(enforcer.rule(&unknown), None, "it may be a directory");
    assert_eq!(enforcer.rule(&attempt(Kind::Probe, "/ws/x.h")), Some(Rule::R007));
    assert_eq!(enforcer.rule(&attempt(Kind::Write, "/ws/x.h")), Some(Rule::W001));
    assert_eq!(enforcer.rule(&attempt(Kind::Write, "/ws/b.c")), Some(Rule::W004));
    assert_eq!(enforcer.rule(&attempt(Kind::Write, "/ws/b.o")), None);
    assert_eq!(enforcer.rule(&attempt(Kind::Delete, "/ws/x.h")), Some(Rule::W009));
    let asked = Attempt { requested: b"/ws/./b.c", ..attempt(Kind::Read, "/data/b.c") };
    assert_eq!(enforcer.rule(&asked), None, "declared by the name that was asked for");
    let asked = Attempt { requested: b"/ws/l/../b.c", ..asked };
    assert_eq!(enforcer.rule(&asked), Some(Rule::R010), "l may be a link");
}

#[test]
fn a_reaction_set_for_w001_itself_refuses_new_files() {
    let mut action = action();
    action.temporary = patterns(&["*.tmp"]);
    let policy = policy("reaction-of.W001 = 'deny'");
    let mut enforcer = Enforcer::new(&action, &policy);
    let mut new = |path: &'static str| {
        let absent = Attempt { exists: false, object: 0, ..attempt(Kind::Write, path) };
        enforcer.decide(&absent)
    };
    assert_eq!(new("/ws/debug.log"), Answer::Deny);
    assert_eq!(new("/ws/x.tmp"), Answer::Allow);
    assert_eq!(new("/ws/b.o"), Answer::Allow);
    assert_eq!(new("/tmp/x"), Answer::Allow);
}
