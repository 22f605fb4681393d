"""pandas: frames written and read back, by SQLAlchemy, by chunks, by COPY."""
import csv
import io
import os

import numpy as np
import pandas as pd
import sqlalchemy as sa
from report import check, equal, run

PLACE = f"{os.environ['PGUSER']}@{os.environ['PGHOST']}:{os.environ['PGPORT']}/{os.environ['PGDATABASE']}"
engine = sa.create_engine(f"postgresql+psycopg2://{PLACE}")
frame = pd.DataFrame(
    {
        "time": pd.date_range("2024-01-01", periods=1000, freq="min", tz="UTC"),
        "symbol": ["A", "B"] * 500,
        "price": np.arange(1000) / 8,
        "n": np.arange(1000),
        "ok": [True, False] * 500,
        "note": [None, "x"] * 500,
    }
)


def copied(table, connection, keys, rows):
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    out.seek(0)
    with connection.connection.cursor() as cursor:
        cursor.copy_expert(f"COPY {table.name} ({', '.join(keys)}) FROM STDIN WITH CSV", out)


@check
def a_frame_is_written_and_read_back():
    for method in [None, "multi", copied]:
        frame.to_sql("pd_frame", engine, index=False, if_exists="replace", method=method, chunksize=300)
        back = pd.read_sql("SELECT * FROM pd_frame ORDER BY time", engine, parse_dates={"time": {"utc": True}})
        equal(list(back.columns), list(frame.columns))
        equal([str(kind) for kind in back.dtypes][2:5], ["float64", "int64", "bool"])
        assert (back["price"] == frame["price"]).all() and (back["time"] == frame["time"]).all()
        equal(int(back["note"].isna().sum()), 500)


@check
def frames_are_appended_with_types_of_their_own():
    kinds = {"price": sa.Numeric(20, 8), "symbol": sa.String(8)}
    frame.head(10).to_sql("pd_kinds", engine, index=True, index_label="id", dtype=kinds, if_exists="replace")
    frame.tail(5).to_sql("pd_kinds", engine, index=True, index_label="id", dtype=kinds, if_exists="append")
    back = pd.read_sql_table("pd_kinds", engine, index_col="id", columns=["symbol", "price"])
    equal((len(back), str(back.index.dtype)), (15, "int64"))
    columns = {column["name"]: str(column["type"]) for column in sa.inspect(engine).get_columns("pd_kinds")}
    equal((columns["price"], columns["symbol"]), ("NUMERIC(20, 8)", "VARCHAR(8)"))


@check
def a_result_is_read_in_parts():
    with engine.connect().execution_options(stream_results=True) as connection:
        parts = list(pd.read_sql(sa.text("SELECT * FROM pd_frame WHERE n < :n"), connection, params={"n": 950}, chunksize=200))
    equal([len(part) for part in parts], [200, 200, 200, 200, 150])


@check
def a_grouped_query_is_what_pandas_computes():
    back = pd.read_sql(
        "SELECT date_trunc('hour', time) AS hour, symbol, avg(price) AS mean, max(n) AS top FROM pd_frame GROUP BY 1, 2 ORDER BY 1, 2",
        engine,
    )
    ours = frame.groupby([frame["time"].dt.floor("h"), "symbol"]).agg(mean=("price", "mean"), top=("n", "max")).reset_index()
    assert np.allclose(back["mean"], ours["mean"]) and (back["top"] == ours["top"]).all()


@check
def what_is_there_already_is_told():
    try:
        frame.to_sql("pd_frame", engine)
        raise AssertionError("no error")
    except ValueError as error:
        equal("already exists" in str(error), True)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE pd_frame, pd_kinds"))


run()
