"""Updates of one row a transaction by key, on several servers in turn: what one core does differs from
minute to minute on shared machines, and a server that is measured by itself has its own minutes.

    turns.py --server NAME=DSN [--server NAME=DSN ...] [--rows 1000000] [--turns 25] [--compress NAME ...]

Each server gets the table of writes.py with that many rows; a turn is 200 updates on each of them, in
random order. Tells the quartile, the median, the mean of all but the slowest 5 %, and the rate of these.
"""

import argparse
import random
import time

import psycopg
import writes

UPDATES = 200
UPDATE = (
    "UPDATE trades SET price = price + 1 WHERE ts = timestamptz '2026-01-01+00' + %s * interval '1 second'"
    " AND symbol = %s AND exchange = 'X'"
)


def table(connection, name, rows, compress):
    connection.execute("SET timezone = 'UTC'")
    connection.execute("DROP TABLE IF EXISTS trades")
    connection.execute(writes.TABLE)
    if "chronolith" in connection.execute("SELECT version()").fetchone()[0].lower():
        connection.execute("SELECT create_hypertable('trades', 'ts', chunk_time_interval => interval '1 day')")
    writes.load(connection, rows)
    if name in compress:
        connection.execute("ALTER TABLE trades SET (timescaledb.compress, timescaledb.compress_segmentby = 'symbol')")
        connection.execute("SELECT compress_chunk(c, true) FROM show_chunks('trades') AS c")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", action="append", required=True)
    parser.add_argument("--compress", action="append", default=[])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--turns", type=int, default=25)
    args = parser.parse_args()
    servers = {}
    for server in args.server:
        name, dsn = server.split("=", 1)
        servers[name] = psycopg.connect(dsn, autocommit=True)
        table(servers[name], name, args.rows, args.compress)
    took = {name: [] for name in servers}
    number = 0
    # The first two turns warm up.
    for turn in range(-2, args.turns):
        for name in random.sample(sorted(servers), len(servers)):
            for _ in range(UPDATES):
                number = (number + 7919) % args.rows
                values = (number // writes.SYMBOLS, f"S{number % writes.SYMBOLS}")
                begin = time.perf_counter()
                servers[name].execute(UPDATE, values)
                if turn >= 0:
                    took[name].append(time.perf_counter() - begin)
    for name, times in took.items():
        times.sort()
        count = len(times)
        some = times[: count * 95 // 100]
        mean = sum(some) / len(some)
        print(
            f"{name}: quartile {times[count // 4] * 1e6:.0f} us, median {times[count // 2] * 1e6:.0f},"
            f" mean of 95 % {mean * 1e6:.0f}, {1 / mean:.0f} /s"
        )


if __name__ == "__main__":
    main()
