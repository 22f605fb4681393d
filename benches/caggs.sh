#!/usr/bin/env bash
# The figures of continuous aggregates in docs/performance.md, in one run.
#
#   MEASURE_DIR=…/measure benches/caggs.sh [ROWS]
#
# MEASURE_DIR holds gen.py, schema.sql and caggs.sql; gen.py needs numpy and pyarrow, caggs.py psycopg 3.
set -euo pipefail
cd "$(dirname "$0")/.."
rows=${1:-10000000}
: "${MEASURE_DIR:?name the folder of the measured workload}"
target=${CARGO_TARGET_DIR:-target}/release
work=${WORK_DIR:-$(mktemp -d)}
mkdir -p "$work"
server=""
port=$((20000 + RANDOM % 20000))

finish() {
    if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi
    rm -rf "$work/cagg-data"
    [ -n "${WORK_DIR:-}" ] || rm -rf "$work"
}
trap finish EXIT

ours() { psql -X -q -A -t -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$port" -U postgres -d postgres "$@"; }
now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.2f", b - a }'; }
rate() { awk -v n="$rows" -v s="$1" 'BEGIN { printf "%d", n / s }'; }
fresh() {
    if [ -n "$server" ]; then kill "$server"; wait "$server" || true; fi
    rm -rf "$work/cagg-data"
    "$target/chronolith" serve --data-dir "$work/cagg-data" --listen "127.0.0.1:$port" >>"$work/log" 2>&1 &
    server=$!
    until ours -c "SELECT 1" >/dev/null 2>&1; do
        kill -0 "$server" || { tail "$work/log"; exit 1; }
        sleep 0.02
    done
    ours -f "$work/schema.sql" >/dev/null 2>&1
}
# The width, what it reads, and what that calls its time.
candles() {
    ours -c "CREATE MATERIALIZED VIEW $1 WITH (timescaledb.continuous) AS
        SELECT time_bucket('$2', $4) AS bucket, exchange, symbol, $5
        FROM $3 GROUP BY 1, 2, 3 WITH NO DATA"
}
load() {
    local begin took
    begin=$(now)
    ours -c "\\copy ticks FROM '$work/ticks.csv' WITH (FORMAT csv)"
    took=$(since "$begin")
    echo "$1: $took s, $(rate "$took") rows/s, most memory $(awk '/VmHWM/ { print int($2 / 1024) " MiB" }' "/proc/$server/status")"
}

echo "machine: $(nproc) cores, load $(cut -d' ' -f1 /proc/loadavg)"
if [ ! -f "$work/ticks.csv" ]; then
    python3 "$MEASURE_DIR/gen.py" ticks --rows "$rows" --days 10 --seed 7 --out "$work"
fi
sed -n '/CREATE TABLE ticks/,/compress_orderby/p' "$MEASURE_DIR/schema.sql" >"$work/schema.sql"

echo "== load of $rows ticks"
fresh
load "without continuous aggregates"

echo "== back-fill of an hourly view over them"
raw="first(price, time) AS open, max(price) AS high, min(price) AS low, last(price, time) AS close, sum(volume) AS volume, count(*) AS trades"
over="first(open, bucket) AS open, max(high) AS high, min(low) AS low, last(close, bucket) AS close, sum(volume) AS volume, sum(trades) AS trades"
begin=$(now)
candles ticks_1h '1 hour' ticks time "$raw"
echo "create: $(since "$begin") s"
begin=$(now)
echo "right from the first read: $(ours -c 'SELECT sum(trades) FROM ticks_1h') ticks in $(since "$begin") s"
begin=$(now)
ours -c "CALL refresh_continuous_aggregate('ticks_1h', NULL, NULL)" 2>&1 | sed 's/^/  /'
echo "filled: $(since "$begin") s after that"

echo "== load with six: 1m, 5m, 15m, 1h, 4h, 1d, each over the one before"
fresh
candles c_1m '1 minute' ticks time "$raw"
candles c_5m '5 minutes' c_1m bucket "$over"
candles c_15m '15 minutes' c_5m bucket "$over"
candles c_1h '1 hour' c_15m bucket "$over"
candles c_4h '4 hours' c_1h bucket "$over"
candles c_1d '1 day' c_4h bucket "$over"
load "with six"
ours -c "SELECT 'ticks in each: ' || (SELECT sum(trades) FROM c_1m) || ' ' || (SELECT sum(trades) FROM c_1h) || ' ' || (SELECT sum(trades) FROM c_1d)"

echo "== reads"
candles ticks_1h '1 hour' ticks time "$raw"
ours -c "CALL refresh_continuous_aggregate('ticks_1h', NULL, NULL)" 2>/dev/null
python3 benches/caggs.py "$port"
