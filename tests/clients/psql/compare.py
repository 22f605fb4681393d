"""The same commands of psql here and in PostgreSQL, and what they show held against each other.

    compare.py OURS THEIRS COMMANDS [WORD]

COMMANDS holds blocks of lines, parted by empty lines; each block runs in a psql of its own. The first line of a
block is a comment whose first character says how the answers are compared:

    --= NAME   they are the same
    --< NAME   each line here is one of PostgreSQL's, and at least as many as the number that follows `least`
    --! NAME   psql ends well and reports no error: what it shows differs for the reason that follows
"""
import difflib
import re
import subprocess
import sys


def run(dsn, text):
    try:
        done = subprocess.run(
            ["psql", "-X", "-q", dsn],
            input="SET search_path = public, shop;\n" + text,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=sys.path[0] + "/../../..",
            env={"PATH": "/usr/bin:/bin", "PGTZ": "UTC", "EDITOR": "true", "PSQL_EDITOR": "true", "HOME": "/nowhere"},
        )
    except subprocess.TimeoutExpired:
        return "no answer within a minute", 1
    return done.stdout + done.stderr, done.returncode


def squeeze(line):
    """A line as it reads whatever else stands in its columns."""
    return re.sub(r"[ +]+", " ", line).strip()


def differ(kind, name, ours, theirs):
    """What is wrong, or nothing."""
    if kind == "=":
        if ours != theirs:
            return "\n".join(difflib.unified_diff(theirs.splitlines(), ours.splitlines(), "PostgreSQL", "here", n=1, lineterm=""))
    elif re.search(r"^(psql:.*)?(ERROR|FATAL|error|invalid|\\.*: )", ours, re.M):
        return ours
    elif kind == "<":
        known = {squeeze(line) for line in theirs.splitlines()}
        strange = [
            line
            for line in ours.splitlines()
            if squeeze(line) not in known and not re.match(r"^ *\(\d+ rows?\)|^[-+ ]*$", line)
        ]
        least = re.search(r"least (\d+)", name)
        if strange:
            return f"{len(strange)} of {len(ours.splitlines())} lines are not in PostgreSQL's\n" + "\n".join(strange[:20])
        if least and len(ours.splitlines()) < int(least[1]):
            return f"only {len(ours.splitlines())} lines"
    return None


def main():
    ours, theirs, commands = sys.argv[1:4]
    word = sys.argv[4] if len(sys.argv) > 4 else ""
    bad = 0
    for block in open(commands).read().split("\n\n"):
        head, _, body = block.strip("\n").partition("\n")
        if not head.startswith("--") or word not in block:
            continue
        kind, name = head[2], head[4:]
        here, code = run(ours, body + "\n")
        there, _ = run(theirs, body + "\n")
        why = differ(kind, name, here, there)
        if why is None and code != 0 and kind != "=":
            why = f"psql ended with {code}\n{here}"
        if why:
            bad += 1
            print(f"not ok - {name}\n{why}")
        else:
            print(f"ok - {name}")
    sys.exit(bad > 0)


main()
