#!/bin/sh
# Builds Airtight and runs it on three examples: a whole build with make that lacks two dependencies,
# a compile that reads a header it did not declare, and one that declares all it reads. Needs Rust,
# gcc and git, and make for the first of the three; no root, no server.
set -eu
cd "$(dirname "$0")/.."
cargo build --release --locked
PATH=$(cd "${CARGO_TARGET_DIR:-target}/release" && pwd):$PATH
exec sh scripts/show.sh
