-- Rows of tables as values of the table's own type.
create table p (a int, b text, c numeric(6,2), d int[])
create table q (a int, e date)
insert into p values (1, 'x y', 1.5, '{{1,2}}'), (2, null, null, null), (3, '', 0, '{}')
insert into q values (1, '2026-01-01'), (3, null)
create view v as select a, b from p
select p from p order by a
select v from v order by a
select x from p x order by a
select pg_typeof(p), pg_typeof((x).a), (p).b, p.c, (x).d[1][2] from p join p x using (a) order by (p).a
select count(p), count(distinct p), count(*) from p
select array_agg(p order by a) from p
select p is null, p is not null, v is distinct from v from p join v on p.a = v.a order by p.a
select p = p, p < x from p, p x where p.a = 1 order by x.a
select p, q from p left join q on p.a = q.a where q.a is not null order by p.a
select row_to_json(p), to_jsonb(q) from p join q using (a) order by 1::text
select json_agg(p order by a)::jsonb from p
select p, count(*) from (select * from p union all select * from p) s join p using (a) group by p order by p
select distinct p from p order by p
select coalesce(p, null), nullif(p, p) from p order by p
select s.p, (s.p).a from (select p from p) s order by 2
with w as (select p from p) select (p).a, (p).b from w order by 1
select (select p from p where a = 1), exists (select p from p)
select row(1, 'z', 2.345, '{7}')::p, (row(1, 'z', 2.345, '{7}')::p).c, null::p, '(5,"a,b",,"{1,2}")'::p
select '(1,2)'::p
select row(1, 2)::p
select (p::p).b, p::text, v::v from p join v using (a) order by a
select pg_typeof(null::p), pg_typeof(array[null::p]), 'p'::regtype, format_type('p'::regtype, -1)
select reltype = 'p'::regtype, typtype, typname, typrelid = 'p'::regclass from pg_class join pg_type on pg_type.oid = reltype where relname = 'p'
select * from json_populate_record(null::q, '{"a": 5, "e": "2026-03-04"}')
select (json_populate_record(null::q, '{"a": 5}')).*
select * from json_populate_recordset(null::q, '[{"a": 5}, {"a": 6, "e": "2026-03-04"}]') order by a
select * from jsonb_populate_record(row(7, '2026-01-01')::q, '{"a": 8}')
select x.a, x.e from unnest(array[row(1, '2026-01-01')::q, row(2, null)::q]) x order by 1
create function of_p(p) returns text language sql as 'select $1.b || ''!'''
select of_p(p), of_p(row(1, 'k', 1, null)), of_p(null) from p order by a
create function make_q(n int) returns q language sql as 'select row(n, ''2026-05-06''::date)::q'
select make_q(1), (make_q(2)).e, pg_typeof(make_q(3))
select * from make_q(4)
create function all_q() returns setof q language sql as 'select q from q'
select * from all_q() order by a
select 1::nosuch
select 1::pg_catalog.nosuch
create table r (n text, id int primary key)
insert into r values ('one', 1), (null, 3)
select p.a, r from p left join r on r.id = p.a order by 1
select p.a, row_to_json(r), to_jsonb(r), r is null, r is not null from p left join r on r.id = p.a order by 1
select json_agg(r order by p.a)::jsonb, count(r), array_agg(r order by p.a) from p left join r on r.id = p.a
select r, p.a from r right join p on r.id = p.a and r.n is not null order by 2
select r, r.n from r order by id
select coalesce(row_to_json(r)::text, 'none') from p left join lateral (select * from r where r.id = p.a) r on true order by p.a
update r set n = 'three' where id = 3 returning r, row_to_json(r)
