"""Writes tests/slt/recorded/*.slt: what PostgreSQL 15 answers to the statements of *.sql beside this.

    record.py --postgres DSN [--check DSN] [NAME ...]

A statement is a line. A line `@name = a ;; b` makes every later statement with `$name` in it two
statements. A line that begins with `--` is a comment; `--: without tables` and `--: never reopened`
say which ways a script need not run. A statement that has a text of differences.txt in it is for
PostgreSQL alone, as COMPAT.md says. With --check the statements also run on a Chronolith, and those
with another answer are shown. Needs psycopg 3.
"""

import argparse
import itertools
import pathlib
import re
import sys

import psycopg

HERE = pathlib.Path(__file__).parent
SCRIPTS = HERE.parent / "slt" / "recorded"


def statements(lines):
    """Comments as they are, and statements with every combination of the names in them."""
    names = {}
    for line in lines:
        line = line.rstrip()
        if made := re.match(r"@(\w+) = (.*)", line):
            names[made[1]] = [value.strip() for value in made[2].split(" ;; ")]
        elif line.startswith("--") or not line:
            yield line
        else:
            used = [name for name in dict.fromkeys(re.findall(r"\$([a-z]+)", line)) if name in names]
            for values in itertools.product(*(names[name] for name in used)):
                filled = dict(zip(used, values))
                yield re.sub(r"\$([a-z]+)", lambda m: filled.get(m[1], m[0]), line)


def answer(connection, statement):
    """What a script says of the statement: its head, and its rows."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement.encode())
            if cursor.description is None:
                return "statement ok", None
            rows = []
            result = cursor.pgresult
            for row in range(result.ntuples):
                values = (result.get_value(row, column) for column in range(result.nfields))
                rows.append("\t".join(shown(value) for value in values))
            types = "T" * result.nfields
            sort = len(rows) > 1 and "order by" not in statement.lower()
            return f"query {types or 'T'}{' rowsort' if sort else ''}", sorted(rows) if sort else rows
    except psycopg.Error as error:
        if error.sqlstate is None:
            raise
        message = error.diag.message_primary.splitlines()[0]
        return f"statement error {error.sqlstate} {message}", None


def shown(value):
    if value is None:
        return "NULL"
    return value.decode() or "(empty)"


def connect(dsn):
    connection = psycopg.connect(dsn, autocommit=True)
    connection.execute("SET timezone = 'UTC'")
    return connection


def fresh(dsn, form=""):
    """A connection to a database of its own; PostgreSQL's orders by code points, and knows letters."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS recorded WITH (FORCE)")
        connection.execute(f"CREATE DATABASE recorded {form}")
    return connect(f"{dsn} dbname=recorded")


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--postgres", required=True)
    options.add_argument("--check")
    options.add_argument("names", nargs="*")
    options = options.parse_args()
    recorded = differ = left = 0
    lines = (HERE / "differences.txt").read_text().splitlines()
    differences = [line.split(" ;; ") for line in lines if " ;; " in line]
    for path in sorted(HERE.glob("*.sql")):
        if options.names and path.stem not in options.names:
            continue
        theirs = fresh(options.postgres, "TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'")
        ours = fresh(options.check) if options.check else None
        out = [f"# What PostgreSQL 15 answers, written by tests/recorded/record.py from {path.name}."]
        for statement in statements(path.read_text().splitlines()):
            if statement.startswith("--: "):
                out[0] += f"\n# {statement[4:]}"
            elif statement.startswith("--"):
                out.append("#" + statement[2:])
            elif statement:
                head, rows = answer(theirs, statement)
                if rows and any("\n" in row for row in rows):
                    sys.exit(f"{path.name}: a value of several lines: {statement}")
                lines = [head, statement] + (["----"] + rows if rows is not None else [])
                known = [reason for text, reason in differences if text in statement]
                if known:
                    left += 1
                    lines.insert(0, f"onlyif postgres: {known[0]}")
                else:
                    recorded += 1
                out.append("\n".join(lines))
                if ours is None:
                    continue
                try:
                    got = answer(ours, statement)
                except psycopg.Error as error:
                    got = (str(error), None)
                    ours = connect(f"{options.check} dbname=recorded")
                if (got != (head, rows)) != bool(known):
                    differ += 1
                    print(f"{path.name}: {statement}\n  there {head} {rows}\n  here  {got[0]} {got[1]}")
        for connection in filter(None, (theirs, ours)):
            connection.close()
        SCRIPTS.mkdir(exist_ok=True)
        (SCRIPTS / f"{path.stem}.slt").write_text("\n\n".join(out) + "\n")
    print(f"{recorded} statements recorded, {left} for PostgreSQL alone, {differ} not as expected")


if __name__ == "__main__":
    main()
