--: never reopened
-- Window functions with all frames.
create table w (id int primary key, g text, v int, x numeric, t timestamptz)
insert into w select n, (array['a', 'b'])[n % 2 + 1], (n * 7) % 5, n * 1.5, timestamptz '2024-01-01 00:00+00' + n * interval '1 day' from generate_series(1, 12) n
insert into w values (13, null, null, null, null), (14, 'a', null, 2, '2024-01-05')
@f = row_number() ;; rank() ;; dense_rank() ;; percent_rank() ;; cume_dist() ;; ntile(3)
select id, $f over (order by v, id) from w order by id
select id, $f over (partition by g order by v nulls first, id) from w order by id
select id, $f over () is not null from w order by id limit 3
@a = count(v) ;; sum(v) ;; avg(x) ;; min(v) ;; max(x) ;; first_value(id) ;; last_value(id) ;; nth_value(id, 2) ;; string_agg(g, '') ;; array_agg(v)
@e = rows unbounded preceding ;; rows between 1 preceding and 1 following ;; rows between unbounded preceding and unbounded following ;; rows between 2 following and 3 following ;; rows between current row and unbounded following ;; rows between 3 preceding and 1 preceding ;; range unbounded preceding ;; range between current row and unbounded following ;; range between unbounded preceding and unbounded following ;; groups unbounded preceding ;; groups between 1 preceding and 1 following ;; groups between current row and 1 following
select id, $a over (order by v, id $e) from w order by id
@b = sum(v) ;; count(*) ;; min(id)
@r = range between 1 preceding and 1 following ;; range between 2 preceding and current row ;; range between 1 following and 3 following ;; range between unbounded preceding and 1 preceding ;; groups between 1 preceding and current row ;; groups between 1 following and unbounded following
select id, $b over (order by v $r) from w order by id
select id, $b over (partition by g order by v desc $r) from w order by id
@y = exclude current row ;; exclude group ;; exclude ties ;; exclude no others
select id, $b over (order by v, id rows between 2 preceding and 2 following $y) from w order by id
select id, $b over (order by v range between 1 preceding and 1 following $y) from w order by id
select id, $b over (order by v groups between 1 preceding and 1 following $y) from w order by id
select id, first_value(id) over (order by v, id rows between 2 preceding and 2 following $y), last_value(id) over (order by v, id rows between 2 preceding and 2 following $y), nth_value(id, 2) over (order by v, id rows between 2 preceding and 2 following $y) from w order by id
select id, sum(v) over (order by t range between interval '2 days' preceding and current row), count(*) over (order by t range between interval '1 day' preceding and interval '1 day' following) from w order by id
select id, sum(v) over (order by x range between 1.5 preceding and 3 following) from w order by id
select id, lag(v) over (order by id), lead(v) over (order by id), lag(v, 2) over (order by id), lead(v, 2, -1) over (order by id), lag(v, 0) over (order by id), lag(v, -1, 99) over (order by id) from w order by id
select id, lag(x) over (partition by g order by id), lead(g, 1, 'none') over (partition by g order by id), first_value(x) over (partition by g order by id), nth_value(v, 3) over (partition by g order by id) from w order by id
select id, ntile(4) over (order by id), ntile(100) over (order by id), ntile(1) over (order by id) from w order by id
select ntile(0) over (order by id) from w
select nth_value(v, 0) over (order by id) from w
select id, sum(v) over s, avg(v) over s, count(*) over (s rows 1 preceding) from w window s as (partition by g order by id) order by id
select id, sum(sum(v)) over (order by id) from w group by id order by id
select g, sum(count(*)) over (), rank() over (order by count(*) desc) from w group by g order by g nulls last
select id from (select id, row_number() over (partition by g order by v desc nulls last, id) as n from w) q where n = 1 order by id
select distinct g, count(*) over (partition by g) from w order by g nulls last
select id, v - lag(v) over (order by id) as d, round(100.0 * v / nullif(sum(v) over (), 0), 2) from w order by id
select id, sum(v) filter (where v > 1) over (order by id), count(*) filter (where g = 'a') over () from w order by id
select id, bool_and(v > 0) over (order by id rows 1 preceding), bit_or(v) over (order by id), stddev(v) over (order by id rows between 2 preceding and current row) is null from w order by id
select id, array_agg(id) over (order by id rows between 1 preceding and current row) from w order by id limit 4
select id, json_agg(v) over (order by id rows 1 preceding)::text from w order by id limit 3
select id, count(distinct v) over () from w
select sum(v) over (order by id) from w where sum(v) over () > 1
select row_number() from w
select row_number() over (order by row_number() over ()) from w
select sum(v) over (rows between 1 following and 1 preceding) from w
select sum(v) over (rows between unbounded following and current row) from w
select sum(v) over (range between 1 preceding and current row) from w
select sum(v) over (order by g range between 1 preceding and current row) from w
select sum(v) over (order by id rows -1 preceding) from w
select sum(v) over (groups 1 preceding) from w
select sum(v) over nope from w
select sum(v) over (s) from w window s as (order by id), s as (order by g)
select id, percent_rank() over (order by v), cume_dist() over (order by v) from w where v is not null order by id
select id, lag(v) ignore nulls over (order by id) from w
select upper(g) over () from w
select id, rank() over (order by v desc nulls last), dense_rank() over (order by g nulls first, v) from w order by id
select max(s) from (select sum(v) over (order by id) as s from w) q
select id, sum(v) over (partition by g order by id), sum(v) over (order by id desc), sum(v) over (partition by v % 2) from w order by id
select x, sum(x) over (order by x), avg(x) over (order by x rows 2 preceding) from w where x is not null order by x, id limit 6
with q as (select id, lead(id) over (order by id) as n from w) select count(*) from q where n - id = 1
