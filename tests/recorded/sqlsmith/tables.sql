-- What random queries are about: run by .ci/sqlsmith.
CREATE TABLE ticks (t timestamptz NOT NULL, symbol text NOT NULL, price numeric(20, 8), size double precision, side "char", n bigint);
SELECT create_hypertable('ticks', 't', chunk_time_interval => interval '1 day');
CREATE TABLE people (id int PRIMARY KEY, name varchar(40), born date, tags text[], doc jsonb, ok boolean);
CREATE TABLE kinds (k smallint, v real, span interval, u uuid, b bytea, z time);
CREATE VIEW recent AS SELECT symbol, max(price) AS high, count(*) AS n FROM ticks GROUP BY symbol;
INSERT INTO ticks SELECT timestamptz '2024-01-01' + g * interval '1 hour', (array['A', 'B', 'C'])[g % 3 + 1], g * 1.25, g / 3.0, 'b', g FROM generate_series(1, 200) g;
INSERT INTO people SELECT g, 'p' || g, date '1990-01-01' + g, array['x', g::text], jsonb_build_object('a', g), g % 2 = 0 FROM generate_series(1, 20) g;
INSERT INTO kinds VALUES (1, 1.5, '1 day', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '\x01', '10:00'), (NULL, NULL, NULL, NULL, NULL, NULL);
CREATE MATERIALIZED VIEW hourly WITH (timescaledb.continuous) AS SELECT time_bucket('1 hour', t) AS h, symbol, max(price) AS high, sum(size) AS s FROM ticks GROUP BY 1, 2;
