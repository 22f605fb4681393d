"""pgcli: what it asks of the catalogs for its completion, and a session on a terminal."""
import os
import re
import sys

import pexpect
from report import check, equal, run

PGCLI = os.path.join(os.path.dirname(sys.executable), "pgcli")
PLACE = f"postgresql://{os.environ['PGUSER']}@{os.environ['PGHOST']}:{os.environ['PGPORT']}/{os.environ['PGDATABASE']}"


@check
def its_queries_for_completion_answer():
    from pgcli.pgexecute import PGExecute

    executor = PGExecute(
        os.environ["PGDATABASE"], os.environ["PGUSER"], "", os.environ["PGHOST"], os.environ["PGPORT"], None
    )
    list(executor.run("CREATE TABLE pc_t (a int PRIMARY KEY, b text DEFAULT 'x')"))
    list(executor.run("CREATE TABLE pc_u (a int REFERENCES pc_t)"))
    list(executor.run("CREATE VIEW pc_v AS SELECT a FROM pc_t"))
    list(executor.run("CREATE TYPE pc_e AS ENUM ('a')"))
    assert "public" in executor.search_path() and "public" in list(executor.schemata())
    assert ("public", "pc_t") in list(executor.tables())
    assert ("public", "pc_v") in list(executor.views())
    columns = [row for row in executor.table_columns() if row[1] == "pc_t"]
    equal([row[2:4] for row in columns], [("a", "integer"), ("b", "text")])
    assert [row for row in executor.view_columns() if row[1] == "pc_v"]
    keys = [key for key in executor.foreignkeys() if key.childtable == "pc_u"]
    equal([(key.parenttable, key.parentcolumn) for key in keys], [("pc_t", "a")])
    assert os.environ["PGDATABASE"] in executor.databases()
    assert any("pc_e" in row for row in executor.datatypes())
    assert any(function.func_name == "time_bucket" for function in executor.functions())
    equal(executor.view_definition("pc_v").splitlines()[0].startswith("CREATE OR REPLACE VIEW"), True)
    list(executor.run("CREATE FUNCTION pc_f() RETURNS int LANGUAGE plpgsql AS $$BEGIN RETURN 1; END$$"))
    assert "BEGIN" in executor.function_definition("pc_f")
    for text in ["DROP FUNCTION pc_f", "DROP VIEW pc_v", "DROP TABLE pc_u", "DROP TABLE pc_t", "DROP TYPE pc_e"]:
        list(executor.run(text))


@check
def its_commands_answer():
    from pgcli.pgexecute import PGExecute
    from pgspecial.main import PGSpecial

    executor = PGExecute(
        os.environ["PGDATABASE"], os.environ["PGUSER"], "", os.environ["PGHOST"], os.environ["PGPORT"], None
    )
    special = PGSpecial()
    list(executor.run("CREATE TABLE pc_t (a int PRIMARY KEY)"))
    for text in [r"\d", r"\d+", r"\d pc_t", r"\d+ pc_t", r"\dt", r"\dt+", r"\dv", r"\dv+", r"\dm", r"\ds", r"\ds+", r"\di", r"\di+",
                 r"\df", r"\df+", r"\dn", r"\dn+", r"\du", r"\du+", r"\dT", r"\dT+", r"\dx", r"\dx+", r"\dD", r"\dD+", r"\dF", r"\dE",
                 r"\db", r"\db+", r"\dp", r"\ddp", r"\l", r"\l+", r"\sf pg_sleep"]:
        for _, _, _, status, _, success, _ in executor.run(text, pgspecial=special):
            if success is False or (isinstance(status, str) and re.search("ERROR|rror:", status)):
                raise AssertionError(f"{text}: {status}")
    list(executor.run("DROP TABLE pc_t"))


@check
def a_session_on_a_terminal():
    child = pexpect.spawn(PGCLI, [PLACE, "--less-chatty", "--prompt", "pc>"], timeout=60, encoding="utf8",
                          dimensions=(60, 150), env={**os.environ, "TERM": "dumb", "PAGER": "cat", "HOME": "/tmp/pgcli.home"})
    try:
        child.expect("pc>")
        child.sendline("SELECT 40 + 2 AS answer;")
        child.expect(r"\| *42 *\|")
        child.sendline("SELECT nothing;")
        child.expect('column "nothing" does not exist')
        child.sendline("\\q")
        child.expect(pexpect.EOF)
    finally:
        child.close(force=True)


run()
