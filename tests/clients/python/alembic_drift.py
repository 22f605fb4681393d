"""SQLAlchemy 2 and Alembic: metadata made, reflected and compared without drift; ORM; migrations up and down."""
import contextlib
import datetime as dt
import decimal
import enum
import io
import os
import pathlib
import tempfile
import uuid

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from report import check, equal, run
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload

PLACE = f"{os.environ['PGUSER']}@{os.environ['PGHOST']}:{os.environ['PGPORT']}/{os.environ['PGDATABASE']}"
DRIVERS = ["psycopg", "psycopg2"]


class Base(DeclarativeBase):
    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Side(enum.Enum):
    buy = "buy"
    sell = "sell"


class Owner(Base):
    __tablename__ = "al_owner"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(40), unique=True, comment="who it is")
    born: Mapped[dt.date | None]
    orders: Mapped[list["Order"]] = relationship(back_populates="owner", cascade="all, delete-orphan")


class Order(Base):
    __tablename__ = "al_order"
    __table_args__ = (
        sa.CheckConstraint("amount > 0", name="positive"),
        sa.Index("ix_al_order_made", sa.text("made DESC"), "symbol"),
        sa.Index("ix_al_order_lower", sa.text("lower(symbol)"), postgresql_where=sa.text("amount > 10")),
        sa.Index("ix_al_order_key", "key", unique=True),
        sa.UniqueConstraint("owner_id", "symbol", "made", name="once"),
        {"comment": "what was asked for"},
    )
    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True), primary_key=True)
    owner_id: Mapped[int] = mapped_column(sa.ForeignKey("al_owner.id", ondelete="CASCADE"))
    symbol: Mapped[str] = mapped_column(sa.Text, server_default="BTC")
    side: Mapped[Side] = mapped_column(sa.Enum(Side, name="al_side"))
    amount: Mapped[decimal.Decimal] = mapped_column(sa.Numeric(20, 8))
    twice: Mapped[decimal.Decimal] = mapped_column(sa.Numeric, sa.Computed("amount * 2", persisted=True))
    made: Mapped[dt.datetime] = mapped_column(sa.DateTime(timezone=True), server_default=sa.func.now())
    local: Mapped[dt.datetime | None] = mapped_column(sa.DateTime)
    doc: Mapped[dict] = mapped_column(pg.JSONB, server_default=sa.text("'{}'::jsonb"))
    tags: Mapped[list[str] | None] = mapped_column(pg.ARRAY(sa.Text))
    key: Mapped[uuid.UUID | None] = mapped_column(pg.UUID(as_uuid=True))
    ratio: Mapped[float | None] = mapped_column(sa.Double)
    small: Mapped[int | None] = mapped_column(sa.SmallInteger)
    open: Mapped[bool] = mapped_column(server_default=sa.true())
    lasts: Mapped[dt.timedelta | None] = mapped_column(sa.Interval)
    raw: Mapped[bytes | None]
    place: Mapped[str | None] = mapped_column(pg.INET)
    owner: Mapped[Owner] = relationship(back_populates="orders")


class Tick(Base):
    __tablename__ = "al_tick"
    time: Mapped[dt.datetime] = mapped_column(sa.DateTime(timezone=True), primary_key=True)
    symbol: Mapped[str] = mapped_column(sa.String(20), primary_key=True)
    price: Mapped[float | None]


def engine(driver, **options):
    return sa.create_engine(f"postgresql+{driver}://{PLACE}", **options)


def drift(connection):
    options = {"compare_type": True, "compare_server_default": True, "include_name": lambda name, kind, _: kind != "table" or (name or "").startswith("al_")}
    return compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata)


@check
def what_metadata_made_shows_no_drift():
    for driver in DRIVERS:
        made = engine(driver)
        Base.metadata.drop_all(made)
        Base.metadata.create_all(made)
        with made.begin() as connection:
            connection.execute(sa.text("SELECT create_hypertable('al_tick', 'time', create_default_indexes => false)"))
        with made.connect() as connection:
            equal(drift(connection), [])


@check
def what_is_reflected_makes_the_same_again():
    made = engine(DRIVERS[0])
    reflected = sa.MetaData()
    reflected.reflect(made, only=lambda name, _: name.startswith("al_"))
    equal(sorted(reflected.tables), ["al_order", "al_owner", "al_tick"])
    ours, theirs = Base.metadata.tables["al_order"], reflected.tables["al_order"]
    equal([c.name for c in ours.columns], [c.name for c in theirs.columns])
    equal([c.nullable for c in ours.columns], [c.nullable for c in theirs.columns])
    equal(theirs.comment, "what was asked for")
    inspector = sa.inspect(made)
    equal(inspector.get_pk_constraint("al_order")["name"], "pk_al_order")
    key = inspector.get_foreign_keys("al_order")[0]
    equal((key["referred_table"], key["options"]), ("al_owner", {"ondelete": "CASCADE"}))
    equal([c["name"] for c in inspector.get_check_constraints("al_order")], ["ck_al_order_positive"])
    equal(inspector.get_enums()[0]["labels"], ["buy", "sell"])
    equal(inspector.get_columns("al_order")[0]["identity"]["always"], True)
    equal(inspector.get_columns("al_order")[5]["computed"]["persisted"], True)
    indexes = {index["name"]: index for index in inspector.get_indexes("al_order")}
    equal(indexes["ix_al_order_lower"]["expressions"], ["lower(symbol)"])
    equal(indexes["ix_al_order_made"]["column_sorting"], {"made": ("desc",)})
    with made.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True, "include_name": lambda name, kind, _: kind != "table" or (name or "").startswith("al_")}
        equal(compare_metadata(MigrationContext.configure(connection, opts=options), reflected), [])


@check
def drift_is_seen_where_there_is_some():
    made = engine(DRIVERS[0])
    with made.begin() as connection:
        connection.execute(sa.text("ALTER TABLE al_owner ADD COLUMN extra int"))
        connection.execute(sa.text("ALTER TABLE al_order ALTER COLUMN small TYPE int"))
    with made.connect() as connection:
        found = drift(connection)
    equal(sorted(item[0] if isinstance(item, tuple) else item[0][0] for item in found), ["modify_type", "remove_column"])
    with made.begin() as connection:
        connection.execute(sa.text("ALTER TABLE al_owner DROP COLUMN extra"))
        connection.execute(sa.text("ALTER TABLE al_order ALTER COLUMN small TYPE smallint"))
        equal(drift(connection), [])


@check
def objects_are_kept_changed_and_loaded():
    for driver in DRIVERS:
        made = engine(driver)
        with Session(made) as session:
            owner = Owner(name=f"ann {driver}", born=dt.date(1990, 1, 2))
            owner.orders = [
                Order(side=Side.buy, amount=decimal.Decimal(i) + 1, symbol=f"S{i}", tags=["a", str(i)], doc={"n": [i]}, key=uuid.uuid4(),
                      lasts=dt.timedelta(hours=i), raw=b"\x00\xff", ratio=i / 3, place="10.0.0.1")
                for i in range(40)
            ]
            session.add(owner)
            session.commit()
            loaded = session.scalars(sa.select(Owner).where(Owner.name == owner.name).options(selectinload(Owner.orders))).one()
            equal(len(loaded.orders), 40)
            equal({order.side for order in loaded.orders}, {Side.buy})
            first = loaded.orders[0]
            equal((first.twice, first.doc, first.tags, first.lasts, first.raw, first.open), (2, {"n": [0]}, ["a", "0"], dt.timedelta(0), b"\x00\xff", True))
            first.amount = decimal.Decimal("7.5")
            session.commit()
            equal(first.twice, 15)
            total = session.execute(
                sa.select(Order.side, sa.func.sum(Order.amount), sa.func.row_number().over(order_by=Order.side))
                .join(Order.owner).where(Order.doc["n"][0].as_integer() < 3).group_by(Order.side)
            ).one()
            equal(total[1], decimal.Decimal("12.5"))
            session.execute(sa.update(Order).where(Order.symbol == "S3").values(open=False))
            statement = pg.insert(Owner).values(name=owner.name, born=dt.date(2000, 1, 1))
            statement = statement.on_conflict_do_update(index_elements=[Owner.name], set_={"born": statement.excluded.born}).returning(Owner.born)
            equal(session.execute(statement).scalar_one(), dt.date(2000, 1, 1))
            session.commit()
            session.refresh(owner)
            session.delete(owner)
            session.commit()
            equal(session.scalar(sa.select(sa.func.count()).select_from(Order)), 0)


@check
def a_pool_notices_connections_that_the_server_ended():
    made = engine(DRIVERS[0], pool_size=2, pool_pre_ping=True)
    with made.connect() as connection:
        pid = connection.scalar(sa.text("SELECT pg_backend_pid()"))
    with engine(DRIVERS[0]).connect() as connection:
        connection.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
    with made.connect() as connection:
        assert connection.scalar(sa.text("SELECT pg_backend_pid()")) != pid


@check
async def the_asynchronous_engine_works():
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

    made = create_async_engine(f"postgresql+asyncpg://{PLACE}")
    async with AsyncSession(made) as session:
        session.add(Owner(name="async"))
        await session.commit()
        owner = (await session.scalars(sa.select(Owner).where(Owner.name == "async"))).one()
        await session.delete(owner)
        await session.commit()
    await made.dispose()


@check
def migrations_are_written_run_and_taken_back():
    made = engine(DRIVERS[0])
    Base.metadata.drop_all(made)
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        config = Config(str(place / "alembic.ini"), stdout=open(os.devnull, "w"))
        config.set_main_option("script_location", str(place / "m"))
        config.set_main_option("sqlalchemy.url", f"postgresql+{DRIVERS[0]}://{PLACE}")
        with contextlib.redirect_stdout(io.StringIO()):
            command.init(config, str(place / "m"))
        (place / "m" / "env.py").write_text(
            "import sys\nfrom alembic import context\nimport sqlalchemy as sa\nBase = sys.modules['__main__'].Base\n"
            "made = sa.create_engine(context.config.get_main_option('sqlalchemy.url'))\n"
            "with made.connect() as connection:\n"
            "    context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True, compare_server_default=True,\n"
            "        include_name=lambda name, kind, _: kind != 'table' or (name or '').startswith('al_'))\n"
            "    with context.begin_transaction():\n        context.run_migrations()\n"
        )
        command.revision(config, "first", autogenerate=True)
        command.upgrade(config, "head")
        with made.connect() as connection:
            equal(drift(connection), [])
        command.check(config)
        command.downgrade(config, "base")
        equal([name for name in sa.inspect(made).get_table_names() if name.startswith("al_") and name != "alembic_version"], [])


@check
def nothing_is_left():
    made = engine(DRIVERS[0])
    with made.begin() as connection:
        Base.metadata.drop_all(connection)
        connection.execute(sa.text("DROP TABLE IF EXISTS alembic_version"))
        connection.execute(sa.text("DROP TYPE IF EXISTS al_side"))


run()
