"""The same random statements on PostgreSQL 15 and on Chronolith, held against each other.

A history is a seed: tables (plain ones, and ones that are hypertables on Chronolith), rows and
statements of two sessions: INSERT with ON CONFLICT, UPDATE, DELETE, MERGE, TRUNCATE, RETURNING,
data-modifying CTEs, transactions, savepoints, errors, changed columns. Rows, tags, SQLSTATEs and
constraint names must agree after each statement, and whole tables after each few. In between
Chronolith flushes and compresses, which nobody may notice.

    differential.py --postgres DSN --chronolith DSN [--first 0] [--histories 40] [--statements 500]

Ends with 1 at the first history that differs, and prints the statements that led there. Needs
psycopg 3.
"""

import argparse
import concurrent.futures
import random
import sys
from decimal import Decimal

import psycopg

# How long a statement runs before somebody looks whether it waits.
LOOK_AFTER_S = 0.03
# What takes longer hangs, and is told by its statement.
STATEMENT_TIMEOUT = "60s"
COLUMNS = {
    "id": "int",
    "k": "text",
    "ts": "timestamptz",
    "v": "numeric(12,4)",
    "n": "int",
    "f": "float8",
    "b": "bool",
    "d": "date",
    "j": "jsonb",
}
NAMES = ["a", "b", "c", "d", "e", "x y", "Z", ""]


class Table:
    """A table and what statements must know of it."""

    def __init__(self, rnd, number, parents):
        self.name = f"t{number}"
        self.time = rnd.random() < 0.5
        names = ["id", "k", "ts"] + rnd.sample(["v", "n", "f", "b", "d", "j"], 3)
        self.columns = {name: COLUMNS[name] for name in names}
        self.keys = []
        parts = []
        self.required = {"ts"} if self.time else set()
        self.parent = None
        for name, kind in self.columns.items():
            text = f"{name} {kind}"
            if name in self.required or (name not in ("id", "k") and rnd.random() < 0.15):
                self.required.add(name)
                text += " NOT NULL"
            if name == "n" and rnd.random() < 0.5:
                text += f" CONSTRAINT {self.name}_n_small CHECK (n < 40)"
            if name in ("v", "n", "f") and rnd.random() < 0.3:
                text += " DEFAULT 7"
            parts.append(text)
        choice = rnd.randrange(4)
        if choice < 3:
            key = ["ts", "id"] if self.time else (["id"] if choice < 2 else ["id", "k"])
            self.keys.append(key)
            self.required.update(key)
            parts.append(f"PRIMARY KEY ({', '.join(key)})")
        if rnd.random() < 0.3:
            key = ["ts", "k"] if self.time else ["k"]
            self.keys.append(key)
            parts.append(f"UNIQUE ({', '.join(key)})")
        plain = [p for p in parents if not p.time and ["id"] in p.keys]
        if plain and not self.time and rnd.random() < 0.5:
            self.parent = rnd.choice(plain)
            action = rnd.choice(["", " ON DELETE CASCADE", " ON DELETE SET NULL"])
            if "n" in self.columns and "n" not in self.required:
                parts.append(f"FOREIGN KEY (n) REFERENCES {self.parent.name} (id){action}")
        self.create = f"CREATE TABLE {self.name} ({', '.join(parts)})"


class Maker:
    """Statements of a history."""

    def __init__(self, seed, without=()):
        self.without = without
        self.rnd = random.Random(seed)
        self.tables = []
        for number in range(self.rnd.randint(1, 3)):
            self.tables.append(Table(self.rnd, number, self.tables))

    def value(self, name, null=0.05):
        rnd = self.rnd
        if rnd.random() < null:
            return "NULL"
        if name in ("id", "n"):
            return str(rnd.randrange(0, 45))
        if name == "k":
            return "'" + rnd.choice(NAMES) + "'"
        if name == "ts":
            return f"'2026-01-{rnd.randint(1, 20):02d} {rnd.randrange(24):02d}:00:00+00'"
        if name == "v":
            return str(Decimal(rnd.randrange(-100000, 100000)) / 100)
        if name == "f":
            return str(rnd.randrange(-50, 50) / 4)
        if name == "b":
            return rnd.choice(["true", "false"])
        if name == "d":
            return f"'2026-02-{rnd.randint(1, 28):02d}'"
        return rnd.choice(["'{\"a\": 1}'", "'[1, 2]'", "'\"s\"'"])

    def condition(self, table, prefix=""):
        rnd = self.rnd
        name = rnd.choice(list(table.columns))
        if name == "j":
            return f"{prefix}j IS NOT NULL"
        operator = rnd.choice(["=", "<", ">", ">=", "<>"])
        made = f"{prefix}{name} {operator} {self.value(name, 0.01)}"
        if name in ("id", "n") and rnd.random() < 0.3:
            made = f"{prefix}{name} % {rnd.randint(2, 5)} = {rnd.randrange(3)}"
        if rnd.random() < 0.2:
            made += f" {rnd.choice(['AND', 'OR'])} {self.condition(table, prefix)}"
        return made

    def rows(self, table, names, distinct):
        rnd = self.rnd
        seen, made = set(), []
        for _ in range(rnd.choice([1, 1, 2, 5, 20])):
            row = {name: self.value(name) for name in names}
            for name in table.required & set(names):
                if rnd.random() < 0.98:
                    row[name] = self.value(name, 0)
            if distinct:
                # A statement that meets one row twice is refused or not by which comes first.
                keys = [(i, tuple(row.get(c) for c in key)) for i, key in enumerate(table.keys)]
                if any(key in seen for key in keys):
                    continue
                seen.update(keys)
            made.append("(" + ", ".join(row[name] for name in names) + ")")
        return ", ".join(made)

    def settable(self, table):
        # A key that several rows share while they change is refused or not by their order.
        fixed = {name for key in table.keys for name in key}
        return [name for name in table.columns if name not in fixed]

    def setting(self, table, prefix=""):
        rnd = self.rnd
        names = self.settable(table) or ["id"]
        made = []
        for name in rnd.sample(names, min(len(names), rnd.randint(1, 2))):
            value = self.value(name, 0.03)
            if name == "n" and rnd.random() < 0.5:
                value = f"{prefix}n + 1"
            if name == "v" and rnd.random() < 0.5:
                value = f"{prefix}v * 2 + 0.5"
            if name == "k" and rnd.random() < 0.5:
                value = f"{prefix}k || '!'"
            if rnd.random() < 0.05:
                value = "DEFAULT"
            made.append(f"{name} = {value}")
        return ", ".join(made)

    def returning(self, table):
        rnd = self.rnd
        if rnd.random() < 0.6:
            return ""
        names = rnd.choice(["*", ", ".join(list(table.columns)[:2]), "id, upper(k) AS up"])
        return f" RETURNING {names}"

    def insert(self):
        rnd, table = self.rnd, self.rnd.choice(self.tables)
        names = list(table.columns)
        if rnd.random() < 0.3:
            names = [n for n in names if n in table.required or rnd.random() < 0.7] or names
        conflict = rnd.random() < 0.6
        text = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES "
        text += self.rows(table, names, conflict)
        if conflict and table.keys:
            key = rnd.choice(table.keys)
            target = f" ({', '.join(key)})"
            kind = rnd.randrange(5)
            sets = self.settable(table)
            if kind == 0 or not sets:
                text += f" ON CONFLICT{rnd.choice(['', target])} DO NOTHING"
            else:
                name = rnd.choice(sets)
                value = rnd.choice([f"EXCLUDED.{name}", self.value(name)])
                if name in ("n", "v", "f"):
                    value = rnd.choice([value, f"{table.name}.{name} + 1"])
                text += f" ON CONFLICT{target} DO UPDATE SET {name} = {value}"
                if rnd.random() < 0.3:
                    text += f" WHERE {self.condition(table, table.name + '.')}"
        elif rnd.random() < 0.02:
            text += " ON CONFLICT (k, id) DO NOTHING"
        return text + self.returning(table)

    def insert_select(self):
        rnd = self.rnd
        into, source = rnd.choice(self.tables), rnd.choice(self.tables)
        shared = [n for n in into.columns if n in source.columns]
        chosen = ", ".join(f"{n} + 50" if n == "id" else n for n in shared)
        return (
            f"INSERT INTO {into.name} ({', '.join(shared)}) SELECT {chosen} FROM {source.name}"
            f" WHERE {self.condition(source)} ORDER BY {', '.join(shared)} ON CONFLICT DO NOTHING"
        )

    def update(self):
        rnd, table = self.rnd, self.rnd.choice(self.tables)
        if rnd.random() < 0.25:
            # One row at most changes its key, also to another chunk.
            key = table.keys[0] if table.keys else ["id"]
            name = rnd.choice(list(table.columns))
            where = " AND ".join(f"{n} = {self.value(n, 0)}" for n in key)
            if not table.keys:
                name = "n" if "n" in table.columns else "k"
            return f"UPDATE {table.name} SET {name} = {self.value(name)} WHERE {where}" + (
                self.returning(table)
            )
        if rnd.random() < 0.2:
            other = rnd.choice(self.tables)
            if ["id"] in other.keys:
                name = rnd.choice(self.settable(table) or ["k"])
                value = f"o.{name}" if name in other.columns else self.value(name)
                return (
                    f"UPDATE {table.name} AS u SET {name} = {value} FROM {other.name} AS o"
                    f" WHERE u.id = o.id AND ({self.condition(other, 'o.')})"
                    f"{rnd.choice(['', ' RETURNING u.id, o.k'])}"
                )
        return (
            f"UPDATE {table.name} SET {self.setting(table)} WHERE {self.condition(table)}"
            + self.returning(table)
        )

    def delete(self):
        rnd, table = self.rnd, self.rnd.choice(self.tables)
        if rnd.random() < 0.2:
            other = rnd.choice(self.tables)
            return (
                f"DELETE FROM {table.name} AS u USING {other.name} AS o"
                f" WHERE u.id = o.id AND ({self.condition(other, 'o.')})"
            )
        if rnd.random() < 0.2:
            other = rnd.choice(self.tables)
            return (
                f"DELETE FROM {table.name} WHERE id IN"
                f" (SELECT id FROM {other.name} WHERE {self.condition(other)} )"
            )
        return f"DELETE FROM {table.name} WHERE {self.condition(table)}" + self.returning(table)

    def merge(self):
        rnd, table = self.rnd, self.rnd.choice(self.tables)
        key = table.keys[0] if table.keys else ["id"]
        names = list(table.columns)
        rows = self.rows(table, names, True)
        casts = ", ".join(f"{n}::{table.columns[n]} AS {n}" for n in names)
        aliases = ", ".join(f"c{n}" for n in range(len(names)))
        casts = ", ".join(f"c{i}::{table.columns[n]} AS {n}" for i, n in enumerate(names))
        matched = rnd.choice(
            ["DELETE", "DO NOTHING"]
            + [f"UPDATE SET {n} = s.{n}" for n in self.settable(table)[:2]]
        )
        extra = f" AND {self.condition(table, 's.')}" if rnd.random() < 0.3 else ""
        return (
            f"MERGE INTO {table.name} AS m USING (SELECT {casts} FROM (VALUES {rows})"
            f" AS w ({aliases})) AS s ON {' AND '.join(f'm.{n} = s.{n}' for n in key)}"
            f" WHEN MATCHED{extra} THEN {matched}"
            f" WHEN NOT MATCHED THEN INSERT ({', '.join(names)})"
            f" VALUES ({', '.join('s.' + n for n in names)})"
        )

    def cte(self):
        rnd, table = self.rnd, self.rnd.choice(self.tables)
        kind = rnd.randrange(3)
        if kind == 0:
            return (
                f"WITH gone AS (DELETE FROM {table.name} WHERE {self.condition(table)}"
                f" RETURNING id, k) SELECT count(*), min(id), max(k) FROM gone"
            )
        if kind == 1:
            return (
                f"WITH changed AS (UPDATE {table.name} SET {self.setting(table)}"
                f" WHERE {self.condition(table)} RETURNING id)"
                f" SELECT (SELECT count(*) FROM changed), count(*) FROM {table.name}"
            )
        return (
            f"WITH chosen AS (SELECT id FROM {table.name} WHERE {self.condition(table)})"
            f" DELETE FROM {table.name} WHERE id IN (SELECT id FROM chosen)"
        )

    def select(self):
        rnd, table = self.rnd, self.rnd.choice(self.tables)
        if rnd.random() < 0.5:
            return f"SELECT * FROM {table.name} WHERE {self.condition(table)}"
        number = "n" if "n" in table.columns else "id"
        return (
            f"SELECT k, count(*), sum({number}), min(ts), max(id) FROM {table.name}"
            f" WHERE {self.condition(table)} GROUP BY k"
        )

    def lock(self):
        rnd, table = self.rnd, self.rnd.choice(self.tables)
        strength = rnd.choice(["UPDATE", "NO KEY UPDATE", "SHARE", "KEY SHARE"])
        wait = rnd.choice(["", " NOWAIT", " SKIP LOCKED"])
        return f"SELECT id FROM {table.name} WHERE {self.condition(table)} FOR {strength}{wait}"

    def odd(self):
        rnd, table = self.rnd, self.rnd.choice(self.tables)
        return rnd.choice(
            [
                f"TRUNCATE {table.name}",
                f"UPDATE {table.name} SET nowhere = 1",
                f"UPDATE {table.name} SET id = 'x'",
                f"INSERT INTO {table.name} (id, id) VALUES (1, 2)",
                f"INSERT INTO {table.name} (id) VALUES (1, 2)",
                f"DELETE FROM nowhere",
                f"DELETE FROM {table.name} WHERE 1 / (id - id) = 1",
                f"UPDATE {table.name} SET id = 2147483647 + id",
                f"INSERT INTO {table.name} (id, k) VALUES (1, 'a') ON CONFLICT (f, k) DO NOTHING",
                f"SELECT id FROM {table.name} WHERE k = 1",
            ]
        )

    def statement(self):
        makers = [
            (22, self.insert),
            (5, self.insert_select),
            (18, self.update),
            (10, self.delete),
            (7, self.merge),
            (7, self.cte),
            (12, self.select),
            (3, self.lock),
            (3, self.odd),
        ]
        makers = [(w, m) for w, m in makers if m.__name__ not in self.without]
        return self.rnd.choices([m for _, m in makers], [w for w, _ in makers])[0]()

    def control(self, inside):
        rnd = self.rnd
        if not inside:
            return rnd.choice(["BEGIN", "BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ"])
        return rnd.choice(
            ["COMMIT", "COMMIT", "ROLLBACK", "SAVEPOINT s", "ROLLBACK TO s", "RELEASE s"]
        )


# A statement that meets several of these is told of the one that it meets first, and the order in
# which rows and their rules are looked at is nobody's promise.
REFUSED = {"23502", "23503", "23505", "23514", "21000", "55P03"}


def differs(one, other):
    """Whether two answers say different things."""
    return one != other and not (one[0] in REFUSED and other[0] in REFUSED)


def run(connection, text):
    """What a statement answers: its SQLSTATE, constraint and tag, and its rows in any order."""
    try:
        cursor = connection.execute(text)
        rows = None
        if cursor.description is not None:
            rows = sorted(cursor.fetchall(), key=repr)
        return ("00000", None, cursor.statusmessage, rows)
    except psycopg.Error as error:
        return (error.sqlstate, error.diag.constraint_name, None, None)


class Waits:
    """Tells which statements wait for another session's transaction, and ends those: nobody else goes
    on meanwhile. A lock_timeout would end those as well that a busy machine is slow with, or that wait
    for a server's own work."""

    def __init__(self, args):
        self.watchers = [
            psycopg.connect(dsn, autocommit=True) for dsn in (args.postgres, args.chronolith)
        ]
        self.pool = concurrent.futures.ThreadPoolExecutor(2)

    def blocked(self, place, pid, others):
        row = self.watchers[place].execute("SELECT pg_blocking_pids(%s)", (pid,)).fetchone()
        return any(other in others for other in row[0])

    def run(self, place, connection, text, others):
        """What a statement answers; 55P03 where it waits for one of some sessions."""
        answer = self.pool.submit(run, connection, text)
        pid, ended = connection.info.backend_pid, False
        while not concurrent.futures.wait([answer], LOOK_AFTER_S).done:
            if not ended and self.blocked(place, pid, others):
                ended = True
                connection.cancel()
        found = answer.result()
        return ("55P03", None, None, None) if ended and found[0] == "57014" else found

    def close(self):
        self.pool.shutdown()
        for watcher in self.watchers:
            watcher.close()


class Pair:
    """One session on both servers."""

    def __init__(self, args, waits):
        self.waits = waits
        self.both = [psycopg.connect(dsn, autocommit=True) for dsn in (args.postgres, args.chronolith)]
        for connection in self.both:
            connection.execute(f"SET statement_timeout = '{STATEMENT_TIMEOUT}'")
            connection.execute("SET timezone = 'UTC'")
            connection.execute("SET client_min_messages = error")
        self.inside = False

    def run(self, text, others=()):
        """What both servers answer; other sessions may be in its way."""
        answers = []
        for place, connection in enumerate(self.both):
            pids = {other.both[place].info.backend_pid for other in others if other is not self}
            answers.append(self.waits.run(place, connection, text, pids))
        return answers

    def close(self):
        for connection in self.both:
            connection.close()


def history(args, seed):
    """Runs a history; how many statements it had, and where it differs first."""
    maker = Maker(seed, args.without)
    rnd = maker.rnd
    waits = Waits(args)
    pairs = [Pair(args, waits), Pair(args, waits)]
    log = []
    try:
        for connection in pairs[0].both:
            connection.execute("DROP TABLE IF EXISTS t2, t1, t0 CASCADE")
        for table in maker.tables:
            log.append(("both", table.create))
            answers = pairs[0].run(table.create)
            if answers[0][:2] != answers[1][:2] or answers[0][0] != "00000":
                return 0, (log, answers)
            if table.time:
                text = f"SELECT create_hypertable('{table.name}', 'ts', chunk_time_interval => interval '3 days')"
                log.append(("chronolith", text))
                pairs[0].both[1].execute(text)
                text = f"ALTER TABLE {table.name} SET (timescaledb.compress, timescaledb.compress_segmentby = 'k')"
                log.append(("chronolith", text))
                pairs[0].both[1].execute(text)
        count = 0
        for _ in range(args.statements):
            which = 0 if rnd.random() < 0.75 or args.sessions < 2 else 1
            pair = pairs[which]
            if rnd.random() < (0.12 if pair.inside else 0.08):
                text = maker.control(pair.inside)
            else:
                text = maker.statement()
            log.append((f"session {which}", text))
            answers = pair.run(text, pairs)
            count += 1
            if differs(*answers):
                return count, (log, answers)
            status = pair.both[0].info.transaction_status
            pair.inside = status != psycopg.pq.TransactionStatus.IDLE
            if pair.both[1].info.transaction_status != status:
                return count, (log, [status, pair.both[1].info.transaction_status])
            if rnd.random() < 0.04:
                text = move(rnd, maker, pairs)
                if text:
                    log.append(("chronolith", text))
            if rnd.random() < 0.1:
                for table in maker.tables:
                    text = f"SELECT * FROM {table.name}"
                    answers = pair.run(text, pairs)
                    if answers[0] != answers[1]:
                        log.append((f"session {which}", text))
                        return count, (log, answers)
        return count, None
    finally:
        for pair in pairs:
            pair.close()
        waits.close()


def move(rnd, maker, pairs):
    """Has Chronolith put rows elsewhere, on a connection of its own kind."""
    free = [pair for pair in pairs if not pair.inside]
    if not free:
        return None
    pids = {pair.both[1].info.backend_pid for pair in pairs if pair is not free[0]}
    times = [table for table in maker.tables if table.time]
    if times and rnd.random() < 0.6:
        text = f"SELECT compress_chunk(c, true) FROM show_chunks('{rnd.choice(times).name}') c"
    else:
        text = "CHECKPOINT"
    answer = free[0].waits.run(1, free[0].both[1], text, pids)
    return text if answer[0] == "00000" else f"{text} -- {answer[0]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--postgres", required=True)
    parser.add_argument("--chronolith", required=True)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--histories", type=int, default=40)
    parser.add_argument("--statements", type=int, default=500)
    parser.add_argument("--sessions", type=int, default=2)
    parser.add_argument("--without", nargs="*", default=[], help="kinds of statements: merge, lock …")
    parser.add_argument("--all", action="store_true", help="go on after one that differs")
    args = parser.parse_args()
    total, differing = 0, 0
    for seed in range(args.first, args.first + args.histories):
        count, difference = history(args, seed)
        total += count
        if difference is None:
            continue
        differing += 1
        log, answers = difference
        print(f"-- history {seed} differs after {count} statements:")
        for who, text in log[-25:] if not args.all else log[-3:]:
            print(f"/* {who} */ {text};")
        for name, answer in zip(("PostgreSQL", "Chronolith"), answers):
            print(f"-- {name}: {str(answer)[:1500]}")
        sys.stdout.flush()
        if not args.all:
            return 1
    print(f"{total} statements in {args.histories} histories, {differing} differ")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
