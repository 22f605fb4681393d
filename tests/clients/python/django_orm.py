"""Django: migrations there and back, what inspectdb finds, and the ORM, held against PostgreSQL's answers."""
import contextlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent


def configure(place):
    import django
    from django.conf import settings

    settings.configure(
        SECRET_KEY="kept by nobody",
        USE_TZ=True,
        INSTALLED_APPS=[
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "django.contrib.sessions",
            "django.contrib.postgres",
            "django_shop",
        ],
        DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "USER": "postgres", **place}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    )
    django.setup()


def said(*command, **options):
    """What a command of manage.py prints."""
    from django.core.management import call_command

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        call_command(*command, **options)
    # The folder that migrations are written into is another each time.
    return out.getvalue().replace(os.environ.get("PYTHONPATH", "") + "/", "")


def child(place):
    """Everything on one server."""
    configure(place)
    told = [
        ("makemigrations", said("makemigrations", "django_shop", verbosity=1)),
        ("migrate", said("migrate", verbosity=1)),
        ("no drift", said("makemigrations", check=True, dry_run=True)),
        ("sqlmigrate", said("sqlmigrate", "django_shop", "0001")),
        ("inspectdb", said("inspectdb")),
    ]
    from django_shop.asks import answers

    told += answers()
    told += [
        ("flush", said("flush", interactive=False)),
        ("back to zero", said("migrate", "django_shop", "zero", verbosity=1)),
        ("inspectdb at the end", said("inspectdb")),
    ]
    print(json.dumps(told))


def asked(place):
    with tempfile.TemporaryDirectory() as work:
        shutil.copytree(HERE / "django_shop", f"{work}/django_shop")
        os.makedirs(f"{work}/django_shop/migrations")
        open(f"{work}/django_shop/migrations/__init__.py", "w").close()
        done = subprocess.run(
            [sys.executable, __file__, json.dumps(place)],
            env={**os.environ, "PYTHONPATH": work, "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=140,
        )
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    import psycopg

    theirs = psycopg.conninfo.conninfo_to_dict(os.environ["CHRONOLITH_POSTGRES"])
    name = os.environ["PGDATABASE"]
    with psycopg.connect(os.environ["CHRONOLITH_POSTGRES"], autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    ours = asked({"HOST": os.environ["PGHOST"], "PORT": os.environ["PGPORT"], "NAME": name})
    theirs = asked({"HOST": theirs["host"], "PORT": theirs["port"], "NAME": name})
    bad = len(ours) != len(theirs)
    for (name, here), (_, there) in zip(ours, theirs):
        if here == there:
            print(f"ok - {name}")
        else:
            bad = True
            print(f"not ok - {name}\n  here        {here}\n  PostgreSQL  {there}")
    sys.exit(bad)


if len(sys.argv) > 1:
    sys.path.insert(0, os.environ["PYTHONPATH"])
    child(json.loads(sys.argv[1]))
else:
    main()
