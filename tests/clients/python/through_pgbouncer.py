"""Drivers through a pooler that gives each transaction another connection."""
import asyncio

import asyncpg
import psycopg
from report import check, equal, run


@check
async def asyncpg_without_prepared_statements():
    async with asyncpg.create_pool(min_size=2, max_size=10, statement_cache_size=0) as pool:

        async def work(i):
            async with pool.acquire() as connection:
                async with connection.transaction():
                    await connection.execute("SET LOCAL work_mem = '5MB'")
                    equal(await connection.fetchval("SHOW work_mem"), "5MB")
                    return await connection.fetchval("SELECT $1::int * 2", i)

        equal(await asyncio.gather(*(work(i) for i in range(80))), [i * 2 for i in range(80)])


@check
def psycopg_without_prepared_statements():
    connections = [psycopg.connect("", prepare_threshold=None, autocommit=True) for _ in range(20)]
    for part in range(5):
        for i, connection in enumerate(connections):
            with connection.transaction():
                equal(connection.execute("SELECT %s + 1", [i]).fetchone(), (i + 1,))
                equal(connection.execute("SELECT pg_backend_pid() = pg_backend_pid()").fetchone(), (True,))
    [connection.close() for connection in connections]


run()
