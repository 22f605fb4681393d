"""Runs checks and tells of each of them in a line: `ok - NAME`, or `not ok - NAME` and why."""
import asyncio
import inspect
import sys
import traceback

checks = []


def check(function):
    """A function that is a check; its name is its claim."""
    checks.append(function)
    return function


def run(*arguments):
    """Runs the module's checks in their order, each within a minute, and ends the program."""
    failed = False
    for function in checks:
        name = function.__name__.replace("_", " ")
        try:
            result = function(*arguments)
            if inspect.isawaitable(result):
                asyncio.run(asyncio.wait_for(result, 60))
            print(f"ok - {name}", flush=True)
        except BaseException:
            failed = True
            print(f"not ok - {name}\n{traceback.format_exc()}", flush=True)
    sys.exit(failed)


def equal(ours, expected):
    if ours != expected:
        raise AssertionError(f"{ours!r} is not {expected!r}")
