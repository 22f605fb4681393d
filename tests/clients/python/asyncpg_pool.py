"""asyncpg: a pool, types looked up by their oids, COPY, cursors, prepared statements, listeners."""
import asyncio
import datetime as dt
import decimal
import io

import asyncpg
from report import check, equal, run


@check
async def a_pool_serves_more_tasks_than_it_has_connections():
    async with asyncpg.create_pool(min_size=2, max_size=5) as pool:

        async def work(i):
            async with pool.acquire() as connection:
                async with connection.transaction():
                    return await connection.fetchval("SELECT $1::int + 1", i)

        equal(await asyncio.gather(*(work(i) for i in range(60))), list(range(1, 61)))
        assert pool.get_size() <= 5


@check
async def connections_are_reset_when_they_go_back():
    async with asyncpg.create_pool(min_size=1, max_size=1) as pool:
        async with pool.acquire() as connection:
            await connection.execute("SET work_mem = '9MB'")
            await connection.execute("SELECT pg_advisory_lock(77)")
            await connection.add_listener("a_reset", lambda *_: None)
        async with pool.acquire() as connection:
            equal(await connection.fetchval("SELECT count(*) FROM pg_listening_channels()"), 0)
            equal(await connection.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), 0)
            assert await connection.fetchval("SHOW work_mem") != "9MB"


@check
async def enums_domains_and_arrays_are_introspected():
    connection = await asyncpg.connect()
    await connection.execute("CREATE TYPE a_side AS ENUM ('buy', 'sell'); CREATE DOMAIN a_price AS numeric(10, 2)")
    await connection.execute("CREATE TABLE a_types (s a_side, many a_side[], p a_price)")
    await connection.execute("INSERT INTO a_types VALUES ($1, $2, $3)", "buy", ["sell", "buy"], decimal.Decimal("1.50"))
    equal(tuple(await connection.fetchrow("SELECT * FROM a_types")), ("buy", ["sell", "buy"], decimal.Decimal("1.50")))
    await connection.execute("DROP TABLE a_types; DROP DOMAIN a_price; DROP TYPE a_side")
    await connection.close()


@check
async def rows_are_copied_in_and_out():
    connection = await asyncpg.connect()
    await connection.execute("CREATE TABLE a_copy (t timestamptz NOT NULL, s text, v numeric(20, 8), d double precision, j jsonb)")
    await connection.execute("SELECT create_hypertable('a_copy', 't')")
    start = dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc)
    rows = [(start + dt.timedelta(minutes=i), f"s{i % 5}", decimal.Decimal(i), i / 2, "{}") for i in range(2000)]
    equal(await connection.copy_records_to_table("a_copy", records=rows), "COPY 2000")
    out = io.BytesIO()
    equal(await connection.copy_from_query("SELECT s, v FROM a_copy WHERE t < $1", start + dt.timedelta(minutes=10), output=out, format="csv"), "COPY 10")
    equal(len(out.getvalue().splitlines()), 10)
    out = io.BytesIO()
    equal(await connection.copy_from_table("a_copy", columns=["t", "d"], output=out, format="binary"), "COPY 2000")
    equal(await connection.copy_to_table("a_copy", source=io.BytesIO(b"2025-01-01,x,1,2,\n"), format="csv"), "COPY 1")
    equal(await connection.fetchval("SELECT count(*) FROM a_copy"), 2001)
    await connection.execute("DROP TABLE a_copy")
    await connection.close()


@check
async def executemany_is_all_or_nothing():
    connection = await asyncpg.connect()
    await connection.execute("CREATE TABLE a_many (a int PRIMARY KEY, b text)")
    await connection.executemany("INSERT INTO a_many VALUES ($1, $2)", [(i, str(i)) for i in range(500)])
    try:
        await connection.executemany("INSERT INTO a_many VALUES ($1, $2)", [(1000, "x"), (1, "y")])
        raise AssertionError("no error")
    except asyncpg.UniqueViolationError as error:
        equal((error.constraint_name, error.table_name), ("a_many_pkey", "a_many"))
    equal(await connection.fetchval("SELECT count(*) FROM a_many"), 500)
    back = await connection.fetchmany("INSERT INTO a_many VALUES ($1, $2) RETURNING a", [(2000, "a"), (2001, "b")])
    equal([row["a"] for row in back], [2000, 2001])
    await connection.execute("DROP TABLE a_many")
    await connection.close()


@check
async def cursors_and_prepared_statements_describe_themselves():
    connection = await asyncpg.connect()
    async with connection.transaction():
        got = [row["g"] async for row in connection.cursor("SELECT g FROM generate_series(1, $1::int) g", 300, prefetch=50)]
        equal(got, list(range(1, 301)))
        cursor = await connection.cursor("SELECT generate_series(1, 100)")
        await cursor.forward(10)
        equal([row[0] for row in await cursor.fetch(2)], [11, 12])
    statement = await connection.prepare("SELECT $1::numeric AS a, now() AS t, 'x'::varchar(3) AS v")
    equal([(part.name, part.type.name) for part in statement.get_attributes()], [("a", "numeric"), ("t", "timestamptz"), ("v", "varchar")])
    equal([part.name for part in statement.get_parameters()], ["numeric"])
    equal(statement.get_statusmsg() or "", "")
    await connection.close()


@check
async def listeners_and_log_listeners_are_called():
    connection = await asyncpg.connect()
    got, said = asyncio.Queue(), []
    await connection.add_listener("a_news", lambda _c, _pid, channel, payload: got.put_nowait((channel, payload)))
    connection.add_log_listener(lambda _c, message: said.append(message.message))
    await connection.execute("DO $$ BEGIN RAISE WARNING 'careful'; END $$")
    await connection.execute("NOTIFY a_news, 'first'")
    equal(await asyncio.wait_for(got.get(), 10), ("a_news", "first"))
    await asyncio.sleep(0)
    equal(said, ["careful"])
    await connection.close()


@check
async def a_time_limit_cancels_the_statement_and_keeps_the_connection():
    connection = await asyncpg.connect()
    try:
        await connection.fetch("SELECT pg_sleep(30)", timeout=0.3)
        raise AssertionError("no error")
    except asyncio.TimeoutError:
        pass
    equal(await connection.fetchval("SELECT 1"), 1)
    await connection.close()


@check
async def a_changed_schema_is_noticed_by_cached_statements():
    connection = await asyncpg.connect()
    await connection.execute("CREATE TABLE a_change (a int); INSERT INTO a_change VALUES (1)")
    equal(tuple(await connection.fetchrow("SELECT * FROM a_change")), (1,))
    await connection.execute("ALTER TABLE a_change ADD COLUMN b text DEFAULT 'x'")
    equal(tuple(await connection.fetchrow("SELECT * FROM a_change")), (1, "x"))
    await connection.execute("ALTER TABLE a_change DROP COLUMN a")
    equal(tuple(await connection.fetchrow("SELECT * FROM a_change")), ("x",))
    await connection.execute("DROP TABLE a_change")
    await connection.close()


@check
async def settings_of_the_connection_string_hold():
    connection = await asyncpg.connect(server_settings={"application_name": "prices", "statement_timeout": "300", "TimeZone": "Asia/Tokyo"})
    equal(await connection.fetchval("SHOW application_name"), "prices")
    equal(await connection.fetchval("SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()"), "prices")
    equal(connection.get_settings().TimeZone, "Asia/Tokyo")
    try:
        await connection.execute("SELECT pg_sleep(30)")
        raise AssertionError("no error")
    except asyncpg.QueryCanceledError:
        pass
    await connection.close()


run()
