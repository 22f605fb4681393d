-- Bars of two tickers beside the orders and positions that trade them, with checks of quality.

CREATE SCHEMA trading;
CREATE SCHEMA analytics;
CREATE SCHEMA monitoring;

CREATE TABLE trading.symbols (
    symbol text PRIMARY KEY,
    name   text NOT NULL,
    lot    int  NOT NULL DEFAULT 1 CHECK (lot > 0)
);

CREATE TABLE trading.market_data (
    timestamp timestamptz NOT NULL,
    symbol    text        NOT NULL REFERENCES trading.symbols,
    open      numeric(12,4) NOT NULL,
    high      numeric(12,4) NOT NULL,
    low       numeric(12,4) NOT NULL,
    close     numeric(12,4) NOT NULL,
    volume    bigint      NOT NULL,
    source    text        NOT NULL DEFAULT 'polygon',
    PRIMARY KEY (symbol, timestamp)
);
SELECT create_hypertable('trading.market_data', 'timestamp', chunk_time_interval => interval '7 days');
CREATE INDEX idx_market_data_source_time ON trading.market_data (source, timestamp DESC);

CREATE TYPE trading.order_status AS ENUM ('new', 'partially_filled', 'filled', 'cancelled');

CREATE TABLE trading.orders (
    order_id        bigint GENERATED ALWAYS AS IDENTITY,
    timestamp       timestamptz NOT NULL,
    symbol          text        NOT NULL REFERENCES trading.symbols,
    side            text        NOT NULL CHECK (side IN ('buy', 'sell')),
    quantity        int         NOT NULL CHECK (quantity > 0),
    price           numeric(12,4),
    status          trading.order_status NOT NULL DEFAULT 'new',
    filled_quantity int         NOT NULL DEFAULT 0 CHECK (filled_quantity BETWEEN 0 AND quantity),
    PRIMARY KEY (order_id, timestamp)
);
SELECT create_hypertable('trading.orders', 'timestamp', chunk_time_interval => interval '7 days');

CREATE TABLE trading.positions (
    symbol   text PRIMARY KEY REFERENCES trading.symbols,
    quantity int  NOT NULL DEFAULT 0,
    cost     numeric(18,4) NOT NULL DEFAULT 0
);

-- What is filled moves the position, in the same transaction.
CREATE FUNCTION trading.apply_fill() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    filled int := NEW.filled_quantity - OLD.filled_quantity;
BEGIN
    IF NEW.side = 'sell' THEN
        filled := -filled;
    END IF;
    INSERT INTO trading.positions AS p (symbol, quantity, cost) VALUES (NEW.symbol, filled, filled * NEW.price)
    ON CONFLICT (symbol) DO UPDATE SET quantity = p.quantity + EXCLUDED.quantity, cost = p.cost + EXCLUDED.cost;
    RETURN NULL;
END $$;
CREATE TRIGGER apply_fill AFTER UPDATE OF filled_quantity ON trading.orders
    FOR EACH ROW WHEN (NEW.filled_quantity <> OLD.filled_quantity) EXECUTE FUNCTION trading.apply_fill();

ALTER TABLE trading.market_data SET (timescaledb.compress, timescaledb.compress_segmentby = 'symbol');
ALTER TABLE trading.orders SET (timescaledb.compress, timescaledb.compress_segmentby = 'symbol');
SELECT add_compression_policy('trading.market_data', interval '7 days'),
       add_compression_policy('trading.orders', interval '7 days');

CREATE MATERIALIZED VIEW analytics.daily WITH (timescaledb.continuous) AS
SELECT time_bucket('1 day', timestamp) AS day, symbol, first(open, timestamp) AS open, max(high) AS high,
       min(low) AS low, last(close, timestamp) AS close, sum(volume) AS volume
FROM trading.market_data GROUP BY 1, 2;

CREATE VIEW analytics.correlation AS
SELECT a.day, round(corr(a.close, b.close) OVER (ORDER BY a.day ROWS 29 PRECEDING)::numeric, 4) AS correlation
FROM analytics.daily a JOIN analytics.daily b ON b.day = a.day AND a.symbol = 'NVDA' AND b.symbol = 'MSFT';

CREATE FUNCTION monitoring.check_data_freshness(at timestamptz DEFAULT now())
RETURNS TABLE (symbol text, latest timestamptz, age interval, fresh boolean) LANGUAGE sql STABLE AS $$
    SELECT s.symbol, m.latest, at - m.latest, coalesce(at - m.latest < interval '15 minutes', false)
    FROM trading.symbols s
    LEFT JOIN LATERAL (SELECT max(timestamp) AS latest FROM trading.market_data d WHERE d.symbol = s.symbol) m ON true
    ORDER BY 1
$$;

CREATE FUNCTION monitoring.validate_ohlc() RETURNS TABLE (symbol text, bars bigint, wrong bigint) LANGUAGE sql STABLE AS $$
    SELECT symbol, count(*), count(*) FILTER (WHERE high < greatest(open, close) OR low > least(open, close) OR volume < 0)
    FROM trading.market_data GROUP BY symbol ORDER BY symbol
$$;
