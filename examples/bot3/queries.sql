-- Where each symbol stands.
SELECT DISTINCT ON (exchange, symbol) exchange, symbol, time, price
FROM market_data.ticks ORDER BY exchange, symbol, time DESC;

-- Four-hour candles: answered from the hourly bars, although nobody names them.
SELECT time_bucket('4 hours', time) AS bucket, symbol, first(price, time) AS open, max(price) AS high,
       min(price) AS low, last(price, time) AS close, sum(volume) AS volume
FROM market_data.ticks WHERE symbol = 'BTCUSDT' GROUP BY 1, 2 ORDER BY 1;

-- A late tick is in its bars at once.
SELECT trades FROM aggregates.bars_1h WHERE symbol = 'BTCUSDT' AND bucket = '2025-06-01 10:00:00+00';
INSERT INTO market_data.ticks VALUES ('2025-06-01 10:30:00+00', 'binance', 'BTCUSDT', 50000, 0.5, 'B', 900000001)
ON CONFLICT DO NOTHING;
SELECT trades FROM aggregates.bars_1h WHERE symbol = 'BTCUSDT' AND bucket = '2025-06-01 10:00:00+00';

-- Bars of equal volume instead of equal time: each holds 500 coins.
SELECT bar, min(time) AS "from", max(time) AS "to", first(price, time) AS open, last(price, time) AS close,
       sum(volume) AS volume
FROM (SELECT time, price, volume,
             floor(sum(volume) OVER (ORDER BY time, trade_id) / 500)::int AS bar
      FROM market_data.ticks WHERE symbol = 'ETHUSDT' AND time < '2025-06-01 06:00:00+00') t
GROUP BY bar ORDER BY bar LIMIT 5;

-- Bars of equal money: each turns over 50 million dollars.
SELECT bar, count(*) AS trades, round(sum(price * volume) / sum(volume), 2) AS vwap
FROM (SELECT time, price, volume,
             floor(sum(price * volume) OVER (ORDER BY time, trade_id) / 50e6)::int AS bar
      FROM market_data.ticks WHERE symbol = 'BTCUSDT' AND time < '2025-06-01 06:00:00+00') t
GROUP BY bar ORDER BY bar LIMIT 5;

-- The book as it was at an instant, its spread and its depth.
SELECT b.time, (b.asks -> 0 ->> 0)::numeric - (b.bids -> 0 ->> 0)::numeric AS spread,
       (SELECT round(sum((level ->> 1)::numeric), 4) FROM jsonb_array_elements(b.bids) level) AS bid_depth
FROM market_data.order_books b
WHERE b.exchange = 'binance' AND b.symbol = 'BTCUSDT' AND b.time <= '2025-06-02 10:30:00.5+00'
ORDER BY b.time DESC LIMIT 1;

-- Each hour's price as a trader would have known it: the last trade before the hour.
SELECT h.at, t.price
FROM generate_series('2025-06-02 00:00:00+00'::timestamptz, '2025-06-02 06:00:00+00', interval '1 hour') h(at)
CROSS JOIN LATERAL (SELECT price FROM market_data.ticks t
                    WHERE t.symbol = 'SOLUSDT' AND t.time < h.at ORDER BY t.time DESC LIMIT 1) t
ORDER BY h.at;

-- Minutes without a trade for longer than ten minutes.
SELECT symbol, bucket AS last_bar, next - bucket AS gap
FROM (SELECT symbol, bucket, lead(bucket) OVER (PARTITION BY symbol ORDER BY bucket) AS next
      FROM aggregates.bars_1m) b
WHERE next - bucket > interval '10 minutes' ORDER BY gap DESC;

-- Features for training, as CSV: returns over one and five bars, and the volume beside its mean.
COPY (SELECT bucket, close, close / lag(close) OVER w - 1 AS r1, close / lag(close, 5) OVER w - 1 AS r5,
             volume / avg(volume) OVER (ORDER BY bucket ROWS 20 PRECEDING) AS relative_volume
      FROM aggregates.bars_1m WHERE symbol = 'BTCUSDT' AND bucket < '2025-06-01 00:10:00+00'
      WINDOW w AS (ORDER BY bucket) ORDER BY bucket) TO STDOUT WITH (FORMAT csv, HEADER);

-- A wrong tick is corrected, in a compressed chunk, and the correction is on record.
SELECT count(compress_chunk(c, true)) AS compressed FROM show_chunks('market_data.ticks') c;
UPDATE market_data.ticks SET price = price * 2 WHERE symbol = 'XRPUSDT' AND time = '2025-06-01 10:30:00+00';
UPDATE market_data.ticks SET price = 49999 WHERE trade_id = 900000001 AND time = '2025-06-01 10:30:00+00';
SELECT what, old_tick ->> 'price' AS was, new_tick ->> 'price' AS is FROM audit.corrections;
SELECT pg_size_pretty(before_compression_total_bytes) AS before, pg_size_pretty(after_compression_total_bytes) AS after
FROM hypertable_compression_stats('market_data.ticks');
