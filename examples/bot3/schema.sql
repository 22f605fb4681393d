-- Ticks and order books, bars that every commit keeps, and a record of who changed what.

CREATE SCHEMA market_data;
CREATE SCHEMA aggregates;
CREATE SCHEMA audit;

CREATE TABLE market_data.ticks (
    time     timestamptz   NOT NULL,
    exchange text          NOT NULL,
    symbol   text          NOT NULL,
    price    numeric(20,8) NOT NULL CHECK (price > 0),
    volume   numeric(20,8) NOT NULL CHECK (volume > 0),
    side     char(1)       CHECK (side IN ('B', 'S')),
    trade_id bigint        NOT NULL,
    PRIMARY KEY (time, exchange, symbol, trade_id)
);
SELECT create_hypertable('market_data.ticks', by_range('time', interval '1 day'));

-- Snapshots of a book: levels as [price, volume], best first.
CREATE TABLE market_data.order_books (
    time     timestamptz NOT NULL,
    exchange text        NOT NULL,
    symbol   text        NOT NULL,
    sequence bigint      NOT NULL,
    bids     jsonb       NOT NULL,
    asks     jsonb       NOT NULL,
    PRIMARY KEY (time, exchange, symbol, sequence)
);
SELECT create_hypertable('market_data.order_books', by_range('time', interval '1 hour'));

-- Coarser bars are computed from finer ones, and never differ from the ticks.
CREATE MATERIALIZED VIEW aggregates.bars_1m WITH (timescaledb.continuous) AS
SELECT time_bucket('1 minute', time) AS bucket, exchange, symbol,
       first(price, time) AS open, max(price) AS high, min(price) AS low, last(price, time) AS close,
       sum(volume) AS volume, sum(price * volume) AS dollars, count(*) AS trades
FROM market_data.ticks
GROUP BY 1, 2, 3;

CREATE MATERIALIZED VIEW aggregates.bars_1h WITH (timescaledb.continuous) AS
SELECT time_bucket('1 hour', bucket) AS bucket, exchange, symbol,
       first(open, bucket) AS open, max(high) AS high, min(low) AS low, last(close, bucket) AS close,
       sum(volume) AS volume, sum(dollars) AS dollars, sum(trades) AS trades
FROM aggregates.bars_1m
GROUP BY 1, 2, 3;

CREATE MATERIALIZED VIEW aggregates.bars_1d WITH (timescaledb.continuous) AS
SELECT time_bucket('1 day', bucket) AS bucket, exchange, symbol,
       first(open, bucket) AS open, max(high) AS high, min(low) AS low, last(close, bucket) AS close,
       sum(volume) AS volume, sum(dollars) AS dollars, sum(trades) AS trades
FROM aggregates.bars_1h
GROUP BY 1, 2, 3;

ALTER TABLE market_data.ticks SET (timescaledb.compress, timescaledb.compress_segmentby = 'exchange, symbol');
ALTER TABLE market_data.order_books SET (timescaledb.compress, timescaledb.compress_segmentby = 'exchange, symbol');
SELECT add_compression_policy('market_data.ticks', interval '1 day'),
       add_compression_policy('market_data.order_books', interval '2 hours'),
       -- Books are bulky and old ones are seldom asked for; bars stay when their ticks have gone.
       add_retention_policy('market_data.order_books', interval '30 days'),
       add_retention_policy('market_data.ticks', interval '2 years');

CREATE TABLE audit.corrections (
    at       timestamptz NOT NULL DEFAULT now(),
    who      text        NOT NULL DEFAULT current_user,
    what     text        NOT NULL,
    old_tick jsonb,
    new_tick jsonb
);

-- Whoever corrects a tick leaves a trace.
CREATE FUNCTION audit.note_correction() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit.corrections (what, old_tick, new_tick)
    VALUES (TG_OP, to_jsonb(OLD), CASE WHEN TG_OP = 'UPDATE' THEN to_jsonb(NEW) END);
    RETURN NULL;
END $$;
CREATE TRIGGER note_correction AFTER UPDATE OR DELETE ON market_data.ticks
    FOR EACH ROW EXECUTE FUNCTION audit.note_correction();
