#!/usr/bin/env bash
# pgbench with its own tables and scripts, and with one of ours, in each mode; pg_isready.
set -uo pipefail
cd "$(dirname "$0")"
. ./report
PATH=/usr/lib/postgresql/15/bin:$PATH
check "pg_isready finds the server" pg_isready
check "pg_isready says of no server that there is none" bash -c 'pg_isready -p 1; [ $? -eq 2 ]'
check "pgbench makes its tables" pgbench -i -q -s 1
check "pgbench makes its tables with foreign keys, on the server" pgbench -i -q -s 1 --foreign-keys -I dtGvpf
balance="SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(tbalance) FROM pgbench_tellers)
    AND (SELECT sum(bbalance) FROM pgbench_branches) = (SELECT sum(delta) FROM pgbench_history)
    AND (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history)"
for mode in simple extended prepared; do
    check "pgbench, its script like TPC-B, $mode, 4 clients" pgbench -n -c 4 -j 2 -t 25 -M $mode
    check "pgbench -S, $mode, 8 clients" pgbench -n -S -c 8 -j 2 -t 100 -M $mode
done
same "what the scripts moved adds up" "$(sql -c "$balance")" t
check "pgbench -N, 4 clients, reporting latencies" pgbench -n -N -c 4 -j 2 -t 25 -r
check "pgbench connects anew for each transaction" pgbench -n -S -C -c 2 -t 20
check "pgbench tries again what could not be serialised" pgbench -n -c 4 -j 2 -t 10 --max-tries=50 -f retry.pgbench
sql -c "CREATE TABLE bench_ticks (t timestamptz NOT NULL, symbol text NOT NULL, price float8)" \
    -c "SELECT create_hypertable('bench_ticks', 't')" >/dev/null
for mode in simple extended prepared; do
    check "pgbench with a script for a hypertable, $mode" pgbench -n -c 4 -j 2 -t 30 -M $mode -D symbols=5 -f ticks.pgbench
done
same "each of its rows is there" "$(sql -c "SELECT count(*) FROM bench_ticks")" 720
check "pgbench in a pipeline" pgbench -n -c 2 -t 20 -M extended -f pipeline.pgbench
sql -c "DROP TABLE bench_ticks" && check "pgbench drops its tables" pgbench -i -I d
exit $failed
