//! JUnit XML, as Jenkins' `junit-10.xsd` has it: one test suite, and in it one test case for each
//! action.

use super::words::{safe, story};
use super::{Report, Subject};
use crate::error::Error;
use airtight_policy::{Finding, Place};
use airtight_recording::Completeness;
use quick_xml::Writer;
use quick_xml::events::BytesText;
use std::collections::HashMap;
use std::io;

/// How many actions without findings are listed. Those with findings always are.
const CLEAN: usize = 10_000;

/// One action.
struct Case<'a> {
    name: &'a str,
    declared_at: Option<&'a Place>,
    findings: Vec<&'a Finding>,
}

impl Case<'_> {
    fn fails(&self) -> bool {
        self.findings.iter().any(|finding| finding.fails())
    }
}

pub(super) fn text(report: &Report<'_>) -> Result<String, Error> {
    let written = write(report).map_err(|error| Error::plain(format!("can't write XML: {error}")));
    written
        .and_then(|bytes| String::from_utf8(bytes).map_err(|error| Error::plain(error.to_string())))
}

fn write(report: &Report<'_>) -> io::Result<Vec<u8>> {
    let (cases, omitted) = cases(report);
    let broken = broken(report);
    let tests = (cases.len() + usize::from(broken.is_some())).to_string();
    let failures = cases.iter().filter(|case| case.fails()).count().to_string();
    let errors = usize::from(broken.is_some()).to_string();
    let name = xml(report.name());
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.get_mut().extend_from_slice(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    let totals =
        [("tests", tests.as_str()), ("failures", failures.as_str()), ("errors", errors.as_str())];
    let suites = writer.create_element("testsuites").with_attribute(("name", "airtight"));
    suites.with_attributes(totals).write_inner_content(|writer| {
        let suite = writer.create_element("testsuite").with_attribute(("name", name.as_str()));
        suite.with_attributes(totals).write_inner_content(|writer| {
            if omitted > 0 {
                let value = omitted.to_string();
                writer.create_element("properties").write_inner_content(|writer| {
                    let property = writer.create_element("property");
                    property
                        .with_attribute(("name", "clean actions left out"))
                        .with_attribute(("value", value.as_str()))
                        .write_empty()?;
                    Ok(())
                })?;
            }
            for case in &cases {
                test(writer, case)?;
            }
            if let Some(why) = &broken {
                let case = writer.create_element("testcase");
                let case = case.with_attributes([("name", "recording"), ("classname", "airtight")]);
                case.write_inner_content(|writer| {
                    let error = writer.create_element("error").with_attribute(("type", "I002"));
                    error
                        .with_attribute(("message", "the recording is incomplete"))
                        .write_text_content(BytesText::new(why))?;
                    Ok(())
                })?;
            }
            Ok(())
        })?;
        Ok(())
    })?;
    let mut bytes = writer.into_inner();
    bytes.push(b'\n');
    Ok(bytes)
}

/// The actions, those without findings up to a number, and how many are left out.
fn cases<'a>(report: &Report<'a>) -> (Vec<Case<'a>>, usize) {
    let mut cases: Vec<Case<'a>> = Vec::new();
    let mut known: HashMap<&str, usize> = HashMap::new();
    let case = |name: &'a str, declared_at| Case { name, declared_at, findings: Vec::new() };
    match &report.subject {
        Subject::Action { verdict, declared_at } => {
            cases.push(case(verdict.action(), *declared_at));
        }
        Subject::Build { verdict, .. } => {
            let actions = verdict.actions.iter();
            cases.extend(actions.map(|action| case(&action.name, action.declared_at.as_ref())));
        }
    }
    for (at, case) in cases.iter().enumerate() {
        known.entry(case.name).or_insert(at);
    }
    for finding in report.shown() {
        let at = *known.entry(&finding.action).or_insert_with(|| {
            // An action that did not run can have findings too.
            cases.push(case(&finding.action, finding.declared_at.as_ref()));
            cases.len() - 1
        });
        cases[at].findings.push(finding);
    }
    let all = cases.len();
    let mut clean = 0;
    cases.retain(|case| {
        clean += usize::from(case.findings.is_empty());
        !case.findings.is_empty() || clean <= CLEAN
    });
    let omitted = all - cases.len();
    (cases, omitted)
}

/// Readers take the first failure of a test case only, so there is one with all that fails.
fn test(writer: &mut Writer<Vec<u8>>, case: &Case<'_>) -> io::Result<()> {
    let name = xml(case.name);
    let class = case.declared_at.map_or_else(|| "airtight".to_owned(), |p| xml(&p.to_string()));
    let element = writer.create_element("testcase");
    let element = element.with_attributes([("name", name.as_str()), ("classname", class.as_str())]);
    if case.findings.is_empty() {
        element.write_empty()?;
        return Ok(());
    }
    let (failing, others): (Vec<&Finding>, Vec<&Finding>) =
        case.findings.iter().partition(|finding| finding.fails());
    let stories = |findings: &[&Finding]| {
        let stories: Vec<String> = findings
            .iter()
            .map(|finding| format!("[{}] {}", finding.rule, story(finding)))
            .collect();
        printable(&stories.join("\n\n"))
    };
    element.write_inner_content(|writer| {
        if let Some((first, rest)) = failing.split_first() {
            let mut message = xml(&first.message);
            if !rest.is_empty() {
                message += &format!(" and {} more", rest.len());
            }
            let failure = writer.create_element("failure");
            let kind = format!("{} {}", first.rule, first.slug);
            failure
                .with_attributes([("type", kind.as_str()), ("message", message.as_str())])
                .write_text_content(BytesText::new(&stories(&failing)))?;
        }
        if !others.is_empty() {
            let out = writer.create_element("system-out");
            out.write_text_content(BytesText::new(&stories(&others)))?;
        }
        Ok(())
    })?;
    Ok(())
}

/// Why the judgement is not whole.
fn broken(report: &Report<'_>) -> Option<String> {
    let mut lines = Vec::new();
    match report.completeness() {
        Some(Completeness::Complete) => (),
        Some(Completeness::Incomplete { reasons }) => {
            lines.extend(reasons.iter().map(|reason| xml(&reason.detail)));
        }
        None => lines.push("it has no end".to_owned()),
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// One line of text that XML can hold.
fn xml(text: &str) -> String {
    printable(&safe(text))
}

/// Without the characters that XML 1.0 forbids (section 2.2).
fn printable(text: &str) -> String {
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    text.chars().map(|c| if allowed(c) { c } else { '\u{fffd}' }).collect()
}
