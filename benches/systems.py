"""What the systems ask of the database, measured: MasterTrade's inserts and queries on one connection,
Bot3's twenty feeds beside a reader, IntradayJules' loads, checks and analytics (typical ones are to take
less than a second), Stockula's roll-ups over roll-ups and option chains (storage is to shrink by 90 %), and
how much they take on disk.

    systems.py --chronolith DSN [--seconds 10] [--days 365]       (psycopg 3 and asyncpg)

The schemas are those of examples; the tables must not be there yet.
"""

import argparse
import asyncio
import datetime
import multiprocessing
import os
import pathlib
import random
import statistics
import struct
import time

import asyncpg
import psycopg

EXAMPLES = pathlib.Path(__file__).resolve().parent.parent / "examples"
EPOCH = datetime.datetime(2000, 1, 1, tzinfo=datetime.timezone.utc)
FEEDS = 20
BURST = 10_000
BATCH = 1_000


def percentiles(name, seconds):
    ordered = sorted(seconds)
    print(f"{name}: median {statistics.median(ordered) * 1e3:.2f} ms, "
          f"p99 {ordered[int(len(ordered) * 0.99)] * 1e3:.2f} ms, n {len(ordered)}", flush=True)


def schema(dsn, system):
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute((EXAMPLES / system / "schema.sql").read_text())


def ask(connection, name, text, count=200):
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        rows = connection.execute(text, prepare=True).fetchall()
        taken.append(time.perf_counter() - began)
    percentiles(f"{name}, {len(rows)} rows", taken)


def compress(connection, table):
    before = connection.execute(f"SELECT hypertable_size('{table}')").fetchone()[0]
    began = time.perf_counter()
    connection.execute(f"SELECT compress_chunk(c, true) FROM show_chunks('{table}') AS c")
    took = time.perf_counter() - began
    sizes = connection.execute(
        "SELECT sum(before_compression_total_bytes)::bigint, sum(after_compression_total_bytes)::bigint"
        f" FROM chunk_columnstore_stats('{table}')").fetchone()
    rows = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    print(f"{table}: {rows:,} rows compressed in {took:.1f} s, {sizes[0]:,} bytes as rows (hypertable_size"
          f" {before:,}), {sizes[1]:,} compressed: {sizes[0] / sizes[1]:.1f} : 1, {sizes[1] / rows:.1f} bytes a row",
          flush=True)


def bars(first, count):
    """Minute bars of 40 symbols on 2 exchanges; a random walk with a seed."""
    walk = random.Random(first)
    begin = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    for number in range(first, first + count):
        minute, series = divmod(number, 80)
        base = 100 + series * 13 + walk.randrange(-300, 300) / 100
        high, low = base + walk.randrange(100) / 100, base - walk.randrange(100) / 100
        yield (begin + datetime.timedelta(minutes=minute), f"SYM{series // 2:02}USDT",
               ("binance", "kraken")[series % 2], round(base, 2), round(high, 2), round(low, 2),
               round((high + low) / 2, 2), walk.randrange(1, 100_000) / 100)


async def insert_bars(dsn):
    from decimal import Decimal

    columns = ["time", "symbol", "exchange", "open", "high", "low", "close", "volume"]

    def records(first, count):
        return [(t, s, e, *(Decimal(str(v)) for v in rest)) for t, s, e, *rest in bars(first, count)]

    connection = await asyncpg.connect(dsn)
    for name, size, total in (("copy_records_to_table, 10,000 at a time", 10_000, 400_000),
                              ("executemany, 10,000 at a time", 10_000, 100_000)):
        first = 0 if size == 10_000 and name.startswith("copy") else 400_000
        batches = [records(first + at, size) for at in range(0, total, size)]
        began = time.perf_counter()
        for batch in batches:
            if name.startswith("copy"):
                await connection.copy_records_to_table("price_data", records=batch, columns=columns)
            else:
                await connection.executemany(
                    "INSERT INTO price_data (time, symbol, exchange, open, high, low, close, volume)"
                    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)", batch)
        took = time.perf_counter() - began
        print(f"MasterTrade: {name}, one connection, three candle views: {total / took:,.0f} rows/s", flush=True)
    await connection.close()


def mastertrade(dsn):
    schema(dsn, "mastertrade")
    asyncio.run(insert_bars(dsn))
    with psycopg.connect(dsn, autocommit=True) as connection:
        def queries(kind):
            last = "(SELECT max(time) FROM price_data)"
            ask(connection, f"MasterTrade, {kind}: an hour of one series",
                "SELECT * FROM price_data WHERE symbol = 'SYM07USDT' AND exchange = 'binance'"
                f" AND time > {last} - interval '1 hour' ORDER BY time DESC")
            ask(connection, f"MasterTrade, {kind}: daily candles of one series",
                "SELECT * FROM price_data_1d WHERE symbol = 'SYM07USDT' AND exchange = 'binance' ORDER BY bucket")
            ask(connection, f"MasterTrade, {kind}: all series by day from raw rows",
                "SELECT symbol, date_trunc('day', time), max(high), min(low), sum(volume) FROM price_data"
                " GROUP BY 1, 2", count=20)

        queries("fresh rows")
        compress(connection, "price_data")
        queries("compressed rows")


def text(value):
    return struct.pack("!i", len(value)) + value


def numeric(whole, fraction):
    """Of PostgreSQL's binary form: two digits of base 10,000, eight places shown."""
    return struct.pack("!ihhHhHH", 12, 2, 0, 0, 8, whole, fraction)


def feed(dsn, number, seconds, burst, begin, go, results):
    """One exchange, in transactions of a thousand ticks by binary COPY: a burst each second of as many as
    an exchange sends at most, or, else, half of that spread over the second."""
    # Exchanges have machines of their own.
    os.nice(10)
    walk = random.Random(number)
    exchange = text(f"exchange{number:02}".encode())
    symbols = [text(f"SYM{s:02}USDT".encode()) for s in range(25)]
    prices = [1000 + 50 * s for s in range(25)]
    batches = BURST // BATCH if burst else BURST // BATCH // 2
    blobs = []
    for second in range(seconds):
        for batch in range(batches):
            rows = [b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)]
            for row in range(BATCH):
                of = walk.randrange(25)
                prices[of] += walk.randrange(-1, 2)
                at = begin + second * 1_000_000 + (batch * BATCH + row) * 100
                rows.append(struct.pack("!hiq", 7, 8, at) + exchange + symbols[of]
                            + numeric(prices[of], 2500 * walk.randrange(4)) + numeric(walk.randrange(1, 50), 0)
                            + text(b"BS"[of % 2:of % 2 + 1])
                            + struct.pack("!iq", 8, (number * 1000 + second) * BURST + batch * BATCH + row))
            rows.append(struct.pack("!h", -1))
            blobs.append(b"".join(rows))
    taken = []
    with psycopg.connect(dsn, autocommit=True) as connection, connection.cursor() as cursor:
        results.put(("ready", None))
        go.wait()
        began = time.perf_counter()
        for second in range(seconds):
            sent = time.perf_counter()
            for batch in range(batches):
                place = 0 if burst else (batch + number / FEEDS) / batches
                late = began + second + place - time.perf_counter()
                if late > 0:
                    time.sleep(late)
                    sent = time.perf_counter()
                with cursor.copy("COPY market_data.ticks FROM STDIN (FORMAT binary)") as copy:
                    copy.write(blobs[second * batches + batch])
                if not burst or batch == batches - 1:
                    taken.append(time.perf_counter() - sent)
        took = time.perf_counter() - began
    results.put((number, (took, taken)))


LAST = ("SELECT time, price, volume FROM market_data.ticks WHERE exchange = 'exchange07'"
        " AND symbol = 'SYM07USDT' ORDER BY time DESC LIMIT 100")


def feeds(dsn, connection, seconds, burst, begin):
    """All feeds at once beside a reader."""
    what = f"a burst of {BURST:,} ticks each a second" if burst else f"{BURST // 2:,} ticks each, spread over each second"
    results, go = multiprocessing.Queue(), multiprocessing.Event()
    before = connection.execute("SELECT count(*) FROM market_data.ticks").fetchone()[0]
    ones = [multiprocessing.Process(target=feed, args=(dsn, number, seconds, burst, begin, go, results))
            for number in range(FEEDS)]
    for one in ones:
        one.start()
    for _ in ones:
        results.get()
    go.set()
    taken, lags, told = [], [], []
    while len(told) < FEEDS:
        began = time.perf_counter()
        connection.execute(LAST, prepare=True).fetchall()
        taken.append(time.perf_counter() - began)
        # Of one snapshot: what a candle lacks of its ticks.
        row = connection.execute(
            "SELECT (SELECT count(*) FROM market_data.ticks WHERE exchange = 'exchange07' AND symbol = 'SYM07USDT')"
            " - (SELECT coalesce(sum(trades), 0) FROM aggregates.bars_1d WHERE exchange = 'exchange07'"
            " AND symbol = 'SYM07USDT')", prepare=True).fetchone()
        lags.append(row[0])
        time.sleep(0.02)
        while not results.empty():
            told.append(results.get()[1])
    took = max(one[0] for one in told)
    rows = connection.execute("SELECT count(*) FROM market_data.ticks").fetchone()[0] - before
    print(f"Bot3: {FEEDS} feeds, {what}, three bar views:"
          f" {rows:,} rows in {took:.1f} s, {rows / took:,.0f} rows/s", flush=True)
    name = "a burst, from its first row to its last COMMIT" if burst else f"a transaction of {BATCH:,}"
    percentiles(f"Bot3: {name}", [b for one in told for b in one[1]])
    percentiles("Bot3: the last 100 ticks of a series meanwhile", taken)
    print(f"Bot3: ticks that a daily bar lacked, at most: {max(lags)} (n {len(lags)})", flush=True)
    for one in ones:
        one.join()


def bot3(dsn, seconds):
    schema(dsn, "bot3")
    begin = time.time_ns() // 1000 - int(EPOCH.timestamp()) * 1_000_000
    with psycopg.connect(dsn, autocommit=True) as connection:
        feeds(dsn, connection, seconds, False, begin)
        feeds(dsn, connection, seconds, True, begin + 3_600_000_000)
        ask(connection, "Bot3: the last 100 ticks of a series, alone", LAST)
        compress(connection, "market_data.ticks")


def copy(connection, name, table, columns, rows):
    """Loads rows by COPY, one transaction; how long it took."""
    began = time.perf_counter()
    count = 0
    with connection.cursor() as cursor:
        with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as lines:
            for row in rows:
                lines.write_row(row)
                count += 1
    took = time.perf_counter() - began
    print(f"{name}: {count:,} rows by COPY, {count / took:,.0f} rows/s", flush=True)


def walk(symbols, begin, count, step, seed):
    """Bars of symbols, one a step: time, symbol, open, high, low, close, volume."""
    random_walk = random.Random(seed)
    for number in range(count):
        at = begin + step * number
        for place, symbol in enumerate(symbols):
            base = 100 + place * 13 + random_walk.randrange(-300, 300) / 100
            high, low = base + random_walk.randrange(100) / 100, base - random_walk.randrange(100) / 100
            yield at, symbol, round(base, 2), round(high, 2), round(low, 2), round((high + low) / 2, 2), \
                random_walk.randrange(1, 100_000)


def intradayjules(dsn, days):
    schema(dsn, "intradayjules")
    begin = datetime.datetime(2025, 1, 1, tzinfo=datetime.timezone.utc)
    minutes = days * 1440
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("INSERT INTO trading.symbols VALUES ('NVDA', 'NVIDIA'), ('MSFT', 'Microsoft')")
        copy(connection, "IntradayJules: minute bars of two tickers", "trading.market_data",
             "timestamp, symbol, open, high, low, close, volume",
             walk(("NVDA", "MSFT"), begin, minutes, datetime.timedelta(minutes=1), 1))
        last = begin + datetime.timedelta(minutes=minutes - 1)
        for kind in ("as loaded", "compressed"):
            ask(connection, f"IntradayJules, {kind}: an hour of one ticker",
                "SELECT * FROM trading.market_data WHERE symbol = 'NVDA'"
                f" AND timestamp > '{last}'::timestamptz - interval '1 hour' ORDER BY timestamp")
            ask(connection, f"IntradayJules, {kind}: correlation by day", "SELECT * FROM analytics.correlation", 20)
            ask(connection, f"IntradayJules, {kind}: freshness",
                f"SELECT * FROM monitoring.check_data_freshness('{last}')", 50)
            ask(connection, f"IntradayJules, {kind}: checks of all bars", "SELECT * FROM monitoring.validate_ohlc()", 10)
            if kind == "as loaded":
                compress(connection, "trading.market_data")


def stockula(dsn, days):
    schema(dsn, "stockula")
    begin = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    symbols = [f"ST{number:03}" for number in range(100)]
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("INSERT INTO stocks (symbol) SELECT unnest(%s::text[])", (symbols,))
        copy(connection, "Stockula: hourly prices of 100 stocks", "price_history",
             "time, symbol, open_price, high_price, low_price, close_price, volume",
             walk(symbols, begin, days * 24, datetime.timedelta(hours=1), 2))
        chain = ((symbol, kind, "2030-07-19", strike, at, round(5 + strike % 7 * 0.1, 2), 6, strike * 3, 10, 0.25, 0.5)
                 for at in (begin + datetime.timedelta(days=day) for day in range(days))
                 for symbol in symbols[:10] for kind in "CP" for strike in range(80, 120, 2))
        copy(connection, "Stockula: option chains of ten stocks", "options",
             "symbol, kind, expiration_date, strike, time, bid, ask, volume, open_interest, implied_volatility, delta",
             chain)
        for kind in ("as loaded", "compressed"):
            ask(connection, f"Stockula, {kind}: months of one stock",
                "SELECT * FROM price_history_monthly WHERE symbol = 'ST007' ORDER BY month")
            ask(connection, f"Stockula, {kind}: a year's days of one stock",
                "SELECT * FROM price_history_daily WHERE symbol = 'ST007' ORDER BY bucket DESC LIMIT 252")
            ask(connection, f"Stockula, {kind}: quarters of all stocks, from raw rows by the months",
                "SELECT time_bucket('3 months', time), symbol, sum(trading_value) FROM price_history GROUP BY 1, 2", 20)
            ask(connection, f"Stockula, {kind}: a chain as it stands",
                "SELECT DISTINCT ON (kind, strike) kind, strike, bid FROM options WHERE symbol = 'ST007'"
                " AND expiration_date = '2030-07-19' ORDER BY kind, strike, time DESC", 50)
            if kind == "as loaded":
                compress(connection, "price_history")
                compress(connection, "options")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chronolith", required=True)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--only", choices=["mastertrade", "bot3", "intradayjules", "stockula"])
    args = parser.parse_args()
    runs = {
        "mastertrade": lambda: mastertrade(args.chronolith),
        "bot3": lambda: bot3(args.chronolith, args.seconds),
        "intradayjules": lambda: intradayjules(args.chronolith, args.days),
        "stockula": lambda: stockula(args.chronolith, args.days),
    }
    for name, run in runs.items():
        if args.only in (None, name):
            run()


if __name__ == "__main__":
    main()
