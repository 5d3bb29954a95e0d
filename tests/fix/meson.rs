//! meson.build.

use crate::support::Project;
use crate::{mend, mended};

#[test]
fn custom_targets_and_links() {
    let project = Project::new(
        "\
-- meson.build --
project('demo', 'c')
custom_target('gen',
  input: 'a.in',
  output: 'gen.txt',
  # both (
  command: [find_program('gen.sh'), '@INPUT@', meson.current_source_dir() / 'b.in', '@OUTPUT@'],
  build_by_default: true,
)
subdir('app')
-- app/meson.build --
app = executable('app', 'main.c', link_args: [meson.current_source_dir() / 'extra.ld'])
-- app/main.c --
int main(void) { return 0; }
-- app/extra.ld --
answer = 42;
-- gen.sh --
#!/bin/sh
cat $1 $2 > $3
-- a.in --
-- b.in --
",
    );
    // Without ccache, which meson takes where it finds it.
    project.prepare(&["env", "CC=cc", "meson", "setup", "out"]);
    let build = ["ninja", "-C", "out"];
    let audit = project.audit(&build);
    audit.expect(120, &[("R001", "out/gen.txt", "b.in"), ("R001", "out/app/app", "app/extra.ld")]);
    let (shown, written) = mend(&project, &["meson.build", "app/meson.build"]);
    let expected = "\
--- a/app/meson.build
+++ b/app/meson.build
@@ -1 +1 @@
-app = executable('app', 'main.c', link_args: [meson.current_source_dir() / 'extra.ld'])
+app = executable('app', 'main.c', link_args: [meson.current_source_dir() / 'extra.ld'], \
         link_depends: files('extra.ld'))
--- a/meson.build
+++ b/meson.build
@@ -5,5 +5,6 @@
   # both (
   command: [find_program('gen.sh'), '@INPUT@', meson.current_source_dir() / 'b.in', '@OUTPUT@'],
   build_by_default: true,
+  depend_files: files('b.in'),
 )
 subdir('app')
";
    assert_eq!(shown.stdout, expected);
    written.code(0);
    project.prepare(&["ninja", "-C", "out", "-t", "clean"]);
    mended(&project, &build, &project.audit(&build));
}
