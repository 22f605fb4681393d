-- One row by its key, as a program that writes its values into its texts asks (-M simple), as a pooler or a driver that
-- prepares nothing does (-M extended), and prepared (-M prepared). For pgbench -n -f; the table before it:
--   CREATE TABLE lookups (n int, symbol text, price float8, PRIMARY KEY (n, symbol));
--   INSERT INTO lookups SELECT n, 'AAPL', n FROM generate_series(1, 300000) n;
\set n random(1, 300000)
SELECT price FROM lookups WHERE n = :n AND symbol = 'AAPL';
