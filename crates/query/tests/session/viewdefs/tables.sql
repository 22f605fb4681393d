CREATE TABLE t (a int, b bigint, n numeric, f float8, s text, v varchar(20), d date,
    ts timestamptz, tm timestamp, bo boolean, arr int[], iv interval, j jsonb, c char(3), sm smallint);
CREATE TABLE u (a int, s text, w numeric(10,2), "Odd name" int);
CREATE TABLE x (a int, y int, s text);
INSERT INTO t VALUES
    (1, 10, 1.5, 2.25, 'one', 'eins', '2024-01-01', '2024-01-01 10:00:00+00', '2024-01-01 10:00:00',
     true, '{1,2,3}', '1 hour', '{"k": 1}', 'abc', 1),
    (2, 20, 2.5, NULL, 'two', 'zwei', '2024-02-01', '2024-02-01 11:30:00+00', '2024-02-01 11:30:00',
     false, '{4,5}', '2 days', '{"k": [1, 2]}', 'd', 2),
    (3, NULL, NULL, -1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (1, 40, 7, 0.5, 'one', 'x', '2024-01-02', '2024-01-01 10:30:00+00', '2024-03-01 00:00:00',
     true, '{}', '-00:30:00', '{}', 'abc', 3);
INSERT INTO u VALUES (1, 'one', 1.25, 7), (2, 'deux', 2.50, 8), (5, NULL, NULL, 9);
INSERT INTO x VALUES (1, 1, 'one'), (2, 9, 'y'), (5, 2, 'z');
