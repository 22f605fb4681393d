#!/usr/bin/env bash
# The figures of docs/performance.md: Chronolith and PostgreSQL 15 on the measured workload, in one run.
#
#   MEASURE_DIR=…/measure benches/measure.sh [ROWS]
#
# MEASURE_DIR holds gen.py and schema.sql; gen.py needs numpy and pyarrow. PostgreSQL's part is left
# out when its server programs are not installed, DuckDB's when Python cannot import it.
set -euo pipefail
cd "$(dirname "$0")/.."
rows=${1:-10000000}
: "${MEASURE_DIR:?name the folder of the measured workload}"
target=${CARGO_TARGET_DIR:-target}/release
work=${WORK_DIR:-$(mktemp -d)}
mkdir -p "$work"
server=""
postgres=""
port=$((20000 + RANDOM % 20000))
pg_port=$((port + 1))
pg_bin=$(ls -d /usr/lib/postgresql/15/bin 2>/dev/null || true)

finish() {
    if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi
    if [ -n "$postgres" ]; then as_postgres "$pg_bin/pg_ctl" -D "$work/pg" -m immediate stop >/dev/null 2>&1 || true; fi
    [ -n "${WORK_DIR:-}" ] || rm -rf "$work"
}
trap finish EXIT

# PostgreSQL refuses to run as root.
as_postgres() { if [ "$(id -u)" -eq 0 ]; then (cd /tmp && setpriv --reuid postgres --regid postgres --clear-groups "$@"); else "$@"; fi; }
ours() { psql -X -q -A -t -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$port" -U postgres -d postgres "$@"; }
theirs() { psql -X -q -A -t -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$pg_port" -U postgres -d postgres "$@"; }
now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.2f", b - a }'; }
rate() { awk -v n="$rows" -v s="$1" 'BEGIN { printf "%d", n / s }'; }

start() {
    "$target/chronolith" serve --data-dir "$work/data" --listen "127.0.0.1:$port" >>"$work/log" 2>&1 &
    server=$!
    until ours -c "SELECT 1" >/dev/null 2>&1; do
        kill -0 "$server" || { tail "$work/log"; exit 1; }
        sleep 0.02
    done
}

echo "machine: $(nproc) cores, $(awk '/MemTotal/ { printf "%d GiB", $2 / 1048576 }' /proc/meminfo), load $(cut -d' ' -f1 /proc/loadavg)"
if [ ! -f "$work/ticks.csv" ]; then
    python3 "$MEASURE_DIR/gen.py" ticks --rows "$rows" --days 10 --seed 7 --out "$work"
fi
chmod a+rx "$work"
sed -n '/CREATE TABLE ticks/,/compress_orderby/p' "$MEASURE_DIR/schema.sql" >"$work/schema.sql"

echo "== load, with key, synced"
start
ours -f "$work/schema.sql" >/dev/null
begin=$(now)
ours -c "\\copy ticks FROM '$work/ticks.csv' WITH (FORMAT csv)"
took=$(since "$begin")
echo "chronolith: $took s, $(rate "$took") rows/s"
echo "chronolith: most memory $(awk '/VmHWM/ { print int($2 / 1024) " MiB" }' "/proc/$server/status")"

if [ -n "$pg_bin" ]; then
    mkdir -p "$work/pg"
    [ "$(id -u)" -ne 0 ] || chown postgres "$work/pg"
    as_postgres "$pg_bin/initdb" -D "$work/pg" -U postgres --auth=trust >/dev/null
    as_postgres "$pg_bin/pg_ctl" -D "$work/pg" -w -o "-p $pg_port -k /tmp" -l "$work/pg/log" start >/dev/null
    postgres=running
    sed -n '/CREATE TABLE ticks/,/^);/p; /CREATE INDEX ON ticks/p' "$work/schema.sql" >"$work/pg-schema.sql"
    theirs -f "$work/pg-schema.sql"
    begin=$(now)
    theirs -c "\\copy ticks FROM '$work/ticks.csv' WITH (FORMAT csv)"
    took=$(since "$begin")
    echo "PostgreSQL 15: $took s, $(rate "$took") rows/s"
    as_postgres "$pg_bin/pg_ctl" -D "$work/pg" -m fast stop >/dev/null
    postgres=""
fi

echo "== T01, hot"
"$target/measure" t01 127.0.0.1 "$port"

echo "== first answer after kill -9, all rows in cold parts"
kill -9 "$server"
wait "$server" 2>/dev/null || true
begin=$(now)
start
ours -c "SELECT count(*) FROM ticks"
echo "chronolith: $(since "$begin") s"

echo "== compress"
begin=$(now)
ours -c "SELECT compress_chunk(c, true) FROM show_chunks('ticks') c" >/dev/null
echo "chronolith: $(since "$begin") s"
sleep 1
bytes=$(find "$work/data" -name '*.parquet' -printf '%s\n' | awk '{ s += $1 } END { print s }')
awk -v b="$bytes" -v n="$rows" 'BEGIN { printf "chronolith: %.2f bytes a row in cold parts\n", b / n }'

echo "== T01, compressed"
"$target/measure" t01 127.0.0.1 "$port"
kill "$server"
wait "$server" || true
server=""

echo "== T06, embedded, compressed"
"$target/measure" t06 "$work/data"
if python3 -c 'import duckdb' 2>/dev/null; then
    python3 benches/duck.py "$work"
else
    echo "DuckDB: Python has no module duckdb"
fi
