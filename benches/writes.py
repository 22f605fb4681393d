"""Upserts, deletes, updates and look-ups by key on Chronolith and on PostgreSQL 15, one after the other in one run.

    writes.py --chronolith DSN --postgres DSN [--rows 1000000]

The table has the key (ts, symbol, exchange) and a day of trades of 50 symbols a second; Chronolith's is
a hypertable of days. Both are measured through psycopg 3, with statements and parameters as drivers
send them. PostgreSQL's rows are never compressed; it stands beside both of Chronolith's figures.
"""

import argparse
import time

import psycopg

UPSERTS = 100_000
LOADED = 50_000
SYMBOLS = 50
TABLE = """CREATE TABLE trades (
    ts timestamptz NOT NULL, symbol text NOT NULL, exchange text NOT NULL,
    price numeric(18,8), volume numeric(18,8), PRIMARY KEY (ts, symbol, exchange))"""
# A second has a row of each symbol, from 2026-01-01 on.
ROW = """SELECT timestamptz '2026-01-01+00' + (i / {symbols}) * interval '1 second',
    'S' || i % {symbols}, 'X', 100 + (i * 7919 % 10007) / 100.0, 1 + i % 13
    FROM generate_series({first}::bigint, {last}::bigint) AS i"""


def seconds(work):
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def load(connection, rows):
    # So few that they stay in Chronolith's memory: more in one statement would be a load, which
    # writes cold parts at once.
    for first in range(0, rows, LOADED):
        text = ROW.format(symbols=SYMBOLS, first=first, last=min(first + LOADED, rows) - 1)
        connection.execute(f"INSERT INTO trades {text}")


def upsert(connection, rows, batch=1000):
    """Half of the rows are there: every second of the table's last ones, the others come behind."""
    first = rows - UPSERTS
    numbers = [first + 2 * n for n in range(UPSERTS)]
    cursor = connection.cursor()

    def run():
        for at in range(0, len(numbers), batch):
            some = numbers[at : at + batch]
            values = ", ".join(
                f"(timestamptz '2026-01-01+00' + {n // SYMBOLS} * interval '1 second',"
                f" 'S{n % SYMBOLS}', 'X', {n % 90}.25, 2)"
                for n in some
            )
            cursor.execute(
                f"INSERT INTO trades VALUES {values} ON CONFLICT (ts, symbol, exchange)"
                " DO UPDATE SET price = EXCLUDED.price, volume = trades.volume + EXCLUDED.volume"
            )

    return UPSERTS / seconds(run)


def upsert_array(connection, rows, batch=10_000):
    first = rows - UPSERTS
    numbers = [first + 2 * n for n in range(UPSERTS)]

    def run():
        for at in range(0, len(numbers), batch):
            some = numbers[at : at + batch]
            connection.execute(
                "INSERT INTO trades SELECT timestamptz '2026-01-01+00' + (i / %s) * interval '1 second',"
                " 'S' || i %% %s, 'X', i %% 90, 3 FROM unnest(%s::bigint[]) AS i"
                " ON CONFLICT (ts, symbol, exchange) DO UPDATE SET price = EXCLUDED.price",
                (SYMBOLS, SYMBOLS, some),
            )

    return UPSERTS / seconds(run)


def by_keys(connection, text, rows, count=2000):
    """How many a second of a statement that names one row by its key."""
    named = " WHERE ts = timestamptz '2026-01-01+00' + %s * interval '1 second' AND symbol = %s AND exchange = 'X'"

    def run():
        for n in range(count):
            number = (n * 7919) % rows
            cursor = connection.execute(text + named, (number // SYMBOLS, f"S{number % SYMBOLS}"))
            assert cursor.rowcount == 1

    return count / seconds(run)


def delete_series(connection):
    deleted = 0

    def run():
        nonlocal deleted
        cursor = connection.execute(
            "DELETE FROM trades WHERE symbol = 'S7' AND ts < '2026-01-02+00'"
        )
        deleted = cursor.rowcount

    took = seconds(run)
    return deleted, took


def measure(name, dsn, rows, kind):
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET timezone = 'UTC'")
        connection.execute("DROP TABLE IF EXISTS trades")
        connection.execute(TABLE)
        if kind != "postgres":
            connection.execute(
                "SELECT create_hypertable('trades', 'ts', chunk_time_interval => interval '1 day')"
            )
            connection.execute(
                "ALTER TABLE trades SET (timescaledb.compress,"
                " timescaledb.compress_segmentby = 'symbol, exchange')"
            )
        took = seconds(lambda: load(connection, rows))
        print(f"{name}: {rows} rows in {took:.2f} s", flush=True)
        pack = "SELECT compress_chunk(c, true) FROM show_chunks('trades') AS c"
        if kind == "compressed":
            connection.execute(pack)
        if kind == "postgres":
            connection.execute("VACUUM ANALYZE trades")
        print(f"{name}: upserts, 1000 a statement: {upsert(connection, rows):,.0f} rows/s", flush=True)
        if kind == "compressed":
            connection.execute(pack)
        print(f"{name}: upserts, 10,000 a statement: {upsert_array(connection, rows):,.0f} rows/s")
        if kind == "compressed":
            connection.execute(pack)
        select = "SELECT price, volume FROM trades"
        print(f"{name}: look-ups by key: {by_keys(connection, select, rows):,.0f} /s")
        update = "UPDATE trades SET price = price + 1"
        print(f"{name}: updates by key, one a transaction: {by_keys(connection, update, rows):,.0f} /s")
        if kind == "compressed":
            connection.execute(pack)
        deleted, took = delete_series(connection)
        print(f"{name}: {deleted} rows of a day's series deleted in {took * 1000:.1f} ms", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chronolith", required=True)
    parser.add_argument("--postgres")
    parser.add_argument("--rows", type=int, default=1_000_000)
    args = parser.parse_args()
    measure("hot", args.chronolith, args.rows, "hot")
    measure("compressed", args.chronolith, args.rows, "compressed")
    if args.postgres:
        measure("PostgreSQL", args.postgres, args.rows, "postgres")


if __name__ == "__main__":
    main()
