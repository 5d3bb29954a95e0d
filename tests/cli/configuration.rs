//! Settings: where they come from, which one counts, and what is said of wrong ones.

use crate::support::Site;
use insta::assert_snapshot;

/// Writes the user file.
fn user(site: &Site, text: &str) {
    let file = site.root().join("home/.config/airtight/config.toml");
    std::fs::create_dir_all(file.parent().expect("in a directory")).expect("made");
    std::fs::write(&file, text).expect("written");
}

#[test]
fn unknown_keys_and_values_name_the_place_and_what_was_meant() {
    let site = Site::new();
    let mut all = String::new();
    for text in [
        "[polcy]\nstrictness = \"all\"\n",
        "[policy]\nstrictnes = \"all\"\n",
        "[policy]\nstrictness = \"al\"\n",
        "[policy.reaction-of]\nR0001 = \"deny\"\n",
        "[policy.scopes]\ntoolchain = [\"/opt/[x\"]\n",
        "[[policy.suppress]]\nrules = [\"R001\"]\n",
        "[run]\ntimeout = \"soon\"\n",
        "[run]\nkeep-environment = \"yes\"\n",
        "[display]\nformat = \"hunam\"\n",
        "[run\n",
    ] {
        site.write("airtight.toml", text);
        let end = site.run(&["run", "--", "true"]);
        all += &format!("{text}=> {}\n", end.code(125).stderr);
    }
    assert_snapshot!(all);
}

#[test]
fn wrong_variables_and_flags_are_named() {
    let site = Site::new();
    let mut command = site.airtight(&["config", "show"]);
    command.env("AIRTIGHT_STRICTNESS", "al");
    assert_eq!(
        site.end(command).code(2).stderr,
        "error: AIRTIGHT_STRICTNESS: unknown variant `al`; did you mean `all`?\n"
    );
    let mut command = site.airtight(&["run", "--", "true"]);
    command.env("AIRTIGHT_STRICTNES", "all");
    assert_eq!(
        site.end(command).code(125).stderr,
        "error: AIRTIGHT_STRICTNES: no setting has this variable\n  \
         hint: did you mean `AIRTIGHT_STRICTNESS`?\n"
    );
    assert_eq!(
        site.run(&["run", "--reaction", "R001=dney", "--", "true"]).code(125).stderr,
        "error: --reaction: unknown variant `dney`; did you mean `deny`?\n"
    );
    assert_eq!(
        site.run(&["run", "--reaction", "R0001=deny", "--", "true"]).code(125).stderr,
        "error: --reaction: unknown rule `R0001`\n  hint: did you mean `R001`?\n"
    );
}

#[test]
fn broken_policies_and_specs_name_file_and_place() {
    let site = Site::new();
    site.write("p.toml", "strictness = \"workspace\"\nreaktion = \"deny\"\n");
    assert_eq!(
        site.run(&["run", "--policy", "p.toml", "--", "true"]).code(125).stderr,
        "error: p.toml:2:1: unknown field `reaktion`; did you mean `reaction`?\n"
    );
    let mut all = String::new();
    for text in [
        "{\"argv\": [\"true\"],\n \"input\": [\"a\"]}",
        "{\"argv\": [\"true\"],\n \"inputs\": \"a\"}",
        "{\"inputs\": []}",
        "{\"argv\": [\"true\"",
        "",
    ] {
        site.write("action.json", text);
        let end = site.run(&["run", "--spec", "action.json"]);
        all += &format!("{text}\n=> {}\n", end.code(125).stderr);
    }
    assert_snapshot!(all);
}

#[test]
fn the_user_file_holds_no_policy() {
    let site = Site::new();
    user(&site, "[display]\nformat = \"short\"\n\n[policy]\nreaction = \"warn\"\n");
    assert_snapshot!(site.run(&["run", "--", "true"]).show());
    user(&site, "[display]\nformat = \"short\"\n");
    site.write("in", "");
    assert_eq!(
        site.run(&["run", "--", "cat", "in"]).code(120).stderr,
        "in: error[R001] undeclared read of in (cat in)\n"
    );
}

#[test]
fn flags_beat_variables_beat_the_project_beats_the_user() {
    let site = Site::new();
    let shown = |variable: Option<&str>| {
        let mut command = site.airtight(&["config", "show"]);
        command.envs(variable.map(|value| ("AIRTIGHT_FORMAT", value)));
        let end = site.end(command);
        let line = end.code(0).stdout.lines().find(|line| line.starts_with("display.format "));
        line.unwrap_or_default().to_owned()
    };
    assert_eq!(shown(None), "display.format = \"human\"  # default");
    user(&site, "[display]\nformat = \"json\"\n");
    let place = "[ROOT]/home/.config/airtight/config.toml:2";
    assert_eq!(shown(None), format!("display.format = \"json\"  # {place}"));
    site.write("airtight.toml", "# mine\n[display]\nformat = \"short\"\n");
    assert_eq!(shown(None), "display.format = \"short\"  # airtight.toml:3");
    assert_eq!(shown(Some("human")), "display.format = \"human\"  # AIRTIGHT_FORMAT");
    // A flag beats all of them.
    site.write("in", "");
    let mut command = site.airtight(&["run", "--format", "short", "--", "cat", "in"]);
    command.env("AIRTIGHT_FORMAT", "json");
    assert_eq!(
        site.end(command).code(120).stderr,
        "in: error[R001] undeclared read of in (cat in)\n"
    );
}

#[test]
fn every_setting_is_shown_with_its_origin() {
    let site = Site::new();
    site.write(
        "airtight.toml",
        "[policy]\nstrictness = \"all\"\n[policy.scopes]\ntoolchain = [\"/nix\"]\n\
         [policy.reaction-of]\nR001 = \"hide\"\n\
         [[policy.suppress]]\nrules = [\"H004\"]\nreason = \"known\"\n",
    );
    let end = site.run(&["config", "show"]);
    let own: Vec<&str> =
        end.code(0).stdout.lines().filter(|line| !line.ends_with("# default")).collect();
    assert_eq!(
        own,
        [
            "policy.reaction-of.R001 = \"hide\"  # airtight.toml:6",
            "policy.scopes.toolchain += [\"/nix\"]  # airtight.toml:4",
            "policy.strictness = \"all\"  # airtight.toml:2",
            "policy.suppress = { reason = \"known\", rules = [\"H004\"] }  # airtight.toml:7",
        ]
    );
    let end = site.run(&["config", "show", "--format", "json"]);
    let shown: serde_json::Value = serde_json::from_str(&end.code(0).stdout).expect("JSON");
    let toolchain: Vec<_> = shown
        .as_array()
        .expect("a list")
        .iter()
        .filter(|setting| setting["key"] == "policy.scopes.toolchain")
        .map(|setting| (setting["origin"].as_str(), setting["added"].as_bool()))
        .collect();
    let expected = [("default", false), ("airtight.toml:4", true)];
    assert_eq!(toolchain, expected.map(|(origin, added)| (Some(origin), Some(added))));
}

#[test]
fn the_nearest_project_file_counts_up_to_the_repository() {
    let site = Site::new();
    std::fs::write(site.root().join("airtight.toml"), "wrong").expect("written");
    site.write("sub/deep/file", "").write("sub/airtight.toml", "[display]\nformat = \"short\"\n");
    let shown = |directory: &str| site.run(&["-C", directory, "config", "show"]).stdout;
    assert!(shown("sub/deep").contains("\"short\"  # [ROOT]/work/sub/airtight.toml:2"));
    // The one above the `.git` is not read: it could not be understood.
    assert!(shown(".").contains("display.format = \"human\"  # default"));
}

#[test]
fn init_writes_every_setting_and_never_overwrites() {
    let site = Site::new();
    assert_eq!(site.run(&["init"]).code(0).stderr, "wrote airtight.toml\n");
    let text = site.read("airtight.toml");
    // It changes nothing: all settings are comments.
    let shown = site.run(&["config", "show"]);
    assert!(shown.code(0).stdout.lines().all(|line| line.ends_with("  # default")));
    for setting in shown.stdout.lines() {
        let key = setting.split(" = ").next().and_then(|key| key.rsplit('.').next());
        let line = format!("\n# {} = ", key.expect("a key"));
        assert!(text.contains(&line), "{line} is not in {text}");
    }
    site.write("airtight.toml", "mine = true\n");
    assert_eq!(
        site.run(&["init"]).code(2).stderr,
        "error: airtight.toml already exists and is left as it is\n  \
         hint: `airtight config show` tells what is in force\n"
    );
    assert_eq!(site.read("airtight.toml"), "mine = true\n");
}
