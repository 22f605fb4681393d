SELECT symbol, count(*) AS bars, min(timestamp) AS earliest, max(timestamp) AS latest, sum(volume) AS volume
FROM trading.market_data GROUP BY symbol ORDER BY symbol;

-- Fills move orders and positions together.
BEGIN;
UPDATE trading.orders SET filled_quantity = 5, status = 'partially_filled' WHERE order_id IN (1, 2);
UPDATE trading.orders SET filled_quantity = quantity, status = 'filled' WHERE order_id = 3 RETURNING order_id, status;
COMMIT;
SELECT * FROM trading.positions ORDER BY symbol;

-- Two workers take orders from the book, and never the same one.
BEGIN;
SELECT order_id, symbol, side, quantity FROM trading.orders WHERE status = 'new'
ORDER BY timestamp LIMIT 3 FOR UPDATE SKIP LOCKED;
ROLLBACK;


SELECT * FROM analytics.correlation ORDER BY day DESC LIMIT 3;
SELECT * FROM monitoring.check_data_freshness('2025-04-12 21:05:00+00');
SELECT * FROM monitoring.validate_ohlc();

-- The last ten days are loaded once more, as a vendor does who corrects its history.
CREATE TEMPORARY TABLE again AS SELECT * FROM trading.market_data WHERE timestamp >= '2025-04-03';
UPDATE again SET volume = volume + 1;
INSERT INTO trading.market_data SELECT * FROM again
ON CONFLICT (symbol, timestamp) DO UPDATE SET volume = EXCLUDED.volume, source = 'corrected';
SELECT source, count(*) FROM trading.market_data GROUP BY 1 ORDER BY 1;
SELECT day, symbol, volume FROM analytics.daily ORDER BY day DESC, symbol LIMIT 2;
