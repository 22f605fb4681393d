# One place for the verbs; what they do lives in Rust and in .ci/run.

# Format, lints and the tests that need no real client.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

test:
    cargo test --workspace

# SQL scripts alone: `just slt numeric` runs those whose name holds "numeric".
slt only="":
    SLT={{only}} cargo test -p chronolith-tests --test it slt

# The release binary under the real psql.
smoke:
    cargo build --release
    .ci/smoke target/release/chronolith

# Licences, advisories, doubled crates.
deny:
    cargo deny check

# The figures of docs/performance.md; MEASURE_DIR names the measured workload's generator.
bench:
    benches/measure.sh
