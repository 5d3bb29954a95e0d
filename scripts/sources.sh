#!/bin/sh
# Fetches the sources of the real projects that tests and benches audit, from the Debian archive
# that this machine's apt is set up for, into DIRECTORY (target/sources by default). What is there
# already is kept, so that a second run needs no network.
#
#     sh scripts/sources.sh [DIRECTORY]
#
# The machine's own lists of packages stay as they are: apt gets a configuration of its own here.
set -eu
umask 022
cd "$(dirname "$0")/.."

# Names of source packages. All build without further libraries.
projects="lua5.4 expat jq fribidi"

directory=${1:-${CARGO_TARGET_DIR:-target}/sources}
mkdir -p "$directory"
cd "$directory"

missing=
for project in $projects; do
    [ -d "$project" ] || missing="$missing $project"
done
[ -n "$missing" ] || exit 0

work=$PWD/.apt
mkdir -p "$work/lists/partial"
# Without the suite of security updates: mirrors hold its packages, and often not their sources.
apt-get indextargets --format 'deb-src $(REPO_URI) $(RELEASE) $(COMPONENT)' \
    'Created-By: Packages' 'Origin: Debian' |
    grep -v -e '-security ' | sort -u >"$work/sources.list"
[ -s "$work/sources.list" ] || {
    echo "apt knows no Debian archive here (apt-get update may help)" >&2
    exit 1
}

apt() {
    apt-get -qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" \
        -o APT::Sandbox::User="$(id -un)" "$@" >"$work/log" 2>&1 || {
        cat "$work/log" >&2
        return 1
    }
}

apt update
for project in $missing; do
    rm -rf "$work/new"
    mkdir "$work/new"
    (cd "$work/new" && apt --download-only source "$project")
    # As their authors released them: Debian's patches come and go with its revisions.
    dpkg-source --skip-patches -x "$work/new"/*.dsc "$work/new/unpacked" >"$work/log" 2>&1 || {
        cat "$work/log" >&2
        exit 1
    }
    mv "$work/new/unpacked" "$project"
    echo "$project: $(sed -n 's/^[^(]*(\([^)]*\)).*/\1/p;q' "$project/debian/changelog")"
done
rm -rf "$work"
