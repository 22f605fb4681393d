-- What psql's commands describe, in PostgreSQL and here alike.
CREATE ROLE clients_reader;
CREATE ROLE clients_writer LOGIN CONNECTION LIMIT 3 VALID UNTIL '2030-01-01 00:00:00+00';
COMMENT ON ROLE clients_reader IS 'who reads';
GRANT clients_reader TO clients_writer;
ALTER ROLE clients_writer SET work_mem = '8MB';
CREATE SCHEMA shop;
COMMENT ON SCHEMA shop IS 'what is sold';
GRANT USAGE ON SCHEMA shop TO clients_reader;
CREATE TYPE shop.mood AS ENUM ('calm', 'busy', 'mad');
COMMENT ON TYPE shop.mood IS 'how it goes';
CREATE DOMAIN shop.price AS numeric(12, 2) NOT NULL DEFAULT 1.5 CONSTRAINT positive CHECK (VALUE > 0);
CREATE SEQUENCE shop.numbers AS int INCREMENT 5 MINVALUE 10 MAXVALUE 1000 START 20 CACHE 3 CYCLE;
CREATE TABLE shop.makers (id serial PRIMARY KEY, name text NOT NULL UNIQUE, country char(2));
CREATE TABLE shop.items (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    maker int REFERENCES shop.makers (id) ON DELETE CASCADE,
    name varchar(40) NOT NULL DEFAULT 'thing',
    mood shop.mood DEFAULT 'calm',
    cost numeric(20, 8) CHECK (cost >= 0),
    twice numeric GENERATED ALWAYS AS (cost * 2) STORED,
    tags text[],
    doc jsonb DEFAULT '{}',
    made timestamptz NOT NULL DEFAULT now(),
    sold date,
    weight double precision,
    span interval,
    key uuid,
    CONSTRAINT sold_late CHECK (sold IS NULL OR sold > '2000-01-01'),
    CONSTRAINT item_once UNIQUE (maker, name)
);
COMMENT ON TABLE shop.items IS 'things';
COMMENT ON COLUMN shop.items.cost IS 'in coins';
COMMENT ON CONSTRAINT sold_late ON shop.items IS 'not in the last century';
CREATE INDEX items_made ON shop.items (made DESC, name);
CREATE INDEX items_lower ON shop.items (lower(name)) WHERE cost > 10;
CREATE UNIQUE INDEX items_key ON shop.items (key) INCLUDE (name);
COMMENT ON INDEX shop.items_made IS 'the newest first';
CREATE VIEW shop.dear AS SELECT id, name, cost * 1.1 AS gross FROM shop.items WHERE cost > 100;
COMMENT ON VIEW shop.dear IS 'what costs much';
CREATE MATERIALIZED VIEW shop.counts AS SELECT maker, count(*) AS n FROM shop.items GROUP BY maker;
CREATE INDEX counts_maker ON shop.counts (maker);
CREATE FUNCTION shop.gross(cost numeric, rate double precision DEFAULT 0.2) RETURNS numeric
    LANGUAGE sql IMMUTABLE STRICT AS 'SELECT cost * (1 + rate::numeric)';
COMMENT ON FUNCTION shop.gross IS 'with tax';
CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.made := now();
    RETURN NEW;
END
$$;
CREATE PROCEDURE shop.clear(OUT n int) LANGUAGE plpgsql AS $$
BEGIN
    n := 1;
END
$$;
CREATE FUNCTION shop.lots(n int, VARIADIC more int[]) RETURNS TABLE (a int, b text) LANGUAGE sql STABLE SECURITY DEFINER
    AS $$ SELECT n, 'x' $$;
CREATE TRIGGER touched BEFORE INSERT OR UPDATE ON shop.items FOR EACH ROW EXECUTE FUNCTION shop.touch();
CREATE TRIGGER named AFTER UPDATE OF name ON shop.items FOR EACH ROW WHEN (OLD.name IS DISTINCT FROM NEW.name) EXECUTE FUNCTION shop.touch();
ALTER TABLE shop.items DISABLE TRIGGER named;
GRANT SELECT, INSERT ON shop.items TO clients_reader;
GRANT UPDATE (name, cost) ON shop.items TO clients_writer WITH GRANT OPTION;
GRANT EXECUTE ON FUNCTION shop.gross TO clients_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO clients_reader;
CREATE TABLE shop.later (n int);
ALTER TABLE shop.makers ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON shop.makers FOR SELECT TO clients_reader USING (country = 'de');
CREATE POLICY more ON shop.makers AS RESTRICTIVE USING (name <> '') WITH CHECK (id > 0);
SET client_min_messages = error;
CREATE PUBLICATION goods FOR TABLE shop.items, shop.makers WITH (publish = 'insert, update');
RESET client_min_messages;
CREATE TABLE plain (a int, b text, "Odd Name" text);
INSERT INTO plain VALUES (1, 'one', 'x'), (2, 'two', NULL), (3, NULL, 'z');
INSERT INTO shop.makers (name, country) VALUES ('Ab', 'de'), ('Cd', 'fr');
INSERT INTO shop.items (maker, name, cost, tags, doc, sold) VALUES (1, 'pen', 1.25, '{a,b}', '{"a": 1}', '2020-02-03'), (2, 'car', 12000, NULL, NULL, NULL);
REFRESH MATERIALIZED VIEW shop.counts;
SET search_path = public, shop;
