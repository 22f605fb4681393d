#!/usr/bin/env bash
# PgBouncer before the server, by session and by transaction: its own checks, pgbench, and Python's drivers.
set -uo pipefail
cd "$(dirname "$0")"
. ./report
PATH=/usr/lib/postgresql/15/bin:/usr/sbin:$PATH
python=$1
place=$(mktemp -d)
chmod 755 "$place"
bouncer=""
stop() {
    [ -n "$bouncer" ] || return 0
    # It was started as another user, by a process that ends with it.
    kill "$(cat "$place/run/pid" 2>/dev/null || echo "$bouncer")" 2>/dev/null
    wait "$bouncer" 2>/dev/null
    bouncer=""
}
trap 'stop; rm -rf "$place" "$said"' EXIT
mkdir "$place/run"
as_user=()
if [ "$(id -u)" -eq 0 ]; then
    chown nobody "$place/run"
    as_user=(setpriv --reuid nobody --clear-groups --)
fi
server="host=$PGHOST port=$PGPORT user=$PGUSER"
export PGPORT=$((30000 + RANDOM % 10000))
for mode in session transaction; do
    cat >"$place/$mode.ini" <<INI
[databases]
* = $server
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $PGPORT
unix_socket_dir =
auth_type = any
admin_users = $PGUSER
pool_mode = $mode
ignore_startup_parameters = extra_float_digits, statement_timeout
default_pool_size = 8
pidfile = $place/run/pid
INI
    "${as_user[@]}" pgbouncer -q "$place/$mode.ini" >"$place/$mode.log" 2>&1 </dev/null &
    bouncer=$!
    for _ in $(seq 50); do
        ! pg_isready -q || break
        sleep 0.1
    done
    check "PgBouncer by $mode answers" psql -X -c "SELECT 1"
    check "pgbench through it, simple" bash -c "pgbench -i -q -s 1 && pgbench -n -c 12 -j 2 -t 10"
    check "pgbench through it, extended" pgbench -n -S -c 20 -j 2 -t 20 -M extended
    case $mode in
        session)
            check "pgbench through it, prepared" pgbench -n -S -c 8 -j 2 -t 20 -M prepared
            check "psycopg 3 through it" "$python" ../python/psycopg3.py
            check "psycopg 2 through it" "$python" ../python/psycopg2_basic.py
            check "SQLModel through it" "$python" ../python/sqlmodel_orm.py
            ;;
        transaction)
            check "asyncpg through it, without its cache" "$python" ../python/through_pgbouncer.py
            ;;
    esac
    same "no server connection was lost" "$(grep -iE "server (conn )?crash|unexpected|login failed" "$place/$mode.log")" ""
    check "its console shows the pool" bash -c "psql -X -d pgbouncer -c 'SHOW POOLS' | grep -q $mode"
    stop
done
exit $failed
