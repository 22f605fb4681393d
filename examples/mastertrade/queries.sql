-- A chart: four-hour candles. The hourly ones answer, although the minutes are asked.
SELECT time_bucket('4 hours', time) AS bucket, first(open, time) AS open, max(high) AS high, min(low) AS low,
       last(close, time) AS close, sum(volume) AS volume
FROM price_data WHERE symbol = 'BTCUSDT' AND exchange = 'binance' AND time >= '2025-06-10' GROUP BY 1 ORDER BY 1;

-- A bar that arrives is in its candles with the same commit, also when it corrects an older one.
INSERT INTO price_data (time, symbol, open, high, low, close, volume)
VALUES ('2025-06-05 12:03:00+00', 'BTCUSDT', 1, 99999, 1, 2, 3)
ON CONFLICT (symbol, exchange, time) DO UPDATE SET high = greatest(price_data.high, EXCLUDED.high);
SELECT bucket, high FROM price_data_1d WHERE symbol = 'BTCUSDT' AND bucket = '2025-06-05';

SELECT * FROM market_overview ORDER BY symbol;
SELECT symbol, price_change_percent(symbol, 24, '2025-06-10 12:00:00+00') AS day
FROM (VALUES ('BTCUSDT'), ('ETHUSDT'), ('NONE')) s(symbol);

-- Volume by price: twenty levels.
SELECT level, round(sum(volume), 2) AS volume
FROM (SELECT width_bucket(close, lo, hi, 20) AS level, volume
      FROM price_data, (SELECT min(close) AS lo, max(close) + 1 AS hi FROM price_data WHERE symbol = 'ETHUSDT') r
      WHERE symbol = 'ETHUSDT') p
GROUP BY level ORDER BY level;

-- How the mood moved, hour by hour, silence filled with the last score.
SELECT time_bucket_gapfill('1 hour', bucket, '2025-06-03 00:00+00'::timestamptz,
                           '2025-06-03 06:00+00'::timestamptz) AS hour,
       round(locf(avg(score))::numeric, 3) AS score, coalesce(sum(bullish - bearish), 0) AS bulls
FROM sentiment_hourly WHERE asset = 'BTC' AND bucket >= '2025-06-03' AND bucket < '2025-06-03 06:00+00'
GROUP BY 1 ORDER BY 1;

SELECT bucket, net_flow, sum(net_flow) OVER (ORDER BY bucket) AS since_midnight
FROM net_flow_hourly WHERE asset = 'ETH' AND bucket >= '2025-06-04' AND bucket < '2025-06-04 04:00+00' ORDER BY bucket;

-- What there is, and what packing it saves.
SELECT count(compress_chunk(c, true)) AS compressed FROM show_chunks('price_data', older_than => '2025-06-10'::timestamptz) c;
SELECT hypertable_name, num_chunks, pg_size_pretty(hypertable_size(format('%I', hypertable_name)::regclass)) AS size
FROM timescaledb_information.hypertables ORDER BY 1;
SELECT view_name FROM timescaledb_information.continuous_aggregates ORDER BY 1;
