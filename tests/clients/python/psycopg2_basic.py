"""psycopg 2: execute_values and execute_batch, named cursors, COPY, two forms of adaptation, pools, LISTEN."""
import datetime as dt
import io
import select

import psycopg2
import psycopg2.errors
import psycopg2.extensions
import psycopg2.extras
import psycopg2.pool
from report import check, equal, run


def connect():
    connection = psycopg2.connect("")
    connection.autocommit = True
    return connection


@check
def many_rows_by_execute_values_and_batch():
    cursor = connect().cursor()
    cursor.execute("CREATE TABLE p2_many (t timestamptz NOT NULL, s text, v double precision)")
    cursor.execute("SELECT create_hypertable('p2_many', 't')")
    start = dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc)
    rows = [(start + dt.timedelta(minutes=i), "s", i / 4) for i in range(1000)]
    psycopg2.extras.execute_values(cursor, "INSERT INTO p2_many VALUES %s", rows, page_size=300)
    psycopg2.extras.execute_batch(cursor, "UPDATE p2_many SET v = v + 1 WHERE t = %s", [(row[0],) for row in rows[:50]])
    back = psycopg2.extras.execute_values(
        cursor, "INSERT INTO p2_many VALUES %s RETURNING v", [(start, "x", 9.0), (start, "x", 8.0)], fetch=True
    )
    equal(back, [(9.0,), (8.0,)])
    cursor.execute("SELECT count(*), sum(v) FROM p2_many")
    equal(cursor.fetchone(), (1002, sum(row[2] for row in rows) + 50 + 17))
    cursor.execute("DROP TABLE p2_many")


@check
def named_cursors_fetch_in_parts():
    with psycopg2.connect("") as connection:
        with connection.cursor("part", cursor_factory=psycopg2.extras.DictCursor) as cursor:
            cursor.itersize = 7
            cursor.execute("SELECT g AS n, g * 2 AS m FROM generate_series(1, 100) g")
            equal(sum(row["m"] for row in cursor), 10100)


@check
def copy_by_expert_and_by_table():
    cursor = connect().cursor()
    cursor.execute("CREATE TABLE p2_copy (a int, b text)")
    cursor.copy_from(io.StringIO("1\tone\n2\t\\N\n"), "p2_copy")
    cursor.copy_expert("COPY p2_copy FROM STDIN WITH (FORMAT csv, HEADER)", io.StringIO('a,b\n3,"x, y"\n'))
    out = io.StringIO()
    cursor.copy_to(out, "p2_copy", sep="|", null="~")
    equal(sorted(out.getvalue().splitlines()), ["1|one", "2|~", "3|x, y"])
    cursor.execute("DROP TABLE p2_copy")


@check
def json_uuid_arrays_and_hstore_like_dictionaries():
    cursor = connect().cursor(cursor_factory=psycopg2.extras.RealDictCursor)
    psycopg2.extras.register_uuid()
    import uuid

    key = uuid.uuid4()
    cursor.execute(
        "SELECT %s::jsonb AS j, %s AS u, %s AS a, %s::text[] AS e, '{1,NULL}'::int[] AS i",
        (psycopg2.extras.Json({"a": 1}), key, ["x", "y"], []),
    )
    equal(dict(cursor.fetchone()), {"j": {"a": 1}, "u": key, "a": ["x", "y"], "e": [], "i": [1, None]})


@check
def transactions_isolation_and_two_connections():
    one, two = psycopg2.connect(""), psycopg2.connect("")
    one.set_session(isolation_level="REPEATABLE READ")
    cursor, other = one.cursor(), two.cursor()
    other.execute("CREATE TABLE p2_iso (a int)")
    two.commit()
    cursor.execute("SELECT count(*) FROM p2_iso")
    other.execute("INSERT INTO p2_iso VALUES (1)")
    two.commit()
    cursor.execute("SELECT count(*) FROM p2_iso")
    equal(cursor.fetchone(), (0,))
    one.rollback()
    other.execute("DROP TABLE p2_iso")
    two.commit()


@check
def a_pool_of_threads():
    import threading

    pool = psycopg2.pool.ThreadedConnectionPool(2, 6, "")
    seen = []

    def work(i):
        connection = pool.getconn()
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s + 1", (i,))
            seen.append(cursor.fetchone()[0])
        connection.rollback()
        pool.putconn(connection)

    for part in range(4):
        threads = [threading.Thread(target=work, args=(part * 6 + i,)) for i in range(6)]
        [thread.start() for thread in threads]
        [thread.join(20) for thread in threads]
    pool.closeall()
    equal(sorted(seen), list(range(1, 25)))


@check
def notifications_and_notices():
    connection = connect()
    cursor = connection.cursor()
    cursor.execute("LISTEN p2")
    cursor.execute("NOTIFY p2, 'x'")
    if not connection.notifies:
        select.select([connection], [], [], 10)
        connection.poll()
    equal([note.payload for note in connection.notifies], ["x"])
    cursor.execute("CREATE TABLE IF NOT EXISTS p2_note (a int)")
    cursor.execute("CREATE TABLE IF NOT EXISTS p2_note (a int)")
    equal(connection.notices[-1], 'NOTICE:  relation "p2_note" already exists, skipping\n')
    cursor.execute("DROP TABLE p2_note")


@check
def status_messages_and_errors():
    cursor = connect().cursor()
    cursor.execute("CREATE TABLE p2_tag (a int PRIMARY KEY)")
    equal(cursor.statusmessage, "CREATE TABLE")
    cursor.execute("INSERT INTO p2_tag VALUES (1), (2)")
    equal((cursor.statusmessage, cursor.rowcount), ("INSERT 0 2", 2))
    try:
        cursor.execute("INSERT INTO p2_tag VALUES (1)")
        raise AssertionError("no error")
    except psycopg2.errors.UniqueViolation as error:
        equal(error.diag.message_detail, "Key (a)=(1) already exists.")
    cursor.execute("DROP TABLE p2_tag")
    equal(connect().server_version // 10000, 15)


run()
