//! Commands and the recipes they are from.

use crate::adapter::make::recipes::{calls_shell, fits};

#[test]
fn a_command_fits_the_recipe_that_it_is_from() {
    let from =
        |recipe: &str, command: &str| fits(recipe.as_bytes(), b"out/a.o", command.as_bytes());
    assert!(from("@gcc -c $< -o $@", "gcc -c src/a.c -o out/a.o"));
    assert!(from("$(CC) $(if $(V),x) -c $<\n-touch $@", "touch out/a.o"));
    assert!(from("echo '$$HOME' > $@", "echo '$HOME' > out/a.o"));
    assert!(from("one && \\\n  two", "one && \\\n two"));
    assert!(!from("gcc -c $< -o $@", "gcc -c src/b.c -o out/b.o"));
    assert!(!from("gcc -c $<", "clang -c a.c"));
    assert!(!from("$(CMD)", "anything"));
    assert!(!from("touch x", "touch x y"));
}

#[test]
fn shell_functions_are_found_in_recipes() {
    let from = |recipe: &str, command: &str| calls_shell(recipe.as_bytes(), command.as_bytes());
    assert!(from("echo $(shell cat version) > x", "cat version"));
    assert!(from("echo ${shell git describe $(ARGS)}", "git describe --tags"));
    assert!(!from("echo $(shell cat version)", "uname -m"));
    assert!(!from("cat version", "cat version"));
    assert!(!from("echo $(shell $(CMD))", "cat version"));
}
