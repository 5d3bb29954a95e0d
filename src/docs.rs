//! Holds docs/cli.md and docs/airtight.schema.json against the program; `AIRTIGHT_BLESS=1`
//! rewrites them.

use crate::{cli, command, config};
use std::path::Path;

#[test]
fn the_reference_of_the_command_line_is_current() {
    let mut text = String::from(
        "# The command line\n\n\
         <!-- Made from the program itself: AIRTIGHT_BLESS=1 cargo test -p airtight docs -->\n\n\
         Settings come from flags, `AIRTIGHT_*` variables, the project's `airtight.toml`, the\n\
         user's `airtight/config.toml` and the defaults, in this order; `airtight config show`\n\
         tells what is in force. `airtight init` writes an `airtight.toml` with every setting.\n\
         \n\
         ## What `run` does around a command\n\
         \n\
         - It deletes the declared outputs and the depfile first, so that an old one can't pass for\n\
           a new one. It refuses to delete a directory that holds the workspace, the current\n\
           directory or a declared input. An output that is also an input stays.\n\
         - It gives the command three classes of variables: *fixed* (a set value), *tracked* (the\n\
           caller's value, which belongs to the key) and *passthrough* (the caller's value; only\n\
           the name belongs to the key). Without settings these are `PATH`, `LANG`, `LC_ALL`,\n\
           `LC_CTYPE`, `TZ` and `SOURCE_DATE_EPOCH` (tracked) and `HOME`, `USER`, `LOGNAME`, `TERM`,\n\
           `NO_COLOR` and `MAKEFLAGS` (passthrough). `--env-all` passes everything on; what is not\n\
           declared is then finding H005. `trace` leaves the environment as it is.\n\
         - It sets `TMPDIR` to an empty directory of the action's own. The name is made of the\n\
           workspace, the directory and the command, so it is the same in every run. Only a second\n\
           run of the same command at the same time gets another.\n\
         - It writes nothing to standard output. With `--format json` the verdict always goes to\n\
           standard error or to the `--report` file; the other formats are silent when nothing was\n\
           found. Notes are shown with `--all` only.\n\
         - Where nothing can be traced it starts nothing and ends with 125. With\n\
           `--on-untraceable uncacheable` it starts the command untraced, says so, and turns\n\
           success into 121. So 0 always means traced, complete and clean.\n\
         - When several things are wrong, a missing output (122) is told before findings (120), and\n\
           these before an incomplete recording (121). The command's own failure goes before all.\n\
         - A recording or report appears under its name only when it is whole. Until then it has no\n\
           name at all. A device or pipe is written to, never replaced.\n",
    );
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
