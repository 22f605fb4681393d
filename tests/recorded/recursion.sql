--: never reopened
-- SEARCH and CYCLE of recursive queries, and ROWS FROM.
create table tree (id int primary key, parent int, name text)
insert into tree values (1, null, 'a'), (2, 1, 'd'), (3, 1, 'b'), (4, 2, 'x'), (5, 3, 'c'), (6, 3, 'a'), (7, 5, 'z')
create table graph (id int primary key, f int, t int, label text)
insert into graph values (1, 1, 2, 'p'), (2, 1, 3, 'q'), (3, 2, 3, 'r'), (4, 1, 4, 's'), (5, 4, 5, 't'), (6, 5, 1, 'u')
@s = search depth first by id ;; search breadth first by id ;; search depth first by name, id ;; search breadth first by name ;; search breadth first by parent, name, id
@u = union all ;; union
with recursive t(id, parent, name) as (select id, parent, name from tree where parent is null $u select c.id, c.parent, c.name from tree c, t where c.parent = t.id) $s set o select id, name, o from t order by o, id
with recursive t as (select id, parent, name from tree where parent is null $u select c.id, c.parent, c.name from tree c join t as up on c.parent = up.id) $s set o select * from t order by o, id
@c = cycle f, t set again using path ;; cycle f, t set again to 'Y' default 'N' using path ;; cycle t set again to 1 default 0 using path
with recursive g(f, t, label) as (select f, t, label from graph e $u select e.f, e.t, e.label from graph e, g where g.t = e.f) $c select * from g order by path
with recursive g(f, t, label) as (select f, t, label from graph e where f = 1 union all select e.f, e.t, e.label from graph e, g where g.t = e.f or g.t = e.t) search depth first by f, t set o cycle f, t set again using path select * from g order by o, path
with recursive g(f, t) as (select f, t from graph where id = 1 union all select e.f, e.t from graph e, g where g.t = e.f) search breadth first by f, t set o cycle f, t set again to true default false using path select f, t, o, again, path from g order by o
with recursive n(v) as (values (1) union all select v + 1 from n where v < 4) search breadth first by v set o select * from n
with recursive n(v) as (select 1 union all select v + 1 from n where v < 4) search depth first by v set o select v, o from n order by o desc
with recursive n(v) as (select 1 union all select (v % 3) + 1 from n) cycle v set c using p select * from n order by p
with recursive n(v, w) as (select 1, 'a'::text union all select (v % 3) + 1, w || 'b' from n) cycle v set c using p select count(*), max(array_length(p, 1)) from n where not c
create view ways as with recursive g(f, t) as (select f, t from graph where id = 1 union all select e.f, e.t from graph e, g where g.t = e.f) search depth first by f, t set o cycle f, t set again using path select f, t, again from g
select * from ways order by f, t
-- What is refused.
with recursive n(v) as (select 1 union all select v + 1 from n where v < 4) search depth first by w set o select * from n
with recursive n(v) as (select 1 union all select v + 1 from n where v < 4) search depth first by v, v set o select * from n
with recursive n(v) as (select 1 union all select v + 1 from n where v < 4) search depth first by v set v select * from n
with recursive n(v) as (select 1 union all select v + 1 from n where v < 4) cycle w set c using p select * from n
with recursive n(v) as (select 1 union all select v + 1 from n where v < 4) cycle v, v set c using p select * from n
with recursive n(v) as (select 1 union all select v + 1 from n where v < 4) cycle v set v using p select * from n
with recursive n(v) as (select 1 union all select v + 1 from n where v < 4) cycle v set c using v select * from n
with recursive n(v) as (select 1 union all select v + 1 from n where v < 4) cycle v set c using c select * from n
with recursive n(v) as (select 1 union all select v + 1 from n where v < 4) search depth first by v set c cycle v set c using p select * from n
with recursive n(v) as (select 1 union all select v + 1 from n where v < 4) search depth first by v set p cycle v set c using p select * from n
with recursive n(v) as (select 1) search depth first by v set o select * from n
with recursive n(v) as (select 1 union all select q.v + 1 from (select v from n) q where q.v < 4) search depth first by v set o select * from n
with recursive n(v) as (select 1 union all (select v + 1 from n where v < 4 union select 7)) search depth first by v set o select * from n
with recursive n(v) as (select 1 union all select v + 1 from n where v < 4) cycle v set c to 1 default 'x' using p select * from n
with n(v) as (select 1) search depth first by v set o select * from n
-- ROWS FROM.
select * from rows from (generate_series(1, 2), generate_series(1, 3)) as r(p, q) order by 2
select * from rows from (unnest(array['a', 'b']), generate_series(5, 7)) with ordinality order by 3
select * from rows from (unnest(array[1, 2], array['x', 'y', 'z']), generate_series(1, 1)) as r(a, b, c) order by b
select * from rows from (generate_series(1, 3), upper('abc'), length('four')) with ordinality as r(a, b, c, n) order by n
select * from rows from (upper('abc'), lower('DEF'))
select * from rows from (generate_series(1, 3)) as r order by r
select generate_series, "upper" from rows from (generate_series(1, 2), upper('a')) order by 1
select r.* from rows from (generate_series(1, 2), generate_series(3, 4)) as r order by 1
select generate_series.* from rows from (generate_series(1, 2), upper('a')) order by 1
select t.id, r.* from tree t, rows from (generate_series(1, t.id), unnest(array[t.name, 'k'])) with ordinality as r(a, b, n) where t.id < 4 order by t.id, r.n
select t.id, r.* from tree t left join lateral rows from (generate_series(4, t.id), upper(t.name)) as r(a, b) on true order by t.id, r.a
select * from rows from (jsonb_each('{"a": 1, "b": 2}'), generate_series(1, 3)) as r(k, v, n) order by n
select * from rows from (generate_series(1, 2), generate_series(1, 2)) as r(a, b, c)
select count(*) from rows from (generate_series(1, 0), generate_series(1, 0)) as r(a, b)
select * from rows from (nope(1), generate_series(1, 2))
select rows from (select 1 as rows) q
-- Joins whose conditions come later.
select a.id, b.id, c.id from tree a join tree b join tree c on c.parent = b.id on b.parent = a.id order by 1, 2, 3
select a.id, b.id, c.id from tree a left join tree b join tree c on c.parent = b.id on b.parent = a.id order by 1, 2, 3
select a.id, b.id, c.id, d.id from tree a left join tree b right join tree c left join tree d using (name) on c.parent = b.id on b.parent = a.id order by 1, 2, 3, 4
select count(*) from tree a join tree b cross join tree c on a.id = c.id
select count(*) from tree a join tree b natural join tree c on a.id = c.id
