#!/usr/bin/env bash
# pg_dump and pg_restore of a database with hypertables, compressed chunks and continuous aggregates, and of the
# tables that psql's test describes: plain, custom, directory with jobs, parts of it, and back into empty databases.
set -uo pipefail
cd "$(dirname "$0")"
. ./report
PATH=/usr/lib/postgresql/15/bin:$PATH
place=$(mktemp -d)
trap 'rm -rf "$place" "$said"' EXIT
sql -f dump.sql >/dev/null || exit 1
sums() { sql -d "$1" -f sums.sql 2>&1; }
before=$(sums "$PGDATABASE")
fresh() { sql -d postgres -c "DROP DATABASE IF EXISTS $1" -c "CREATE DATABASE $1" >/dev/null; }

check "pg_dump writes a plain file" pg_dump -f "$place/plain.sql"
fresh d_plain
check "psql reads it in one transaction" psql -X -q -v ON_ERROR_STOP=1 -1 -d d_plain -f "$place/plain.sql"
same "what came back is what was there" "$(sums d_plain)" "$before"
# The rows of a table have no order.
lines() { grep -v '^.\(un\)\?restrict\|^-- \(Dumped\|Started\|Completed\)' | sort; }
pg_dump -d d_plain >"$place/again.sql"
same "a dump of what came back is the same" "$(lines <"$place/again.sql")" "$(lines <"$place/plain.sql")"

check "pg_dump writes a custom archive" pg_dump -Fc -f "$place/custom"
check "pg_restore lists it" pg_restore -l "$place/custom"
fresh d_custom
check "pg_restore reads it" pg_restore -e -d d_custom "$place/custom"
same "what came back from it is what was there" "$(sums d_custom)" "$before"

check "pg_dump writes a directory with 3 jobs" pg_dump -Fd -j 3 -f "$place/directory"
fresh d_jobs
check "pg_restore reads it with 3 jobs" pg_restore -e -j 3 -d d_jobs "$place/directory"
same "what they brought back is what was there" "$(sums d_jobs)" "$before"

fresh d_parts
check "pg_dump --schema-only" pg_dump -s -f "$place/schema.sql"
check "pg_dump --data-only" pg_dump -a -f "$place/data.sql"
same "there are no rows in the one" "$(grep -c '^COPY' "$place/schema.sql")" 0
same "and no tables in the other" "$(grep -c '^CREATE' "$place/data.sql")" 0
check "psql reads the schema" psql -X -q -v ON_ERROR_STOP=1 -d d_parts -f "$place/schema.sql"
check "then the rows" psql -X -q -v ON_ERROR_STOP=1 -d d_parts -c "SET session_replication_role = replica" -f "$place/data.sql"
sql -d d_parts -c "REFRESH MATERIALIZED VIEW market.counted"
same "both together are what was there" "$(sums d_parts)" "$before"

fresh d_table
check "pg_dump --table of a hypertable" pg_dump -t market.ticks -Fc -f "$place/table"
sql -d d_table -c "CREATE SCHEMA market"
check "pg_restore of it" pg_restore -e -d d_table "$place/table"
rows="SELECT count(*), sum(price) FROM market.ticks"
same "it has all rows" "$(sql -d d_table -c "$rows")" "$(sql -c "$rows")"
same "and is a hypertable" "$(sql -d d_table -c "SELECT hypertable_name FROM timescaledb_information.hypertables")" ticks
check "pg_dump --table by a pattern, as INSERTs" pg_dump -t 'market.*' --inserts --rows-per-insert=50 -f "$place/inserts.sql"
check "pg_dump --schema, --exclude-table-data" pg_dump -n market --exclude-table-data=market.ticks -f "$place/some.sql"
check "pg_dump --column-inserts --on-conflict-do-nothing" pg_dump -a -t market.symbols --column-inserts --on-conflict-do-nothing -f "$place/again.sql"
check "psql reads these where the rows are" psql -X -q -v ON_ERROR_STOP=1 -d d_plain -f "$place/again.sql"
check "pg_restore writes a script of parts" pg_restore -f "$place/part.sql" --section=pre-data "$place/custom"
check "pg_restore -t of an archive" pg_restore -f "$place/part.sql" -t ticks "$place/custom"
check "pg_dumpall --globals-only" pg_dumpall -g -f "$place/globals.sql"
check "pg_dump -C names the database" bash -c 'pg_dump -C -s | grep -q "^CREATE DATABASE"'
for name in d_plain d_custom d_jobs d_parts d_table; do sql -d postgres -c "DROP DATABASE $name" >/dev/null; done
exit $failed
