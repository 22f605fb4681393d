SELECT month::date, symbol, open, close, round(100 * (close / open - 1), 2) AS percent, volume
FROM price_history_monthly WHERE symbol = 'KO' ORDER BY month;

-- Quarters: nobody made a view of them, and the months answer.
SELECT time_bucket('3 months', time)::date AS quarter, symbol, sum(trading_value) AS value
FROM price_history GROUP BY 1, 2 ORDER BY 1, 2;

-- The chain as it stands: the last quote of each contract.
SELECT strike, max(bid) FILTER (WHERE kind = 'C') AS call_bid, max(bid) FILTER (WHERE kind = 'P') AS put_bid
FROM (SELECT DISTINCT ON (kind, strike) kind, strike, bid FROM options
      WHERE symbol = 'AAPL' AND expiration_date = '2025-07-18' ORDER BY kind, strike, time DESC) q
GROUP BY strike ORDER BY strike LIMIT 4;
SELECT bucket::date, kind, volume, round(iv, 4) AS iv FROM options_volume_daily ORDER BY 1, 2 LIMIT 4;

-- Returns are worked out where the prices are, also for rows that are packed.
SELECT count(compress_chunk(c, true)) AS compressed FROM show_chunks('price_history', older_than => '2025-05-01'::timestamptz) c;
UPDATE price_history p SET daily_return = r.value
FROM (SELECT id, close_price / lag(close_price) OVER (PARTITION BY symbol ORDER BY time) - 1 AS value FROM price_history) r
WHERE r.id = p.id AND r.value IS NOT NULL;
SELECT symbol, round(stddev_samp(daily_return), 6) AS volatility FROM price_history GROUP BY 1 ORDER BY 1;

-- The vendor sends a day again: the same hours are replaced.
INSERT INTO price_history (symbol, time, open_price, high_price, low_price, close_price, volume)
SELECT symbol, time, open_price, high_price, low_price, close_price, volume * 2 FROM price_history
WHERE symbol = 'CVX' AND time >= '2025-03-03' AND time < '2025-03-04'
ON CONFLICT (symbol, time, interval) DO UPDATE SET volume = EXCLUDED.volume;
SELECT symbol, volume FROM price_history_daily WHERE symbol = 'CVX' AND bucket = '2025-03-03';

SET ROLE example_reader;
SELECT count(*) FROM price_history_daily;
RESET ROLE;
SELECT has_table_privilege('example_reader', 'price_history', 'INSERT') AS reader_may_write;
