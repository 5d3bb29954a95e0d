//! One page that needs nothing else: the findings as plain HTML, and around them, with scripts,
//! filters, the actions, their graph and the process tree.
//!
//! The page asks for nothing over the network and forbids itself to: its content security policy
//! allows its own style and script by their digests and nothing besides.

mod data;
mod list;

use super::words::{count, counted, safe};
use super::{Report, Subject, chain};
use crate::error::Error;
use airtight_recording::{Completeness, Digest, Exit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write as _;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

pub(super) fn text(report: &Report<'_>) -> Result<String, Error> {
    let name = esc(report.name());
    let data = data::text(report)?;
    let (links, parts) = parts(report);
    Ok(fill(|key| match key {
        "version" => env!("CARGO_PKG_VERSION").to_owned(),
        "title" => format!("{name} · Airtight"),
        "name" => name.clone(),
        "style" => STYLE.to_owned(),
        "style-hash" => hash(STYLE),
        "script" => SCRIPT.to_owned(),
        "script-hash" => hash(SCRIPT),
        "facts" => facts(report),
        "notes" => notes(report),
        "list" => list::html(report),
        "links" => links.clone(),
        "parts" => parts.clone(),
        "data" => data.clone(),
        _ => String::new(),
    }))
}

/// The page with a text in each of its `{{places}}`. What is put in is not looked at again.
fn fill(value: impl Fn(&str) -> String) -> String {
    let mut parts = PAGE.split("{{");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (key, rest) = part.split_once("}}").unwrap_or(("", part));
        text += &value(key);
        text += rest;
    }
    text
}

/// As a content security policy names an inline script or style.
fn hash(text: &str) -> String {
    STANDARD.encode(Digest::of(text.as_bytes()).hash())
}

/// Text that stays text, in an element or an attribute.
fn esc(text: &str) -> String {
    let text = safe(text);
    // What HTML does not allow as a character, though it is no control character.
    let text = text.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}");
    quick_xml::escape::escape(text.as_str()).into_owned()
}

/// The numbers on top.
fn facts(report: &Report<'_>) -> String {
    let mut html = String::new();
    let mut fact = |class: &str, text: &str| {
        let _ = write!(html, "<li class=\"{class}\">{}</li>", esc(text));
    };
    let counts = report.counts();
    if counts.error == 0 && counts.warn == 0 {
        fact("good", "nothing found");
    }
    if counts.error > 0 {
        fact("error", &count(counts.error, "error"));
    }
    if counts.warn > 0 {
        fact("warning", &count(counts.warn, "warning"));
    }
    if counts.note > 0 {
        fact("", &count(counts.note, "note"));
    }
    if counts.suppressed > 0 {
        fact("", &format!("{} suppressed", counts.suppressed));
    }
    if let Subject::Build { verdict, .. } = &report.subject {
        fact("", &count(verdict.actions.len() as u64, "action"));
        fact("", &counted(u64::from(verdict.processes), "process", "processes"));
        let lost = verdict.unattributed.len();
        fact(if lost > 0 { "warning" } else { "" }, &format!("{lost} unattributed"));
    }
    match report.exit() {
        Some(Exit::Code(0)) => fact("", "the command succeeded"),
        Some(Exit::Code(code)) => fact("error", &format!("the command ended with {code}")),
        Some(Exit::Signal(signal)) => fact("error", &format!("signal {signal} ended the command")),
        None => fact("error", "how the command ended was not seen"),
    }
    html
}

/// What keeps the judgement from being whole.
fn notes(report: &Report<'_>) -> String {
    const MOST: usize = 20;
    let mut html = String::new();
    let mut note = |what: &str, lines: &[String]| {
        let _ = write!(html, "<div class=\"alert\" role=\"note\">{}<ul>", esc(what));
        for line in lines.iter().take(MOST) {
            let _ = write!(html, "<li>{}</li>", esc(line));
        }
        if lines.len() > MOST {
            let _ = write!(html, "<li>{} more</li>", lines.len() - MOST);
        }
        html.push_str("</ul></div>");
    };
    if let Some(Completeness::Incomplete { reasons }) = report.completeness() {
        let reasons: Vec<String> = reasons.iter().map(|reason| reason.detail.clone()).collect();
        note("The recording is incomplete, so that nothing was found proves nothing:", &reasons);
    }
    if let Subject::Build { verdict, .. } = &report.subject
        && !verdict.unattributed.is_empty()
    {
        let lost = verdict.unattributed.iter();
        let lost: Vec<String> = lost.map(|process| chain(&process.chain, true)).collect();
        note(
            "What these processes touched was not judged, because no action is known for them:",
            &lost,
        );
    }
    html
}

/// The parts below the findings, as far as there is something to show, and links to them.
fn parts(report: &Report<'_>) -> (String, String) {
    let (mut links, mut parts) = (String::new(), String::new());
    let mut part = |id: &str, title: &str, body: &str| {
        let _ = write!(links, "<a href=\"#{id}\">{title}</a>");
        let _ = writeln!(
            parts,
            "<section id=\"{id}\" aria-labelledby=\"{id}-title\"><h2 id=\"{id}-title\">{title}</h2>\n\
             {body}</section>"
        );
    };
    if let Subject::Build { verdict, .. } = &report.subject {
        part("actions", "Actions", &list::actions(verdict));
    }
    if !report.suppressed().is_empty() {
        part("suppressed", "Suppressed", &list::suppressed(report));
    }
    if report.recording.is_some() {
        part(
            "processes",
            "Processes",
            "<noscript><p>The tree of processes needs scripts.</p></noscript>\n\
             <ul class=\"tree\" id=\"tree\"></ul>\n",
        );
    }
    (links, parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_into_the_page_is_not_looked_at_again() {
        let page = fill(|key| format!("[{key} {{{{data}}}}]"));
        assert!(page.contains("<title>[title {{data}}]</title>"));
        // Every place has a text.
        assert_eq!(page.matches("[ {{").count(), 0);
    }

    #[test]
    fn text_stays_text() {
        assert_eq!(
            esc("<a b='c'>&\"\n\u{202e}\u{ffff}"),
            "&lt;a b=&apos;c&apos;&gt;&amp;&quot;\\n\\u{202e}\u{fffd}"
        );
    }
}
