"""SQLModel: tables made, rows kept and read, relations followed."""
import datetime as dt
import os
from decimal import Decimal
from typing import Optional

from report import check, equal, run
from sqlalchemy import JSON, Column, DateTime
from sqlmodel import Field, Relationship, Session, SQLModel, create_engine, func, select

PLACE = f"{os.environ['PGUSER']}@{os.environ['PGHOST']}:{os.environ['PGPORT']}/{os.environ['PGDATABASE']}"
engine = create_engine(f"postgresql+psycopg://{PLACE}", pool_pre_ping=True)


class Stock(SQLModel, table=True):
    __tablename__ = "sm_stock"
    symbol: str = Field(primary_key=True, max_length=12)
    name: str = Field(index=True)
    facts: dict = Field(default_factory=dict, sa_column=Column(JSON))
    prices: list["Price"] = Relationship(back_populates="stock", cascade_delete=True)


class Price(SQLModel, table=True):
    __tablename__ = "sm_price"
    symbol: str = Field(foreign_key="sm_stock.symbol", primary_key=True)
    day: dt.date = Field(primary_key=True)
    close: Decimal = Field(max_digits=12, decimal_places=4)
    seen: Optional[dt.datetime] = Field(default=None, sa_column=Column(DateTime(timezone=True)))
    stock: Optional[Stock] = Relationship(back_populates="prices")


@check
def tables_are_made_twice_without_harm():
    SQLModel.metadata.drop_all(engine)
    SQLModel.metadata.create_all(engine)
    SQLModel.metadata.create_all(engine)


@check
def rows_are_kept_and_read():
    with Session(engine) as session:
        for symbol in ["A", "B"]:
            session.add(Stock(symbol=symbol, name=symbol * 3, facts={"n": 1}))
            for i in range(10):
                session.add(Price(symbol=symbol, day=dt.date(2024, 1, 1 + i), close=Decimal(i) / 4))
        session.commit()
        stock = session.get(Stock, "A")
        equal((stock.facts, len(stock.prices)), ({"n": 1}, 10))
        top = session.exec(select(Price.symbol, func.max(Price.close)).group_by(Price.symbol).order_by(Price.symbol)).all()
        equal([tuple(row) for row in top], [("A", Decimal("2.2500")), ("B", Decimal("2.2500"))])
        price = session.exec(select(Price).where(Price.symbol == "A", Price.day == dt.date(2024, 1, 3))).one()
        price.close = Decimal("9.5")
        session.add(price)
        session.commit()
        session.refresh(price)
        equal((price.close, price.stock.name), (Decimal("9.5000"), "AAA"))


@check
def rows_are_deleted_with_what_belongs_to_them():
    with Session(engine) as session:
        session.delete(session.get(Stock, "A"))
        session.commit()
        equal(session.exec(select(func.count()).select_from(Price)).one(), 10)
    SQLModel.metadata.drop_all(engine)


run()
