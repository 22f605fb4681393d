-- What a database that was restored is held against the first by: run by dump.sh.
SELECT 'ticks', count(*), sum(price), sum(size), min(t AT TIME ZONE 'UTC'), max(t AT TIME ZONE 'UTC'), count(side), count(note), max(note) FROM market.ticks;
SELECT 'symbols', * FROM market.symbols ORDER BY symbol;
SELECT 'hourly', count(*), sum(open), sum(high), sum(low), sum(close), sum(size) FROM market.hourly;
SELECT 'daily', count(*), sum(high), sum(size) FROM market.daily;
SELECT 'latest', symbol, price FROM market.latest ORDER BY symbol;
SELECT 'counted', * FROM market.counted ORDER BY symbol;
SELECT 'orders', count(*), sum(twice), max(id), max(made AT TIME ZONE 'UTC') FROM market.orders;
SELECT 'dimension', hypertable_name, column_name, time_interval FROM timescaledb_information.dimensions WHERE hypertable_schema = 'market';
SELECT 'compression', hypertable_name, attname, segmentby_column_index, orderby_column_index FROM timescaledb_information.compression_settings WHERE hypertable_schema = 'market' ORDER BY 2, 3;
SELECT 'aggregate', view_name, materialized_only FROM timescaledb_information.continuous_aggregates ORDER BY 2;
SELECT 'job', proc_name, schedule_interval, hypertable_schema IS NOT NULL FROM timescaledb_information.jobs ORDER BY 2, 3;
SELECT 'comment', obj_description('market.ticks'::regclass);
SELECT 'constraint', conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'market.ticks'::regclass ORDER BY 2;
SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'market' ORDER BY 2;
SELECT 'next', last_value, is_called FROM market.orders_id_seq;
