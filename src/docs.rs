//! Holds docs/cli.md and the schemas of settings and reports against the program; `AIRTIGHT_BLESS=1`
//! rewrites them.

use crate::{cli, command, config, report};
use std::path::Path;

#[test]
fn the_reference_of_the_command_line_is_current() {
    let mut text = String::from(include_str!("docs.md"));
    text += "\n## Variables\n\n| variable | setting |\n|---|---|\n";
    for (variable, setting) in config::VARIABLES {
        text += &format!("| `{variable}` | `{setting}` |\n");
    }
    let mut definition = cli::definition().term_width(100);
    definition.build();
    pages(&mut text, &mut definition, 2);
    hold("docs/cli.md", &text);
}

fn pages(text: &mut String, command: &mut clap::Command, level: usize) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned();
    // What every subcommand has stands on the first page only.
    let first = level == 2;
    let mut page = command.clone().mut_args(|arg| {
        let common = arg.is_global_set() || arg.get_id() == "help";
        arg.hide(common && !first)
    });
    let help = page.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    let marks = "#".repeat(level);
    *text += &format!("\n{marks} {name}\n\n```text\n{}\n```\n", help.join("\n").trim_end());
    for subcommand in command.get_subcommands_mut() {
        if subcommand.get_name() != "help" {
            pages(text, subcommand, 3);
        }
    }
}

#[test]
fn the_schema_of_the_settings_is_current() {
    let schema = command::json(&config::schema()).expect("a schema is always JSON");
    hold("docs/airtight.schema.json", &schema);
}

#[test]
fn the_schema_of_the_report_is_current() {
    let schema = command::json(&report::schema()).expect("a schema is always JSON");
    hold("docs/report.schema.json", &schema);
}

#[track_caller]
fn hold(name: &str, current: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("AIRTIGHT_BLESS").is_some() {
        std::fs::write(&path, current).expect(name);
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = written.lines().zip(current.lines()).position(|(old, new)| old != new);
    assert!(
        written == current,
        "{name} is not current, from line {} on: run with AIRTIGHT_BLESS=1",
        differs.map_or_else(|| written.lines().count(), |line| line + 1)
    );
}
