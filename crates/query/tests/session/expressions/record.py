#!/usr/bin/env python3
"""Records what PostgreSQL answers to the statements of these files anew.

    record.py FILE.tsv… -- -h localhost -U postgres postgres

Everything behind `--` goes to psql, whose database should be an empty one: tables are made in it.
A line without a tab is a new statement.
"""
import subprocess
import sys

at = sys.argv.index("--")
files, connection = sys.argv[1:at], sys.argv[at + 1 :]
escapes = str.maketrans({"\\": "\\\\", "\n": "\\n", "\t": "\\t"})
for file in files:
    with open(file) as lines:
        statements = [line.rstrip("\n").split("\t")[0] for line in lines]
    script = "\\pset null NULL\n" + "".join(
        f"{statement};\n\\echo \x01:SQLSTATE\n" for statement in statements
    )
    command = ["psql", "-X", "-q", "-A", "-t", *connection]
    told = subprocess.run(command, input=script, capture_output=True, text=True).stdout
    answers = told.split("\x01")
    with open(file, "w") as out:
        rows = answers[0]
        for statement, after in zip(statements, answers[1:], strict=True):
            state, _, following = after.partition("\n")
            answer = rows.removesuffix("\n") if state == "00000" else f"!{state}"
            out.write(f"{statement}\t{answer.translate(escapes)}\n")
            rows = following
