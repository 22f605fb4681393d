#!/usr/bin/env bash
# Prometheus' exporter for PostgreSQL: a scrape of its default metrics, with no error in its log and no metric less
# than PostgreSQL 15 gives it.
set -uo pipefail
cd "$(dirname "$0")"
. ./report
place=$(mktemp -d)
exporter=""
trap '[ -z "$exporter" ] || kill "$exporter" 2>/dev/null; rm -rf "$place" "$said"' EXIT
# The metrics of a server, by their names.
scrape() {
    local port=$((30000 + RANDOM % 10000))
    DATA_SOURCE_NAME=$1 timeout 60 prometheus-postgres-exporter --web.listen-address="127.0.0.1:$port" >"$place/$2.log" 2>&1 </dev/null &
    exporter=$!
    for _ in $(seq 50); do
        ! curl -sf -m 20 "http://127.0.0.1:$port/metrics" >"$place/$2" || break
        sleep 0.1
    done
    kill "$exporter"
    wait "$exporter" 2>/dev/null
    exporter=""
    grep -oE "^pg_[a-z_]+" "$place/$2" | sort -u >"$place/$2.names"
}
scrape "postgresql://$PGUSER@$PGHOST:$PGPORT/$PGDATABASE?sslmode=disable" here
check "the exporter finds the server" grep -q "^pg_up 1" "$place/here"
check "and meets no error" grep -q "^pg_exporter_last_scrape_error 0" "$place/here"
same "nor logs one" "$(grep -E "level=(error|warn)" "$place/here.log")" ""
if [ -n "${THEIRS_URL:-}" ]; then
    scrape "$THEIRS_URL" there
    # Settings of PostgreSQL's build and its minor releases.
    same "each metric of PostgreSQL's is there" "$(comm -23 "$place/there.names" "$place/here.names" | grep -v '^pg_settings_\|^pg_stat_database_conflicts')" ""
fi
exit $failed
