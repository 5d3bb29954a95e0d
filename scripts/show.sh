#!/bin/sh
# Shows Airtight, which must be in PATH, on three examples. The demo and the picture use it.
set -eu
cd "$(dirname "$0")/../examples"

bold=
plain=
if [ -t 1 ] || [ -n "${CLICOLOR_FORCE:-}" ]; then
    bold=$(printf '\033[1m')
    plain=$(printf '\033[0m')
fi

# show DIRECTORY EXIT_CODE COMMAND...: runs it there and compares its exit code.
show() {
    directory=$1
    expected=$2
    shift 2
    printf '%s~/examples/%s$ %s%s\n' "$bold" "$directory" "$*" "$plain"
    code=0
    (cd "$directory" && "$@") 2>&1 || code=$?
    printf '%s~/examples/%s$ echo $?%s\n%s\n' "$bold" "$directory" "$plain" "$code"
    if [ "$code" -ne "$expected" ]; then
        echo "expected exit code $expected" >&2
        exit 1
    fi
}

# A cache of its own, so that it shows the same every time.
AIRTIGHT_CACHE_DIR=$(mktemp -d)
export AIRTIGHT_CACHE_DIR
trap 'rm -rf "$AIRTIGHT_CACHE_DIR"' EXIT

if command -v make >/dev/null; then
    (cd whole-build && make --silent clean)
    show whole-build 120 airtight audit -- make
else
    echo "make is not installed, so the audit of a whole build is left out (apt-get install make)"
fi
echo
show macro-include 120 airtight run --spec action.json
echo
show clean 0 airtight run --spec action.json
echo
rm -f clean/build/hello.o
show clean 0 airtight run --spec action.json
show clean 0 ls build
show clean 0 airtight cache stats
