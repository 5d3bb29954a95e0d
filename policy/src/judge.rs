//! The judge: one declaration, one policy, one recording, one verdict.

use crate::classify::{Change, Hit};
use crate::declaration::{Declaration, Flavour};
use crate::declared::{Declared, Roles};
use crate::digests::RecordingDigest;
use crate::evidence;
use crate::finding::{Finding, Related};
use crate::fix::{self, Fix, Target};
use crate::name::display;
use crate::neighbours::Neighbours;
use crate::policy::{Date, Policy, Severity};
use crate::producers::{Part, Producers};
use crate::rules::{self, Rule};
use crate::scopes::{Scope, Scopes};
use crate::suppress::{Suppressions, Unused};
use crate::tree::{Fact, Tree};
use crate::verdict::{Counts, Suppressed, Verdict};
use airtight_recording::{
    Access, Exit, HostKind, HostNote, Kind, Op, PathId, ProcessId, Recording, Stamp,
};
use rustc_hash::FxHashSet;
use std::rc::Rc;
use std::sync::Arc;

/// Judges one recording.
pub fn judge(declaration: &Declaration, policy: &Policy, recording: &Recording) -> Verdict {
    Judge::new(declaration, policy).judge(recording)
}

static NO_PRODUCERS: std::sync::LazyLock<Producers> = std::sync::LazyLock::new(Producers::default);

/// A judge of one action, made ready once.
#[derive(Debug)]
pub struct Judge<'a> {
    pub(crate) declaration: &'a Declaration,
    pub(crate) policy: &'a Policy,
    pub(crate) neighbours: &'a dyn Neighbours,
    pub(crate) declared: Declared,
    today: Option<Date>,
}

impl<'a> Judge<'a> {
    /// A judge of the action that `declaration` speaks of.
    pub fn new(declaration: &'a Declaration, policy: &'a Policy) -> Judge<'a> {
        Judge {
            declaration,
            policy,
            neighbours: &*NO_PRODUCERS,
            declared: Declared::new(declaration, policy),
            today: None,
        }
    }

    /// A judge of one action of a whole build, with scopes that were compiled before.
    pub(crate) fn within(
        declaration: &'a Declaration,
        policy: &'a Policy,
        scopes: &Arc<Scopes>,
        neighbours: &'a dyn Neighbours,
    ) -> Judge<'a> {
        let declared = Declared::within(declaration, Arc::clone(scopes));
        Judge { declaration, policy, neighbours, declared, today: None }
    }

    /// Tells the judge of the other actions of the build.
    #[must_use]
    pub fn producers(mut self, producers: &'a Producers) -> Judge<'a> {
        self.neighbours = producers;
        self
    }

    /// Tells the judge the date, so that suppressions can end.
    #[must_use]
    pub fn today(mut self, today: Date) -> Judge<'a> {
        self.today = Some(today);
        self
    }

    /// Judges one recording.
    pub fn judge(&self, recording: &Recording) -> Verdict {
        let exit = recording.processes.first().and_then(|root| root.exit).map(|(_, exit)| exit);
        let (case, judged) = self.examine(recording, exit);
        let Case { findings, uncacheable, .. } = case;
        self.verdict(recording, exit, judged, findings, uncacheable)
    }

    /// Everything that one recording breaks, and whether there was anything to judge.
    pub(crate) fn examine<'j>(
        &'j self,
        recording: &'j Recording,
        exit: Option<Exit>,
    ) -> (Case<'j>, bool) {
        let killed = matches!(exit, Some(Exit::Signal(_)));
        let mut case = Case {
            judge: self,
            tree: Rc::new(Tree::new(recording)),
            pids: recording.processes.iter().map(|p| p.pid).collect(),
            exit,
            failed: exit != Some(Exit::Code(0)),
            findings: Vec::new(),
            uncacheable: Vec::new(),
        };
        if !self.neighbours.whole() {
            rules::integrity::completeness(&mut case);
        }
        if !killed {
            rules::reads::check(&mut case);
            rules::writes::check(&mut case);
            rules::host::check(&mut case);
            rules::integrity::check(&mut case);
            rules::over::check(&mut case);
        }
        // A tree that was killed for what it tried must at least hear for what.
        let refused = case.enforced();
        (case, !killed || refused)
    }

    /// What concerns a whole build and none of its actions in particular.
    pub(crate) fn of_build<'j>(&'j self, tree: &Rc<Tree<'j>>) -> Vec<Finding> {
        let mut case = Case {
            judge: self,
            tree: Rc::clone(tree),
            pids: FxHashSet::default(),
            exit: None,
            failed: false,
            findings: Vec::new(),
            uncacheable: Vec::new(),
        };
        rules::integrity::completeness(&mut case);
        rules::integrity::stamps(&mut case);
        case.findings
    }

    fn verdict(
        &self,
        recording: &Recording,
        exit: Option<Exit>,
        judged: bool,
        mut findings: Vec<Finding>,
        mut uncacheable: Vec<String>,
    ) -> Verdict {
        findings.iter_mut().for_each(Finding::seal);
        let (mut findings, suppressed) = self.suppress(findings, judged);
        findings.sort_by(Finding::compare);
        uncacheable.extend(ending(exit));
        let completeness = self.policy.completeness(recording);
        if !completeness.is_complete() {
            uncacheable.push("the recording is incomplete".into());
        }
        uncacheable.extend(self.policy.against_publishing(&findings, &suppressed));
        let digest = RecordingDigest::of(recording);
        if digest.is_none() && completeness.is_complete() {
            uncacheable.push("the recording contradicts itself".into());
        }
        Verdict {
            action: self.declaration.name.clone(),
            judged,
            exit,
            completeness,
            counts: Counts::of(&findings, &suppressed),
            uncacheable,
            findings,
            suppressed,
            recording: digest,
            policy: self.policy.digest(),
        }
    }

    /// Takes out what the policy knows of.
    fn suppress(&self, findings: Vec<Finding>, judged: bool) -> (Vec<Finding>, Vec<Suppressed>) {
        let home = self.declaration.home.as_deref();
        let known = Suppressions::new(self.policy, &self.declared.workspace, home, self.today);
        let name = self.declaration.name.as_str();
        let (mut rest, suppressed, unused) = known.apply(findings, &[name]);
        if judged {
            rest.extend(unused.iter().map(|unused| self.unused(unused)));
        }
        (rest, suppressed)
    }

    /// The finding on a suppression that is of no use.
    pub(crate) fn unused(&self, unused: &Unused<'_>) -> Finding {
        let mut finding = self.finding(&Hit::of(Rule::U002), &unused.text);
        let place = unused.place.cloned();
        finding.related.push(Related { what: "stands here".into(), place });
        finding.seal();
        finding
    }

    /// A finding with all that follows from the rule and the subject alone.
    pub(crate) fn finding(&self, hit: &Hit, subject: &str) -> Finding {
        let doc = hit.rule.doc();
        let mut severity = self.policy.severity(hit.rule);
        if hit.loud && severity == Severity::Note {
            severity = Severity::Warn;
        }
        if let Some(most) = hit.at_most.filter(|_| !self.policy.severity.contains_key(&hit.rule)) {
            severity = severity.min(most);
        }
        let action = &self.declaration.name;
        let fill = |text: &str| text.replace("{}", subject).replace("{action}", action);
        let blocks = severity >= Severity::Warn && self.policy.keeps_from_cache(hit.rule);
        let effect = if hit.effect.is_empty() { doc.effect } else { hit.effect };
        let mut related = Vec::new();
        if let Some(place) = &self.declaration.declared_at {
            related.push(Related { what: "declared here".into(), place: Some(place.clone()) });
        }
        let mut group = hit.rule.to_string();
        if let Some(producer) = &hit.producer {
            let place = producer.declared_at.clone();
            let part = match producer.part {
                Part::Output | Part::UndeclaredOutput => "made",
                Part::Temporary => "used",
                Part::AbsentProbe => "looked for",
                Part::Input => "needed",
            };
            related.push(Related { what: format!("{part} by {}", producer.action), place });
            group.push(' ');
            group.push_str(&producer.action);
        }
        Finding {
            id: String::new(),
            rule: hit.rule,
            slug: doc.slug,
            severity,
            reaction: self.policy.reaction(hit.rule, severity),
            action: action.clone(),
            declared_at: self.declaration.declared_at.clone(),
            path: crate::PathBytes::default(),
            subject: subject.to_owned(),
            kind: None,
            count: 1,
            message: format!("{}{}", fill(doc.message), hit.detail),
            evidence: None,
            related,
            effect: format!("{}{}", if blocks { "not cached; " } else { "" }, fill(effect)),
            fix: match doc.line {
                Some(Fix::Environment) => fix::variable(self.declaration.flavour, subject),
                _ => doc.fix.to_owned(),
            },
            group,
            enforced: false,
            missing_generated: false,
            confirmed: None,
            fingerprint: String::new(),
        }
    }

    /// A finding about a path.
    pub(crate) fn finding_on(&self, hit: &Hit, path: &[u8]) -> Finding {
        let workspace = &self.declared.workspace;
        let mut finding = self.finding(hit, &display(path, workspace));
        finding.about(path, workspace, hit.producer.as_ref().map(|p| p.action.as_str()));
        if let Some(line) = hit.rule.doc().line {
            let target = Target {
                workspace,
                cwd: &self.declared.cwd,
                output: self.declared.outputs.first().map_or(b"", Vec::as_slice),
                work: self.neighbours.work(),
                below: self.declaration.declared_at.as_ref().is_some_and(|p| p.file.contains('/')),
            };
            let line = fix::line(self.declaration.flavour, line, path, &target);
            if !line.is_empty() {
                finding.fix = line;
            }
        }
        finding
    }
}

/// Why an action that ended so must not be published.
pub(crate) fn ending(exit: Option<Exit>) -> Option<String> {
    match exit {
        Some(Exit::Code(0)) => None,
        Some(Exit::Code(code)) => Some(format!("the action failed with {code}")),
        Some(Exit::Signal(n)) => Some(format!("signal {n} killed the action")),
        None => Some("the end of the action was not seen".into()),
    }
}

/// One recording before one judge.
pub(crate) struct Case<'a> {
    pub(crate) judge: &'a Judge<'a>,
    pub(crate) tree: Rc<Tree<'a>>,
    pids: FxHashSet<u32>,
    pub(crate) exit: Option<Exit>,
    pub(crate) failed: bool,
    pub(crate) findings: Vec<Finding>,
    /// Reasons not to publish that are no findings.
    pub(crate) uncacheable: Vec<String>,
}

impl<'a> Case<'a> {
    /// All names that lead to `path`, as far as seen.
    fn names(&self, path: PathId) -> Vec<Vec<u8>> {
        let mut hops = Vec::new();
        let mut names = self.tree.names_on_the_way(path, &mut hops);
        for &name in self.tree.requested.get(&path).into_iter().flatten() {
            names.extend(self.tree.names_on_the_way(name, &mut hops));
        }
        names
    }

    pub(crate) fn read_hit(
        &self,
        id: PathId,
        kind: Kind,
        directory: bool,
        rewritten: bool,
    ) -> Option<Hit> {
        let own = |pid| self.pids.contains(&pid);
        let path = self.tree.path(id);
        // Links count where they must be declared only: elsewhere what they lead to counts.
        if kind == Kind::Link && self.judge.declared.scope(path) != Scope::Workspace {
            return None;
        }
        let judge = self.judge;
        judge.read_rule(path, &|| self.names(id), kind, directory, rewritten, &own)
    }

    pub(crate) fn write_hit(&self, id: PathId, change: Change) -> Option<Hit> {
        let own = |pid| self.pids.contains(&pid);
        let judge = self.judge;
        judge.write_rule(self.tree.path(id), &|| self.names(id), change, &own)
    }

    pub(crate) fn in_workspace(&self, id: PathId) -> bool {
        self.judge.declared.scope(self.tree.path(id)) == Scope::Workspace
    }

    /// Whether one of the names is declared in any way.
    pub(crate) fn is_declared(&self, names: &[Vec<u8>]) -> bool {
        let any = Roles::INPUT
            .and(Roles::INPUT_TREE)
            .and(Roles::OUTPUT)
            .and(Roles::SIDE_EFFECT)
            .and(Roles::TEMPORARY)
            .and(Roles::ABOVE);
        let judge = self.judge;
        names
            .iter()
            .any(|name| judge.declared.roles(name).any(any) || judge.neighbours.covers(name, false))
    }

    /// Whether the tree made a hard link to the path.
    pub(crate) fn is_link_source(&self, path: PathId) -> bool {
        let links = |a: &Access| a.path == path && a.op == Op::Hardlink && a.errno == 0;
        self.tree.recording.accesses.iter().any(links)
    }

    pub(crate) fn found_access(
        &mut self,
        hit: &Hit,
        id: PathId,
        kind: Kind,
        fact: Fact,
        missing: bool,
    ) {
        self.found_change(hit, id, kind, fact.access, fact.count);
        if let Some(finding) = self.findings.last_mut() {
            finding.missing_generated = missing;
        }
    }

    pub(crate) fn found_change(
        &mut self,
        hit: &Hit,
        id: PathId,
        kind: Kind,
        access: u32,
        count: u64,
    ) {
        let mut finding = self.judge.finding_on(hit, self.tree.path(id));
        finding.kind = Some(kind);
        finding.count = count;
        let access = self.tree.access(access);
        finding.evidence = access.map(|a| evidence::of_access(self.tree.recording, a));
        self.findings.push(finding);
    }

    pub(crate) fn found_path(&mut self, rule: Rule, path: &[u8]) {
        self.findings.push(self.judge.finding_on(&Hit::of(rule), path));
    }

    pub(crate) fn found_missing(&mut self, path: &[u8], detail: Option<String>) {
        let mut hit = Hit::of(Rule::W002);
        if self.judge.declaration.flavour == Flavour::Scons {
            // SCons takes any name for a target, and a command without a file is built each time.
            hit = hit.at_most(Severity::Record);
        }
        let mut finding = self.judge.finding_on(&hit, path);
        if let Some(detail) = detail {
            finding.message = format!("{}: {detail}", finding.message);
        }
        self.findings.push(finding);
    }

    pub(crate) fn found_text(&mut self, rule: Rule, subject: &str) {
        self.findings.push(self.judge.finding(&Hit::of(rule), subject));
    }

    pub(crate) fn found_process(&mut self, rule: Rule, name: &str, process: ProcessId, seq: u64) {
        let mut finding = self.judge.finding(&Hit::of(rule), name);
        finding.evidence = Some(evidence::of_process(self.tree.recording, process, seq));
        self.findings.push(finding);
    }

    /// A note of the recording; several on the same subject are one finding.
    pub(crate) fn found_note(&mut self, rule: Rule, subject: &str, note: &HostNote, loud: bool) {
        let same = |f: &&mut Finding| f.rule == rule && f.path.0.is_empty() && f.subject == subject;
        if let Some(finding) = self.findings.iter_mut().find(same) {
            finding.count += u64::from(note.count.max(1));
            return;
        }
        let mut finding = self.judge.finding(&Hit { loud, ..Hit::of(rule) }, subject);
        finding.count = note.count.max(1).into();
        finding.evidence =
            Some(evidence::of_process(self.tree.recording, note.process, note.first));
        self.findings.push(finding);
    }

    pub(crate) fn found_changed_input(
        &mut self,
        path: PathId,
        before: Stamp,
        after: Option<Stamp>,
    ) {
        let mut finding = self.judge.finding_on(&Hit::of(Rule::I001), self.tree.path(path));
        let told = |s: &Stamp| {
            format!(
                "inode {}:{}, size {}, mtime {} ns, ctime {} ns",
                s.dev, s.ino, s.size, s.mtime, s.ctime
            )
        };
        let after = after.as_ref().map_or_else(|| "gone".to_owned(), told);
        let stamps = [format!("at first open: {}", told(&before)), format!("at the end: {after}")];
        finding.related.extend(stamps.map(|what| Related { what, place: None }));
        self.findings.push(finding);
    }

    /// Calls that were refused in the act: the access failed, so nothing else shows them.
    /// Tells whether there were any.
    fn enforced(&mut self) -> bool {
        let recording = self.tree.recording;
        let mut any = false;
        for note in recording.host.iter().filter(|note| note.kind == HostKind::Enforced) {
            any = true;
            let Some(id) = recording.paths.find(&note.detail).filter(|id| !id.is_none()) else {
                let rule = Rule::R001;
                self.findings.push(self.judge.finding_on(&Hit::of(rule), &note.detail));
                self.mark_last();
                continue;
            };
            let refused = recording.accesses.iter().enumerate().find(|(_, access)| {
                access.errno != 0 && (access.path == id || access.requested == id)
            });
            let kind = refused.map_or(Kind::Read, |(_, access)| wanted(recording, access));
            let hit = match kind {
                Kind::Write | Kind::Delete => {
                    let stays = kind == Kind::Write;
                    let change = Change {
                        existed: Some(!stays),
                        stays,
                        directory: false,
                        empty: true,
                        content: true,
                    };
                    self.write_hit(id, change)
                }
                _ => self.read_hit(id, kind, false, false),
            };
            // That it was looked at says less than what was wanted of it.
            self.findings.retain(|f| f.rule != Rule::R007 || f.path.0 != note.detail);
            let fallback = match kind {
                Kind::Write => Rule::W001,
                Kind::Delete => Rule::W009,
                Kind::Exec => Rule::R006,
                Kind::Probe => Rule::R007,
                _ => Rule::R001,
            };
            let hit = hit.unwrap_or_else(|| Hit::of(fallback));
            let known = self
                .findings
                .iter()
                .position(|f| f.rule == hit.rule && f.path.0.as_slice() == note.detail.as_slice());
            if let Some(known) = known {
                self.findings[known].enforced = true;
                continue;
            }
            match refused {
                Some((index, _)) => {
                    let index = u32::try_from(index).unwrap_or(u32::MAX);
                    self.found_change(&hit, id, kind, index, note.count.max(1).into());
                }
                None => {
                    self.findings.push(self.judge.finding_on(&hit, &note.detail));
                }
            }
            self.mark_last();
        }
        any
    }

    fn mark_last(&mut self) {
        if let Some(finding) = self.findings.last_mut() {
            finding.enforced = true;
            // Of a refused call the flags are not recorded: no flags are no O_RDONLY.
            if let Some(evidence) = finding.evidence.as_mut().filter(|e| e.flags == "O_RDONLY") {
                evidence.flags.clear();
            }
        }
    }
}

/// What a refused call wanted: a failed open is recorded as a probe.
fn wanted(recording: &Recording, access: &Access) -> Kind {
    if access.kind == Kind::Probe && evidence::is_open(evidence::call_name(recording, access)) {
        // O_ACCMODE 3, O_CREAT 0100, O_TRUNC 01000: open(2)
        let writes = access.flags & 3 != 0 || access.flags & 0o1100 != 0;
        return if writes { Kind::Write } else { Kind::Read };
    }
    access.kind
}
