#!/usr/bin/env python3
"""T06 in DuckDB on the same ticks, sorted as our parts are: duck.py DIR, where DIR holds ticks.parquet."""
import statistics
import sys
import time

import duckdb

folder = sys.argv[1]
db = duckdb.connect(f"{folder}/duck.db")
if not db.execute("SELECT 1 FROM information_schema.tables WHERE table_name = 'ticks'").fetchall():
    db.execute(
        f"CREATE TABLE ticks AS SELECT * FROM '{folder}/ticks.parquet' ORDER BY exchange, symbol, time"
    )
query = """SELECT time_bucket(INTERVAL '1 hour', time) AS bucket, exchange, symbol,
    first(price ORDER BY time) AS open, max(price), min(price), last(price ORDER BY time), sum(volume)
    FROM ticks GROUP BY ALL ORDER BY bucket, exchange, symbol"""
# arg_min and arg_max say the same and are what a DuckDB user would write for speed.
fast = query.replace("first(price ORDER BY time)", "arg_min(price, time)").replace(
    "last(price ORDER BY time)", "arg_max(price, time)"
)
for name, sql in (("ordered first and last", query), ("arg_min and arg_max", fast)):
    times = []
    for _ in range(9):
        start = time.perf_counter()
        db.execute(sql).to_arrow_table()
        times.append((time.perf_counter() - start) * 1000)
    print(f"DuckDB {duckdb.__version__}, {name}: median {statistics.median(times):.1f} ms, best {min(times):.1f} ms")
