-- One row by its key in a transaction of its own, for pgbench; benches/writes.py makes the table, a million rows of it.
\set n random(0, 999999)
\set s :n / 50
\set y :n % 50
UPDATE trades SET price = price + 1 WHERE ts = timestamptz '2026-01-01+00' + :s * interval '1 second' AND symbol = 'S' || :y::text AND exchange = 'X';
