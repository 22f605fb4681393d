-- Daily and hourly prices with generated columns, option chains, calendar months over days, a reader's role.

CREATE TABLE stocks (
    symbol     varchar(20) PRIMARY KEY,
    name       text,
    sector     varchar(100),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE price_history (
    id            bigserial,
    symbol        varchar(20)   NOT NULL REFERENCES stocks,
    time          timestamptz   NOT NULL,
    open_price    numeric(15,4),
    high_price    numeric(15,4),
    low_price     numeric(15,4),
    close_price   numeric(15,4),
    volume        bigint,
    interval      varchar(10)   NOT NULL DEFAULT '1h',
    daily_return  numeric(10,6),
    trading_value numeric(20,2) GENERATED ALWAYS AS (close_price * volume) STORED,
    UNIQUE (symbol, time, interval)
);
SELECT create_hypertable('price_history', 'time', chunk_time_interval => interval '1 month');
CREATE INDEX ON price_history (symbol, time DESC);
CREATE INDEX ON price_history (volume DESC) WHERE volume > 0;

CREATE TABLE options (
    symbol             varchar(20)   NOT NULL REFERENCES stocks,
    kind               char(1)       NOT NULL CHECK (kind IN ('C', 'P')),
    expiration_date    date          NOT NULL,
    strike             numeric(15,4) NOT NULL,
    time               timestamptz   NOT NULL,
    bid                numeric(10,4),
    ask                numeric(10,4),
    volume             bigint,
    open_interest      bigint,
    implied_volatility numeric(8,6),
    delta              numeric(8,6),
    PRIMARY KEY (symbol, kind, expiration_date, strike, time)
);
SELECT create_hypertable('options', 'time', chunk_time_interval => interval '7 days');

CREATE MATERIALIZED VIEW price_history_daily WITH (timescaledb.continuous) AS
SELECT time_bucket('1 day', time) AS bucket, symbol, first(open_price, time) AS open, max(high_price) AS high,
       min(low_price) AS low, last(close_price, time) AS close, sum(volume) AS volume, sum(trading_value) AS value
FROM price_history GROUP BY 1, 2;

-- Months of the calendar, from the days.
CREATE MATERIALIZED VIEW price_history_monthly WITH (timescaledb.continuous) AS
SELECT time_bucket('1 month', bucket) AS month, symbol, first(open, bucket) AS open, max(high) AS high,
       min(low) AS low, last(close, bucket) AS close, sum(volume) AS volume, sum(value) AS value
FROM price_history_daily GROUP BY 1, 2;

CREATE MATERIALIZED VIEW options_volume_daily WITH (timescaledb.continuous) AS
SELECT time_bucket('1 day', time) AS bucket, symbol, kind, sum(volume) AS volume, avg(implied_volatility) AS iv
FROM options GROUP BY 1, 2, 3;

ALTER TABLE price_history SET (timescaledb.compress, timescaledb.compress_segmentby = 'symbol',
                               timescaledb.compress_orderby = 'time DESC');
ALTER TABLE options SET (timescaledb.compress, timescaledb.compress_segmentby = 'symbol, kind');
SELECT add_compression_policy('price_history', interval '1 month'),
       add_compression_policy('options', interval '7 days');

-- Whoever draws charts reads, and changes nothing. Roles belong to the server, not to the database.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'example_reader') THEN
        CREATE ROLE example_reader LOGIN;
    END IF;
END $$;
GRANT USAGE ON SCHEMA public TO example_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO example_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO example_reader;
