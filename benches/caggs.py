"""Reads of continuous aggregates through the wire: one series' hourly candles while ticks arrive, and
how long after a COMMIT another connection sees its row in a candle.

    python3 benches/caggs.py PORT       (a server with the table ticks and the view ticks_1h; psycopg 3)
"""
import multiprocessing
import statistics
import sys
import time

import psycopg

DSN = f"host=127.0.0.1 port={sys.argv[1]} user=postgres dbname=postgres"
READS = 2000
COMMITS = 300
QUERY = "SELECT * FROM ticks_1h WHERE exchange = $1 AND symbol = $2 ORDER BY bucket"
ROW = "INSERT INTO ticks (time, exchange, symbol, price, volume, side, trade_id) VALUES (%s, %s, %s, 1, 1, 'b', %s)"


def percentiles(name, seconds):
    ordered = sorted(seconds)
    print(f"{name}: median {statistics.median(ordered) * 1e3:.2f} ms, "
          f"p99 {ordered[int(len(ordered) * 0.99)] * 1e3:.2f} ms, n {len(ordered)}")


def read(conn, count):
    """Seconds until all rows are here, not yet made into Python's numbers."""
    name = f"candles_{time.monotonic_ns()}".encode()
    conn.pgconn.prepare(name, QUERY.encode())
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        result = conn.pgconn.exec_prepared(name, [b"binance", b"BTCUSDT"])
        taken.append(time.perf_counter() - began)
    return taken, result.ntuples


def ingest(stop, written):
    """Batches of 1,000 ticks, each committed, as a feed handler writes them."""
    at, number = 1_741_910_400, 10**12
    with psycopg.connect(DSN, autocommit=True) as conn:
        while not stop.is_set():
            with conn.cursor() as cursor, cursor.copy("COPY ticks FROM STDIN") as copy:
                for i in range(1000):
                    number += 1
                    stamp = time.strftime("%Y-%m-%d %H:%M:%S+00", time.gmtime(at + number // 100_000))
                    copy.write_row((stamp, "binance", f"SYM{i % 100:03}USDT", "101.5", "2.25", "b", number))
            written.value += 1000


with psycopg.connect(DSN, autocommit=True) as reader, psycopg.connect(DSN, autocommit=True) as writer:
    taken, rows = read(reader, READS)
    percentiles(f"hourly candles of one series, {rows} rows, alone", taken)
    stop, written = multiprocessing.Event(), multiprocessing.Value("q", 0)
    feed = multiprocessing.Process(target=ingest, args=(stop, written))
    feed.start()
    time.sleep(1)
    began = time.perf_counter()
    before = written.value
    taken, rows = read(reader, READS)
    seconds = time.perf_counter() - began
    percentiles(f"the same while {(written.value - before) / seconds:,.0f} rows a second arrive", taken)
    stop.set()
    feed.join()
    fresh = []
    for number in range(COMMITS):
        writer.execute(ROW, ("2025-03-13 23:59:59+00", "binance", "BTCUSDT", 10**15 + number))
        began = time.perf_counter()
        found = reader.execute(
            "SELECT trades FROM ticks_1h WHERE exchange = 'binance' AND symbol = 'BTCUSDT' AND bucket = '2025-03-13 23:00:00+00'",
            prepare=True,
        ).fetchone()
        fresh.append(time.perf_counter() - began)
        if number == 0:
            first = found[0]
        assert found[0] == first + number, "a commit that a reader does not see"
    percentiles("from COMMIT to a reader on another connection that has the candle", fresh)
