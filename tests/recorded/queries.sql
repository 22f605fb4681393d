--: never reopened
-- Forms of queries: sets, joins, LATERAL, subqueries, WITH, VALUES, row values, set-returning functions.
create table a (id int primary key, k text, n int)
create table b (id int primary key, aid int, v numeric, t timestamptz)
insert into a values (1, 'x', 10), (2, 'y', null), (3, 'z', 30), (4, 'x', 40)
insert into b select g, case when g % 5 = 0 then null else g % 4 + 1 end, g * 1.25, timestamptz '2024-01-01 00:00+00' + g * interval '1 hour' from generate_series(1, 12) g
@j = join ;; left join ;; right join ;; full join
select a.id, b.id from a $j b on a.id = b.aid order by 1 nulls last, 2 nulls last
select a.id, b.id from a $j b on a.id = b.aid and b.v > 5 order by 1 nulls last, 2 nulls last
select id, a.k, b.v from a $j b using (id) order by 1
select * from a natural $j (select id, aid from b) c order by 1
select count(*) from a cross join b
select count(*) from a, b where a.id = b.aid
select a.id, q.* from a, lateral (select b.id, b.v from b where b.aid = a.id order by b.v desc limit 2) q(bid, v) order by 1, 2
select a.id, q.s from a left join lateral (select sum(v) as s from b where b.aid = a.id) q on true order by 1
select a.id, q.id from a left join lateral (select id from b where b.aid = a.id order by t desc limit 1) q on true order by 1
select a.id, g from a, generate_series(1, a.id) g order by 1, 2
select a.id, g.o, g.x from a, unnest(array[a.n, a.id]) with ordinality as g(x, o) order by 1, 2
select a.id, s from a, lateral (select a.n + 1 as s) q order by 1
select a.id from a where exists (select 1 from b where b.aid = a.id and b.v > 10) order by 1
select a.id from a where not exists (select 1 from b where b.aid = a.id) order by 1
select id from a where id in (select aid from b where v < 5) order by 1
select id from a where id not in (select aid from b where aid is not null and v < 5) order by 1
select id from a where id not in (select aid from b) order by 1
select id from a where n > all (select v from b where aid = a.id) order by 1
select id from a where n > any (select v * 4 from b) order by 1
select id, (select max(v) from b where b.aid = a.id) as m from a order by m nulls first
select id, (select count(*) from b where b.aid = a.id and b.v > a.n / 10.0) from a order by 1
select id, (select k from a z where z.id = b.aid) from b order by 1
select id, case when exists (select 1 from b where aid = a.id) then (select min(t) from b where aid = a.id) end from a order by 1
select (select id from a)
select (select id, k from a where id = 1)
select id from a where (id, k) = (1, 'x')
select id from a where (id, k) in ((1, 'x'), (2, 'z')) order by 1
select id from a where (id, n) > (2, 5) order by 1
select id from a where (k, id) <= ('y', 2) order by 1
select id from a where (id, k) in (select id, k from a where n > 5) order by 1
select (1, 2) = (1, 2), (1, null) = (1, 2), (1, null) = (2, null), (1, 2) < (1, 3), (2, 1) > (1, 5), row(1, 2) is null, row(null, null) is null, row(1, null) is not null, row(1, 2) is distinct from row(1, null)
select (1, 2) = (1, 2, 3)
select (1, 'a') < (1, 2)
select row(1, 'a b', null, '', '"q"'), row(row(1, 2), array[1, 2]), row(1.50, true, date '2024-02-29')
select (row(1, 2)).f1, (select q from (select 1 as x, 2 as y) q)::text, (q).x from (select 5 as x, 6 as y) q
select a from a order by a
select a.*, a from a where id = 1
select count(a), count(distinct a) from a
select values.column1 from (values (1), (2)) as values order by 1
values (1, 'a'), (2, 'b') order by 1 desc
values (1), (2.5), (null)
values (1), ('x')
select * from (values (1, 'a'), (2, null)) v(n, s) order by n
select n from (values (1), (2), (3)) v(n) where n > 1 order by n limit 1 offset 1
select * from a union select id, k, n from a order by 1
select k from a union all select k from a order by 1
select k from a intersect select 'x' order by 1
select k from a except select 'x' order by 1
select k from a except all select 'x' order by 1
select k from a intersect all select k from (values ('x'), ('x'), ('q')) v(k) order by 1
select 1 union select 2.5 union select null order by 1 nulls first
select 1 union select 'a'
select 1, 2 union select 1
select id from a union select id from b order by v
(select id from a order by id limit 1) union all (select id from b order by id desc limit 1) order by 1
select id from a order by k desc, id limit 2
select id from a order by 1 offset 2 rows fetch next 1 row only
select id from a order by n nulls first
select id from a order by n desc nulls last
select id from a order by k collate "C" desc, id
select id as k from a order by k
select id from a order by -id limit 2
select id from a order by nope
select id from a order by 3
select distinct k from a order by k
select distinct on (k) k, id from a order by k, id desc
select distinct on (k) id from a order by id
select distinct k from a order by id
select id from a limit 0
select id from a limit -1
select id from a order by id limit null offset 3
select id from a limit 'x'
select id from a order by id limit 1 + 1
select k, id from a order by k fetch first 1 rows with ties
with q as (select id from a where id > 2) select * from q order by 1
with q(z) as (select id from a), r as (select z + 1 as y from q) select max(y) from r
with recursive q(n) as (select 1 union all select n + 1 from q where n < 5) select n, sum(n) over (order by n) from q order by n
with recursive q(n) as (values (1) union select n % 3 + 1 from q) select * from q order by 1
with recursive t(id, path) as (select 1, array[1] union all select t.id + 1, path || t.id + 1 from t where t.id < 4) select * from t order by 1
with recursive f(a, b) as (select 0, 1 union all select b, a + b from f where b < 50) select a from f order by 1
with recursive q(n) as (select 1 union all select n + 1 from q) select n from q limit 3
with recursive q as (select 1 as n union all select n + 1 from q where n < 3) select q.n, a.k from q join a on a.id = q.n order by 1
with q as materialized (select 1 as x), r as not materialized (select 2 as y) select x, y from q, r
with q as (select 1) select * from nope
with q as (select 1), q as (select 2) select 1
with recursive q(n) as (select n from q) select 1
with recursive t(a, b) as (values (1, 2), (2, 3), (3, 1)), s(a, d) as (select 1, 0 union all select t.b, d + 1 from t join s on s.a = t.a where d < 4) select * from s order by d
with recursive s(n) as (select 1 union all select n + 1 from s where n < 3) search depth first by n set o select n from s order by n
with recursive s(n) as (select 1 union all select n % 3 + 1 from s) cycle n set c using p select n, c from s order by n, c
select generate_series(1, 3) as g, id from a where id < 3 order by id, g
select generate_series(1, 2), generate_series(1, 3)
select id, unnest(array[k, k || '2']) as u from a where id < 3 order by id, u
select generate_series(1, id) from a where id < 3 order by 1
select count(*) from (select generate_series(1, 5)) q
select generate_series(1, 3) * 2 + 1 order by 1
select coalesce(generate_series(1, 2), 0)
select case when true then generate_series(1, 2) end
select id from a where generate_series(1, 2) = 1
select * from generate_series(1, 3) with ordinality as g(x, o) order by 1
select * from rows from (generate_series(1, 2), generate_series(1, 3)) as r(p, q) order by 2
select * from rows from (unnest(array['a', 'b']), generate_series(5, 7)) with ordinality order by 3
select x.* from unnest(array[1, 2], array['p', 'q', 'r']) with ordinality x order by 3
select * from abs(-5), upper('a') u
select * from current_date as d where d is null
select * from pg_typeof(1) as p
select count(*) from a tablesample bernoulli (100)
select count(*) from b tablesample system (100) repeatable (1)
select count(*) from b tablesample bernoulli (0)
select * from a tablesample nope (10)
select * from a tablesample bernoulli (200)
select a.id, b.id from a join b on a.id = b.aid where b.v between 5 and 10 order by 1, 2
select a1.id, a2.id from a a1 join a a2 on a1.k = a2.k and a1.id < a2.id
select * from a join b on a.id = b.aid join a c on c.id = b.id order by b.id
select id from a join b on true
select nope from a
select a.nope from a
select z.id from a
select * from nope
select * from a, a
select id from a where id = 'x'
select id from a where k
select id from a where k + 1 = 2
select count(*) from a where n is null or not (n > 10)
select coalesce(n, id), nullif(k, 'x'), greatest(n, id, 15), least(n, id), case k when 'x' then 1 when 'y' then 2 else 0 end from a order by id
select case when n > 20 then 'big' when n is null then 'none' end from a order by id
select case 1 when 'a' then 1 end
select case when true then 1 else 'a' end
select coalesce(1, 'a')
select greatest(1, 2.5, null), greatest(null, null), least('a', 'b'), coalesce(null, null, 3)
select id in (1, 2), id between 2 and 3, k like 'x%', id is distinct from n from a order by id
select true and null, false and null, true or null, false or null, not null, null = null, null is null, true is true, null is unknown, null is not true, false is not false
select 'yes'::bool, 'off'::bool, '1'::bool, 't'::bool, 'n'::bool
select 'maybe'::bool
select true > false, true = 't', bool 'yes', true::text, true::int, false || 'x'
select 1 as "Select", 2 as x, 3 x2, 'a' as "A b"
select *, id + 1 as next from a order by id limit 1
select a.* from a where false
select exists (select 1), exists (select 1 where false), array(select 1 union select 2 order by 1)
select max(id) from a having max(id) > 100
select 1 where false
select 1 having true
select count(*) from (select from a) q
select sum(x) from (select id as x from a union all select id from b) q
select k, count(*) from (select k from a union all select 'w') q group by k order by k
select (select sum(id) from a where a.id <= b.id) from b order by id limit 3
select b.id, (select string_agg(k, ',' order by id) from a where a.id < b.id and exists (select 1 from b c where c.aid = a.id)) from b order by id limit 5
select id, (with q as (select v from b where aid = a.id) select avg(v) from q) from a order by id
select id from a where n = (select max(n) from a z where z.k = a.k) order by id
select a.id, (select json_agg(q) from (select b.id from b where b.aid = a.id order by b.id) q) is null from a order by 1
select date_trunc('day', t), sum(v) over (order by date_trunc('day', t)) from b where id < 3 order by id
select a.id, sum(b.v) from a left join b on b.aid = a.id group by a.id order by a.id
select a.id, a.k, sum(b.v) from a left join b on b.aid = a.id group by a.id order by a.id
select a.k, count(*) from a group by 1 having count(*) > 1
select x from (select 1) q(x)
select (select 1) + (select 2), -(select 3), (select 'a') || 'b'
select 1 from a where id = 1 for update
explain (costs off) select 1 from nope
