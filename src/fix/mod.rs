//! What to do about findings, in the build's own language: edits of its files where they can be
//! made for certain, and advice with the reason where not.

mod cmake;
mod make;
mod meson;
mod names;
mod ninja;
mod rule;
mod text;

pub(crate) use text::Texts;

use airtight_policy::build::{Action, ActionId, Build, BuildVerdict, Graph, Owner, Via};
use airtight_policy::{Finding, Flavour, Place, Rule};
use airtight_recording::Recording;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How a file is missing from what an action declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lack {
    /// It is no input.
    Input,
    /// It is known as order-only, and should be a reason to run again.
    Promotion,
    /// It is known from a depfile only, and nothing makes it first in a clean build.
    Order,
    /// It is no output.
    Output,
}

/// One file that one action should declare.
#[derive(Clone, Debug)]
pub(crate) struct Wish<'a> {
    pub(crate) action: &'a Action,
    pub(crate) id: ActionId,
    pub(crate) lack: Lack,
    /// Absolute.
    pub(crate) path: Vec<u8>,
    /// Who makes it, if an action does.
    pub(crate) maker: Option<&'a Action>,
}

/// What has to be done by hand.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Advice {
    /// What to add.
    pub(crate) line: String,
    /// Why that is not done; empty where it is done, and this is the better way.
    pub(crate) why: String,
    /// The action it is about.
    pub(crate) action: String,
    /// Where that is declared.
    pub(crate) place: Option<Place>,
}

/// Why something is not done, and what a person can do.
#[derive(Debug)]
pub(crate) struct Manual {
    pub(crate) why: String,
    pub(crate) line: String,
}

impl Manual {
    fn new(why: impl Into<String>, line: impl Into<String>) -> Manual {
        Manual { why: why.into(), line: line.into() }
    }
}

/// What the planners may know.
pub(crate) struct Site<'a> {
    /// Canonical.
    pub(crate) workspace: &'a Path,
    pub(crate) build: &'a Build,
    pub(crate) recording: &'a Recording,
}

impl<'a> Site<'a> {
    pub(crate) fn graph(&self) -> &'a Graph {
        &self.build.graph
    }

    /// The file that an action is declared in, if it says so.
    pub(crate) fn file(&self, action: &Action) -> Option<(PathBuf, u32)> {
        let place = action.declared_at.as_ref().filter(|place| !place.file.is_empty())?;
        Some((self.workspace.join(&place.file), place.line))
    }

    /// The directory that an action runs in.
    pub(crate) fn cwd(&self, action: &Action) -> &'a [u8] {
        self.graph().paths.get(action.cwd)
    }

    /// The values of a variable that the tracer noted in the processes of an action.
    pub(crate) fn marks(
        &self,
        id: ActionId,
        name: &'a str,
    ) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let spans = self.build.attribution.spans().iter();
        let recording = self.recording;
        spans
            .filter(move |span| span.owner == Owner::Action(id))
            .filter_map(move |span| recording.processes.get(span.process.0 as usize))
            .flat_map(|process| &process.images)
            .flat_map(|image| &image.env)
            .filter_map(move |entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    }
}

/// All that is to be done.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The edits.
    pub(crate) texts: Texts,
    /// What is left to people, sorted.
    pub(crate) advice: BTreeSet<Advice>,
    /// How many findings the edits mend.
    pub(crate) mended: usize,
    /// How many findings are left to people.
    pub(crate) left: usize,
}

/// Plans what can be done about `findings` of `verdict`.
pub(crate) fn plan<'a>(
    site: &Site<'a>,
    verdict: &'a BuildVerdict,
    wanted: impl Fn(&Finding) -> bool,
) -> Plan {
    let mut plan =
        Plan { texts: Texts::new(site.workspace), advice: BTreeSet::new(), mended: 0, left: 0 };
    let by_name = Names::new(site.graph());
    let mut make = make::Planner::default();
    let mut ninja = ninja::Planner::default();
    let mut cmake = cmake::Planner::default();
    let mut meson = meson::Planner::default();
    for finding in verdict.findings.iter().filter(|finding| finding.shown() && wanted(finding)) {
        let told = |line: &str, why: &str| Advice {
            action: finding.action.clone(),
            place: finding.declared_at.clone(),
            line: line.to_owned(),
            why: why.to_owned(),
        };
        let Some(wishes) = wishes(finding, site.graph(), &by_name) else {
            if !finding.fix.is_empty() && matches!(finding.rule.family(), 'R' | 'W') {
                plan.left += 1;
                plan.advice.insert(told(&finding.fix, &finding.message));
            }
            continue;
        };
        let mut done = true;
        for wish in &wishes {
            // The finding has the line for its own action.
            let line = match wish.action.name == finding.action {
                true => finding.fix.clone(),
                false => format!("as an output: {}", finding.subject),
            };
            let texts = &mut plan.texts;
            let result = match wish.action.flavour {
                Flavour::Make => make.add(site, wish, texts),
                Flavour::Ninja => ninja.add(site, wish, texts),
                Flavour::Cmake => cmake.add(site, wish, &line, texts),
                Flavour::Meson => meson.add(site, wish, &line, texts),
                _ => Err(Manual::new("no build file declares it", line)),
            };
            if let Err(Manual { why, line }) = result {
                done = false;
                plan.advice.insert(Advice {
                    action: wish.action.name.clone(),
                    place: wish.action.declared_at.clone(),
                    line,
                    why,
                });
            }
        }
        *if done { &mut plan.mended } else { &mut plan.left } += 1;
    }
    plan.advice.extend(make.finish(&mut plan.texts));
    ninja.finish(&mut plan.texts);
    cmake.finish(&mut plan.texts);
    meson.finish(&mut plan.texts);
    plan
}

/// Actions by their names.
struct Names<'a>(HashMap<&'a str, Vec<ActionId>>);

impl<'a> Names<'a> {
    fn new(graph: &'a Graph) -> Names<'a> {
        let mut names: HashMap<&str, Vec<ActionId>> = HashMap::new();
        for (at, action) in graph.actions.iter().enumerate() {
            let id = ActionId(u32::try_from(at).unwrap_or(u32::MAX));
            names.entry(&action.name).or_default().push(id);
        }
        Names(names)
    }

    /// The action of this name; of several the one that is declared there.
    fn find(&self, graph: &Graph, name: &str, place: Option<&Place>) -> Option<ActionId> {
        match self.0.get(name)?.as_slice() {
            [one] => Some(*one),
            several => {
                let mut here = several.iter().filter(|id| {
                    place.is_some() && graph.action(**id).declared_at.as_ref() == place
                });
                let first = here.next().copied();
                first.filter(|_| here.next().is_none())
            }
        }
    }
}

/// What actions should declare so that a finding goes; none where that is not what is wrong.
fn wishes<'a>(finding: &Finding, graph: &'a Graph, names: &Names<'_>) -> Option<Vec<Wish<'a>>> {
    let path = finding.path.0.clone();
    if path.is_empty() {
        return None;
    }
    let id = names.find(graph, &finding.action, finding.declared_at.as_ref())?;
    let action = graph.action(id);
    let maker = finding.related.iter().find_map(|related| {
        let name = related.what.strip_prefix("made by ")?;
        names.find(graph, name, related.place.as_ref())
    });
    let wish = |lack, action: &'a Action, id| Wish {
        action,
        id,
        lack,
        path: path.clone(),
        maker: maker.map(|id| graph.action(id)),
    };
    let known = |via| {
        let path = path.as_slice();
        action.inputs.iter().any(|input| input.via == via && graph.paths.get(input.path) == path)
    };
    let lack = match finding.rule {
        Rule::R003 if known(Via::Depfile) => Lack::Order,
        _ if known(Via::OrderOnly) => Lack::Promotion,
        _ => Lack::Input,
    };
    match finding.rule {
        Rule::R001 | Rule::R002 | Rule::R003 | Rule::R006 | Rule::R007 => {
            Some(vec![wish(lack, action, id)])
        }
        Rule::R005 => {
            let maker = maker?;
            Some(vec![wish(Lack::Output, graph.action(maker), maker), wish(lack, action, id)])
        }
        Rule::W001 => Some(vec![wish(Lack::Output, action, id)]),
        _ => None,
    }
}

/// Whether a file says of itself, near its beginning, that a program makes it.
fn is_generated(text: &[u8]) -> bool {
    let start = text[..text.len().min(4096)].to_ascii_lowercase();
    let signs: [&[u8]; 6] = [
        b"generated by",
        b"generated from",
        b"automatically generated",
        b"autogenerated",
        b"auto-generated",
        b"do not edit",
    ];
    signs.iter().any(|sign| start.windows(sign.len()).any(|window| window == *sign))
}

/// The lines of a text with where each begins.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    text.split_inclusive(|&byte| byte == b'\n').scan(0, |at, line| {
        let start = *at;
        *at += line.len();
        Some((start, line))
    })
}

/// Where the line of this number (from 1) begins.
fn line_start(text: &[u8], line: u32) -> Option<usize> {
    let line = usize::try_from(line).ok()?.checked_sub(1)?;
    lines(text).nth(line).map(|(start, _)| start)
}

/// A path of bytes.
fn path(name: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(name))
}

/// A name for people.
fn shown(name: &[u8]) -> String {
    airtight_policy::printable(name).into_owned()
}

/// Names in order, each once, with the spaces between.
fn words(names: &BTreeSet<Vec<u8>>) -> Vec<u8> {
    names.iter().map(Vec::as_slice).collect::<Vec<_>>().join(&b' ')
}

/// What is collected for places in files, in their order.
type Places<T> = BTreeMap<(PathBuf, usize), T>;
