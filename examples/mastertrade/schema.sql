-- Minute bars, sentiment and flows of crypto assets, candles over candles, and what services ask for.

CREATE TABLE price_data (
    time     timestamptz NOT NULL,
    symbol   text        NOT NULL,
    exchange text        NOT NULL DEFAULT 'binance',
    open     numeric(20,8),
    high     numeric(20,8),
    low      numeric(20,8),
    close    numeric(20,8),
    volume   numeric(20,8),
    PRIMARY KEY (symbol, exchange, time),
    CHECK (high >= low)
);
SELECT create_hypertable('price_data', 'time', chunk_time_interval => interval '1 day');

CREATE TABLE sentiment_data (
    time            timestamptz NOT NULL,
    asset           text        NOT NULL,
    source          text        NOT NULL,
    sentiment_score float8      NOT NULL CHECK (sentiment_score BETWEEN -1 AND 1),
    mentions        bigint
);
SELECT create_hypertable('sentiment_data', 'time', chunk_time_interval => interval '7 days');

CREATE TABLE flow_data (
    time      timestamptz NOT NULL,
    asset     text        NOT NULL,
    flow_type text        NOT NULL,
    amount    numeric(30,8) NOT NULL,
    usd_value numeric(20,2)
);
SELECT create_hypertable('flow_data', 'time', chunk_time_interval => interval '1 day');

CREATE TABLE indicator_data (
    time   timestamptz NOT NULL,
    symbol text        NOT NULL,
    name   text        NOT NULL,
    value  float8,
    PRIMARY KEY (symbol, name, time)
);
SELECT create_hypertable('indicator_data', 'time', chunk_time_interval => interval '7 days');

-- Candles: each width from the one below. They need no refresh; the policies of an old schema may stay.
CREATE MATERIALIZED VIEW price_data_5m WITH (timescaledb.continuous) AS
SELECT time_bucket('5 minutes', time) AS bucket, symbol, exchange, first(open, time) AS open, max(high) AS high,
       min(low) AS low, last(close, time) AS close, sum(volume) AS volume, count(*) AS data_points
FROM price_data GROUP BY 1, 2, 3;

CREATE MATERIALIZED VIEW price_data_1h WITH (timescaledb.continuous) AS
SELECT time_bucket('1 hour', bucket) AS bucket, symbol, exchange, first(open, bucket) AS open, max(high) AS high,
       min(low) AS low, last(close, bucket) AS close, sum(volume) AS volume, sum(data_points) AS data_points
FROM price_data_5m GROUP BY 1, 2, 3;

CREATE MATERIALIZED VIEW price_data_1d WITH (timescaledb.continuous) AS
SELECT time_bucket('1 day', bucket) AS bucket, symbol, exchange, first(open, bucket) AS open, max(high) AS high,
       min(low) AS low, last(close, bucket) AS close, sum(volume) AS volume, sum(data_points) AS data_points
FROM price_data_1h GROUP BY 1, 2, 3;

CREATE INDEX idx_price_1h_symbol_bucket ON price_data_1h (symbol, bucket DESC);

CREATE MATERIALIZED VIEW sentiment_hourly WITH (timescaledb.continuous) AS
SELECT time_bucket('1 hour', time) AS bucket, asset, source, avg(sentiment_score) AS score,
       sum(mentions) AS mentions, count(*) FILTER (WHERE sentiment_score < -0.2) AS bearish,
       count(*) FILTER (WHERE sentiment_score > 0.2) AS bullish
FROM sentiment_data GROUP BY 1, 2, 3;

CREATE MATERIALIZED VIEW net_flow_hourly WITH (timescaledb.continuous) AS
SELECT time_bucket('1 hour', time) AS bucket, asset,
       sum(CASE flow_type WHEN 'exchange_inflow' THEN amount WHEN 'exchange_outflow' THEN -amount ELSE 0 END) AS net_flow
FROM flow_data GROUP BY 1, 2;

ALTER TABLE price_data SET (timescaledb.compress, timescaledb.compress_segmentby = 'symbol, exchange');
ALTER TABLE sentiment_data SET (timescaledb.compress, timescaledb.compress_segmentby = 'asset, source');
ALTER TABLE flow_data SET (timescaledb.compress, timescaledb.compress_segmentby = 'asset');

-- Finished days are packed, old ones go; candles stay.
SELECT add_compression_policy('price_data', interval '7 days'),
       add_compression_policy('sentiment_data', interval '14 days'),
       add_compression_policy('flow_data', interval '7 days'),
       add_retention_policy('price_data', interval '365 days'),
       add_retention_policy('sentiment_data', interval '180 days'),
       add_retention_policy('flow_data', interval '180 days');

CREATE VIEW market_overview AS
SELECT DISTINCT ON (symbol, exchange) symbol, exchange, time, close, volume
FROM price_data ORDER BY symbol, exchange, time DESC;

-- The change in percent over some hours until an instant; NULL where there is no price.
CREATE FUNCTION price_change_percent(of_symbol text, hours int, until timestamptz DEFAULT now())
RETURNS numeric LANGUAGE sql STABLE AS $$
    SELECT round(100 * (now_at.close / then_at.close - 1), 4)
    FROM (SELECT close FROM price_data WHERE symbol = of_symbol AND time <= until ORDER BY time DESC LIMIT 1) now_at,
         (SELECT close FROM price_data WHERE symbol = of_symbol AND time <= until - make_interval(hours => hours)
          ORDER BY time DESC LIMIT 1) then_at
$$;
