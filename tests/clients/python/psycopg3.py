"""psycopg 3: parameters, types, cursors, COPY, pipelines, notifications, transactions, prepared statements."""
import asyncio
import datetime as dt
import decimal
import uuid

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from report import check, equal, run


def connect(**options):
    return psycopg.connect("", autocommit=True, **options)


@check
def values_go_there_and_back_in_text_and_binary():
    values = {
        "boolean": True,
        "smallint": -3,
        "integer": 70000,
        "bigint": 2**62,
        "real": 1.5,
        "double precision": -2.25,
        "numeric": decimal.Decimal("-12345678901234567890.123456789"),
        "text": "grün ☃ \\ ' \"",
        "varchar(5)": "abc",
        "bytea": bytes(range(256)),
        "date": dt.date(2024, 2, 29),
        "time": dt.time(12, 34, 56, 789),
        "timestamp": dt.datetime(2024, 1, 2, 3, 4, 5, 6),
        "timestamptz": dt.datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=dt.timezone.utc),
        "interval": dt.timedelta(days=3, seconds=7, microseconds=9),
        "uuid": uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        "jsonb": {"a": [1, None, "x"]},
        "integer[]": [1, None, 3],
        "text[]": ["a", 'b"c', "d,e", None, ""],
        "numeric[]": [decimal.Decimal("1.50"), None],
        "timestamptz[]": [dt.datetime(2024, 1, 2, tzinfo=dt.timezone.utc)],
    }
    with connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for kind, value in values.items():
            given = Jsonb(value) if kind == "jsonb" else value
            for binary in (False, True):
                marker = "%b" if binary and kind not in ("jsonb",) else "%s"
                row = connection.cursor(binary=binary).execute(f"SELECT {marker}::{kind}, NULL::{kind}", [given]).fetchone()
                equal(row, (value, None))


@check
def named_parameters_and_rows_as_dictionaries():
    with connect(row_factory=dict_row) as connection:
        row = connection.execute("SELECT %(a)s::int AS a, %(b)s::text AS b", {"b": "x", "a": 4}).fetchone()
        equal(row, {"a": 4, "b": "x"})


@check
def executemany_returns_rows_and_counts():
    with connect() as connection:
        connection.execute("CREATE TABLE p3_many (id int GENERATED ALWAYS AS IDENTITY, v text)")
        cursor = connection.cursor()
        cursor.executemany("INSERT INTO p3_many (v) VALUES (%s) RETURNING id", [["a"], ["b"], ["c"]], returning=True)
        ids = []
        while True:
            ids += cursor.fetchall()
            if not cursor.nextset():
                break
        equal(ids, [(1,), (2,), (3,)])
        cursor.executemany("UPDATE p3_many SET v = v || %s WHERE id = %s", [["x", 1], ["y", 9]])
        equal(cursor.rowcount, 1)
        connection.execute("DROP TABLE p3_many")


@check
def copy_in_and_out_in_text_and_binary():
    with connect() as connection:
        connection.execute("CREATE TABLE p3_copy (t timestamptz NOT NULL, s text, v numeric(20,8))")
        connection.execute("SELECT create_hypertable('p3_copy', 't')")
        start = dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc)
        rows = [(start + dt.timedelta(hours=i), f"s{i % 3}", decimal.Decimal(i) / 8) for i in range(500)]
        with connection.cursor().copy("COPY p3_copy FROM STDIN") as copy:
            for row in rows[:250]:
                copy.write_row(row)
        with connection.cursor().copy("COPY p3_copy FROM STDIN WITH (FORMAT binary)") as copy:
            copy.set_types(["timestamptz", "text", "numeric"])
            for row in rows[250:]:
                copy.write_row(row)
        back = []
        with connection.cursor().copy("COPY (SELECT * FROM p3_copy ORDER BY t) TO STDOUT (FORMAT binary)") as copy:
            copy.set_types(["timestamptz", "text", "numeric"])
            back = list(copy.rows())
        equal([(t.astimezone(dt.timezone.utc), s, v) for t, s, v in back], rows)
        with connection.cursor().copy("COPY p3_copy (s, v) TO STDOUT (FORMAT csv, HEADER)") as copy:
            text = b"".join(bytes(part) for part in copy)
        equal(text.splitlines()[0], b"s,v")
        connection.execute("DROP TABLE p3_copy")


@check
def a_copy_that_the_client_breaks_off_leaves_nothing():
    with connect() as connection:
        connection.execute("CREATE TABLE p3_broken (a int)")
        try:
            with connection.cursor().copy("COPY p3_broken FROM STDIN") as copy:
                copy.write_row([1])
                raise KeyError
        except KeyError:
            pass
        equal(connection.execute("SELECT count(*) FROM p3_broken").fetchone(), (0,))
        connection.execute("DROP TABLE p3_broken")


@check
def server_side_cursors_scroll_and_hold():
    with psycopg.connect("") as connection:
        with connection.cursor("down") as cursor:
            cursor.execute("SELECT generate_series(1, 1000)")
            equal(cursor.fetchmany(3), [(1,), (2,), (3,)])
            equal(len(cursor.fetchall()), 997)
        with connection.cursor("both", scrollable=True) as cursor:
            cursor.execute("SELECT generate_series(1, 10)")
            cursor.scroll(5)
            equal(cursor.fetchone(), (6,))
            cursor.scroll(-2)
            equal(cursor.fetchone(), (5,))
        held = connection.cursor("held", withhold=True)
        held.execute("SELECT generate_series(1, 3)")
        connection.commit()
        equal(held.fetchall(), [(1,), (2,), (3,)])
        held.close()


@check
def pipelines_keep_order_and_survive_an_error():
    with connect() as connection:
        connection.execute("CREATE TABLE p3_pipe (a int PRIMARY KEY)")
        with connection.pipeline():
            cursors = [connection.execute("INSERT INTO p3_pipe VALUES (%s) RETURNING a", [i]) for i in range(20)]
            equal([cursor.fetchone()[0] for cursor in cursors], list(range(20)))
        try:
            with connection.pipeline() as pipeline:
                connection.execute("INSERT INTO p3_pipe VALUES (100)")
                connection.execute("INSERT INTO p3_pipe VALUES (1)")
                connection.execute("INSERT INTO p3_pipe VALUES (101)")
                pipeline.sync()
            raise AssertionError("no error")
        except psycopg.errors.UniqueViolation as error:
            equal(error.diag.constraint_name, "p3_pipe_pkey")
        equal(connection.execute("SELECT count(*) FROM p3_pipe").fetchone(), (20,))
        connection.execute("DROP TABLE p3_pipe")


@check
def statements_are_prepared_after_a_few_runs_and_follow_the_schema():
    with connect(prepare_threshold=2) as connection:
        connection.execute("CREATE TABLE p3_prep (a int)")
        for i in range(6):
            connection.execute("INSERT INTO p3_prep VALUES (%s)", [i])
            connection.execute("SELECT * FROM p3_prep WHERE a = %s", [i]).fetchone()
        prepared = connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()[0]
        assert prepared >= 2, prepared
        connection.execute("ALTER TABLE p3_prep ADD COLUMN b int")
        try:
            connection.execute("SELECT * FROM p3_prep WHERE a = %s", [1]).fetchone()
        except psycopg.errors.FeatureNotSupported as error:
            equal(error.diag.message_primary, "cached plan must not change result type")
        connection.execute("DROP TABLE p3_prep")


@check
def nested_transactions_roll_back_to_their_savepoints():
    with connect() as connection:
        connection.execute("CREATE TABLE p3_nest (a int)")
        with connection.transaction():
            connection.execute("INSERT INTO p3_nest VALUES (1)")
            try:
                with connection.transaction():
                    connection.execute("INSERT INTO p3_nest VALUES (2)")
                    connection.execute("SELECT 1 / 0")
            except psycopg.errors.DivisionByZero:
                pass
            connection.execute("INSERT INTO p3_nest VALUES (3)")
        equal(connection.execute("SELECT array_agg(a ORDER BY a) FROM p3_nest").fetchone(), ([1, 3],))
        connection.execute("DROP TABLE p3_nest")


@check
def isolation_levels_and_read_only_are_set():
    with psycopg.connect("") as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        equal(connection.execute("SHOW transaction_isolation").fetchone(), ("repeatable read",))
        try:
            connection.execute("CREATE TABLE p3_never (a int)")
            raise AssertionError("no error")
        except psycopg.errors.ReadOnlySqlTransaction:
            pass


@check
def notifications_arrive():
    with connect() as one, connect() as two:
        one.execute("LISTEN p3")
        two.execute("SELECT pg_notify('p3', 'hello')")
        got = next(one.notifies(timeout=10, stop_after=1))
        equal((got.channel, got.payload), ("p3", "hello"))


@check
def notices_reach_their_handler():
    with connect() as connection:
        seen = []
        connection.add_notice_handler(lambda diag: seen.append((diag.severity, diag.message_primary)))
        connection.execute("DO $$ BEGIN RAISE NOTICE 'well %', 1; END $$")
        equal(seen, [("NOTICE", "well 1")])


@check
def enums_and_their_arrays_are_known_by_name():
    from psycopg.types.enum import EnumInfo, register_enum

    with connect() as connection:
        connection.execute("CREATE TYPE p3_side AS ENUM ('buy', 'sell')")
        info = EnumInfo.fetch(connection, "p3_side")
        register_enum(info, connection)
        row = connection.execute("SELECT 'sell'::p3_side, ARRAY['buy', 'sell']::p3_side[]").fetchone()
        equal([row[0].name, [item.name for item in row[1]]], ["sell", ["buy", "sell"]])
        connection.execute("DROP TYPE p3_side")


@check
def a_statement_is_cancelled():
    import threading

    with connect() as connection:
        threading.Timer(0.3, connection.cancel).start()
        try:
            connection.execute("SELECT pg_sleep(30)")
            raise AssertionError("no error")
        except psycopg.errors.QueryCanceled:
            pass
        equal(connection.execute("SELECT 1").fetchone(), (1,))


@check
async def asynchronous_connections_work_side_by_side():
    async def one(i):
        async with await psycopg.AsyncConnection.connect("") as connection:
            cursor = await connection.execute("SELECT %s::int * 2, pg_sleep(0.05)", [i])
            return (await cursor.fetchone())[0]

    equal(await asyncio.gather(*map(one, range(10))), [i * 2 for i in range(10)])


@check
def a_stream_of_rows_is_read_one_by_one():
    with connect() as connection:
        equal(sum(row[0] for row in connection.cursor().stream("SELECT generate_series(1, 5000)")), 12502500)


@check
def errors_name_what_they_are_about():
    with connect() as connection:
        connection.execute("CREATE TABLE p3_err (a int NOT NULL, b int CHECK (b > 0))")
        for text, code, column, constraint in [
            ("INSERT INTO p3_err VALUES (NULL, 1)", "23502", "a", None),
            ("INSERT INTO p3_err VALUES (1, -1)", "23514", None, "p3_err_b_check"),
            ("SELECT nope FROM p3_err", "42703", None, None),
            ("SELECT * FROM p3_nope", "42P01", None, None),
            ("SELECT 'x'::int", "22P02", None, None),
        ]:
            try:
                connection.execute(text)
                raise AssertionError(text)
            except psycopg.Error as error:
                equal((error.sqlstate, error.diag.column_name, error.diag.constraint_name), (code, column, constraint))
        connection.execute("DROP TABLE p3_err")


run()
