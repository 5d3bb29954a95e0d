# Short names for people. Nothing depends on this file.

# everything, as continuous integration runs it
ci:
    .ci/run

# the tests alone, as whoever runs them
test:
    cargo test --workspace

lint:
    cargo fmt --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo deny check bans licenses sources

demo:
    sh scripts/demo.sh

picture:
    sh scripts/picture.sh

bench:
    cargo build --release
    python3 benches/run.py
