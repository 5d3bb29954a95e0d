//! The parts of the page that need no scripts.

use super::super::group::Group;
use super::super::words::{self, count};
use super::super::{Report, deed, times};
use super::esc;
use airtight_policy::build::BuildVerdict;
use airtight_policy::{Finding, Proof, Step};
use std::fmt::Write as _;

/// How many findings stand in the page; more make it slow, and nobody reads them.
pub(super) const MOST: usize = 3000;

/// How many rows a table has that can't be filtered.
const ROWS: usize = 500;

/// All findings, those with one cause together.
pub(super) fn html(report: &Report<'_>) -> String {
    let groups = Group::all(report.shown());
    if groups.is_empty() {
        return "<p>Nothing to tell.</p>".to_owned();
    }
    let mut html = String::new();
    let mut at = 0;
    let mut hidden = 0;
    for group in &groups {
        let shown = group.findings.len().min(MOST - at);
        hidden += group.findings.len() - shown;
        let members = &group.findings[..shown];
        match members {
            [] => {}
            [alone] => finding(&mut html, alone, at),
            [first, ..] => {
                header(&mut html, group, first, members.len());
                for (offset, member) in members.iter().enumerate() {
                    finding(&mut html, member, at + offset);
                }
                html.push_str("</div></details>\n");
            }
        }
        at += shown;
    }
    if hidden > 0 {
        let _ = writeln!(html, "<p>{hidden} more; the JSON report has them all.</p>");
    }
    html
}

/// Opens a group.
fn header(html: &mut String, group: &Group<'_>, first: &Finding, listed: usize) {
    let severity = words::severity(first.severity);
    let paths = group.others(|finding| &finding.subject).len() as u64;
    let actions = group.others(|finding| &finding.action).len() as u64;
    let mut also = Vec::new();
    if paths > 0 {
        also.push(format!("and {}", count(paths, "other name")));
    }
    if actions > 0 {
        also.push(format!("also in {}", count(actions, "other action")));
    }
    let _ = writeln!(
        html,
        "<details class=\"group {severity}\" data-size=\"{listed}\"><summary>\
         <span class=\"rule\">{severity} {rule}</span> {message} <strong>{also}</strong> \
         <span class=\"who\">{size} findings<span class=\"left\"></span></span></summary>\
         <div class=\"members\">",
        size = group.findings.len(),
        rule = first.rule,
        message = esc(&first.message),
        also = esc(&also.join(", ")),
    );
}

/// One finding; `at` is its number in the page.
fn finding(html: &mut String, finding: &Finding, at: usize) {
    let proof =
        |finding: &Finding| finding.confirmed.as_ref().map(ToString::to_string).unwrap_or_default();
    let tag = match finding.confirmed.as_ref().map(|confirmed| confirmed.result) {
        Some(Proof::Proven) => " <span class=\"tag proven\">proven</span>",
        Some(Proof::NotReproduced) => " <span class=\"tag\">not reproduced</span>",
        Some(Proof::NotTried) | None => "",
    };
    let severity = words::severity(finding.severity);
    let Finding { rule, slug, id, .. } = finding;
    let (action, path) = (esc(&finding.action), esc(&finding.subject));
    let _ = write!(
        html,
        "<details class=\"finding {severity}\" id=\"{id}\" data-at=\"{at}\" data-rule=\"{rule}\" \
         data-severity=\"{severity}\" data-action=\"{action}\" data-path=\"{path}\"><summary>\
         <span class=\"rule\">{severity} {rule}</span> {} <span class=\"who\">{action}</span>{tag}\
         </summary>\n<dl>",
        esc(&finding.message),
    );
    let mut row = |label: &str, value: String| {
        if !value.is_empty() {
            let _ = write!(html, "<dt>{label}</dt><dd>{value}</dd>");
        }
    };
    let code = |text: &str| format!("<code>{}</code>", esc(text));
    row("rule", format!("{rule} {slug} <a class=\"who\" href=\"#{id}\">{id}</a>"));
    let place = finding.declared_at.as_ref();
    let place = place.map(|place| format!(", declared at {}", code(&place.to_string())));
    row("action", format!("{}{}", code(&finding.action), place.unwrap_or_default()));
    if let Some(evidence) = &finding.evidence {
        let call = match evidence.syscall.as_str() {
            "" => "the kernel".to_owned(),
            call => format!("{call}({})", evidence.flags),
        };
        let refused = if finding.enforced { ", refused" } else { "" };
        row(deed(finding.kind), chain(&evidence.chain));
        row("how", format!("{}, {}{refused}", code(&call), times(finding.count)));
        if !evidence.requested.is_empty() {
            row("asked", code(&evidence.requested));
        }
    }
    for related in finding.related.iter().filter(|related| related.what != "declared here") {
        let place = related.place.as_ref().map(|place| format!(" at {}", code(&place.to_string())));
        row("see", format!("{}{}", esc(&related.what), place.unwrap_or_default()));
    }
    row("effect", esc(&finding.effect));
    row("proof", esc(&proof(finding)));
    if !finding.fix.is_empty() {
        let lines: Vec<String> = finding.fix.lines().map(esc).collect();
        row("fix", format!("<pre>{}</pre>", lines.join("\n")));
    }
    html.push_str("</dl><div class=\"graph\"></div></details>\n");
}

/// The processes that led to an access, each below the one that it started.
fn chain(steps: &[Step]) -> String {
    let mut html = String::from("<ol class=\"chain\">");
    for step in steps {
        let command = if step.argv.is_empty() { step.exe.clone() } else { step.argv.join(" ") };
        let short: String = command.chars().take(400).collect();
        let dots = if short.len() < command.len() { " …" } else { "" };
        let _ = write!(html, "<li><code>{}{dots}</code></li>", esc(&short));
    }
    html + "</ol>"
}

/// The table of actions: without scripts, those with findings.
pub(super) fn actions(verdict: &BuildVerdict) -> String {
    let mut html = String::from(
        "<div class=\"tools\" id=\"actions-tools\" hidden>\
         <label class=\"wide\">Name or place <input type=\"search\" autocomplete=\"off\" spellcheck=\"false\"></label>\
         <label>Show <select><option value=\"\">all</option><option value=\"found\">with findings</option>\
         <option value=\"kept\">not cacheable</option></select></label></div>\n\
         <p id=\"actions-shown\" role=\"status\"></p>\n\
         <table><thead><tr><th>Action</th><th>Declared at</th><th class=\"number\">Processes</th>\
         <th class=\"number\">Findings</th><th>Not cacheable because</th></tr></thead>\
         <tbody id=\"actions-body\">\n",
    );
    for action in verdict.actions.iter().filter(|action| action.findings > 0).take(ROWS) {
        let place = action.declared_at.as_ref().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(
            html,
            "<tr><td class=\"mono\">{}</td><td class=\"mono\">{}</td><td class=\"number\">{}</td>\
             <td class=\"number\">{}</td><td>{}</td></tr>",
            esc(&action.name),
            esc(&place),
            action.processes,
            action.findings,
            esc(&action.uncacheable.join("; ")),
        );
    }
    html + "</tbody></table>\n<p><button type=\"button\" id=\"actions-more\" hidden>Show more</button></p>\n"
}

/// The table of what is known.
pub(super) fn suppressed(report: &Report<'_>) -> String {
    let all = report.suppressed();
    let mut html = String::from(
        "<details><summary>What the policy or the baseline knows of</summary><table><thead><tr>\
         <th>Rule</th><th>What</th><th>Action</th><th>Why</th><th>Known from</th></tr></thead><tbody>\n",
    );
    for known in all.iter().take(ROWS) {
        let place = known.place.as_ref().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(
            html,
            "<tr><td>{}</td><td>{}</td><td class=\"mono\">{}</td><td>{}</td><td class=\"mono\">{}</td></tr>",
            known.finding.rule,
            esc(&known.finding.message),
            esc(&known.finding.action),
            esc(&known.reason),
            esc(&place),
        );
    }
    html.push_str("</tbody></table>");
    if all.len() > ROWS {
        let _ = write!(html, "<p>{} more</p>", all.len() - ROWS);
    }
    html + "</details>\n"
}
