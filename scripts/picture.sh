#!/bin/sh
# Makes docs/demo.svg from a real run of the examples.
set -eu
cd "$(dirname "$0")/.."
cargo build --release --locked --quiet
PATH=$(cd "${CARGO_TARGET_DIR:-target}/release" && pwd):$PATH
CLICOLOR_FORCE=1 LC_ALL=C.UTF-8 sh scripts/show.sh | LC_ALL=C awk -f scripts/svg.awk >docs/demo.svg.new
mv docs/demo.svg.new docs/demo.svg
