-- Aggregates over a hypertable and a plain table: plain, filtered, ordered, distinct, ordered-set, hypothetical-set.
create table m (t timestamptz not null, k text, i int, b bigint, f float8, n numeric, d date, v interval, o bool, s smallint)
insert into m select timestamptz '2024-01-01 00:00+00' + g * interval '1 hour', (array['a', 'b', 'c'])[g % 3 + 1], case when g % 7 = 0 then null else g - 10 end, g * 1000000000::bigint, g / 4.0, round(g * 1.37, 2), date '2024-01-01' + g % 5, g * interval '1 minute', g % 2 = 0, g % 6 from generate_series(1, 30) g
@c = i ;; b ;; f ;; n ;; s
select count($c), sum($c), avg($c), min($c), max($c) from m
select k, count($c), sum($c), avg($c), min($c), max($c) from m group by k order by k
select sum(distinct $c), count(distinct $c), avg(distinct $c) from m
select round(stddev($c)::numeric, 8), round(stddev_pop($c)::numeric, 8), round(variance($c)::numeric, 6), round(var_pop($c)::numeric, 6), round(stddev_samp($c)::numeric, 8), round(var_samp($c)::numeric, 6) from m
select sum($c) filter (where k = 'a'), count(*) filter (where $c > 5), avg($c) filter (where false), sum($c) filter (where o) from m
select percentile_cont(0.5) within group (order by $c), percentile_disc(0.5) within group (order by $c), percentile_cont(array[0, 0.25, 1]) within group (order by $c), percentile_disc(array[0, 0.25, 1]) within group (order by $c), mode() within group (order by $c) from m
select k, percentile_cont(0.25) within group (order by $c desc), mode() within group (order by $c) from m group by k order by k
select array_agg($c order by $c desc nulls last), string_agg($c::text, ',' order by $c) from m where k = 'a'
select min(k), max(k), min(d), max(d), min(v), max(v), min(t), max(t) from m
select sum(v), avg(v), count(v), bool_and(o), bool_or(o), every(o) from m
select bit_and(s), bit_or(s), bit_xor(s), bit_and(i), bit_or(b), bit_xor(i) from m
select string_agg(k, ',' order by t), string_agg(distinct k, '-' order by k), string_agg(k, null order by t) from m where i < 0
select array_agg(k order by t), array_agg(distinct k), array_agg(i) filter (where i is null) from m where i < -5 or i is null
select json_agg(i order by t), jsonb_agg(distinct k), json_object_agg(i, k order by t) filter (where i > 15) from m where i > 10
select round(corr(f, n)::numeric, 6), round(covar_pop(f, n)::numeric, 6), round(covar_samp(f, n)::numeric, 6), regr_count(f, n), round(regr_avgx(f, n)::numeric, 6), round(regr_avgy(f, n)::numeric, 6), round(regr_slope(f, n)::numeric, 6), round(regr_intercept(f, n)::numeric, 6), round(regr_r2(f, n)::numeric, 6), round(regr_sxx(f, n)::numeric, 4), round(regr_sxy(f, n)::numeric, 4), round(regr_syy(f, n)::numeric, 4) from m
select rank(5) within group (order by i), dense_rank(5) within group (order by i), round(percent_rank(5) within group (order by i)::numeric, 6), round(cume_dist(5) within group (order by i)::numeric, 6) from m
select k, rank(5) within group (order by i desc), dense_rank(7.5) within group (order by f) from m group by k order by k
select rank(3, 'a') within group (order by s, k) from m
select rank('x') within group (order by i) from m
select percentile_cont(1.5) within group (order by i) from m
select percentile_cont('a') within group (order by i) from m
select percentile_cont(0.5) within group (order by k) from m
select mode() within group (order by k), percentile_disc(0.5) within group (order by k), percentile_disc(0.5) within group (order by d), percentile_cont(0.5) within group (order by v) from m
select count(*), count(1), count(null), count(distinct k), count(distinct (k, o)), count(distinct i % 3) from m
select sum(i) over (), count(*) from m group by i order by i limit 2
select sum(1), sum(null::int), avg(null::numeric), max(null::text), count(*) from m where false
select k, count(*) from m where false group by k
select count(*) from m where false having count(*) > 0
select k, sum(i) from m group by k having sum(i) > 40 order by k
select k, o, count(*), grouping(k), grouping(k, o) from m group by rollup (k, o) order by 1 nulls last, 2 nulls last
select k, o, count(*), grouping(k, o) from m group by cube (k, o) order by 1 nulls last, 2 nulls last, 4
select k, o, sum(i) from m group by grouping sets ((k), (o), ()) order by 1 nulls last, 2 nulls last
select k, o, s % 2 as p, count(*) from m group by k, rollup (o, p) order by 1, 2 nulls last, 3 nulls last
select k, o, count(*) from m group by grouping sets (k, rollup (k, o)) order by 1 nulls last, 2 nulls last, 3
select k, count(*) from m group by distinct rollup (k), rollup (k) order by 1 nulls last
select grouping(k) from m
select k, i from m group by k
select sum(sum(i)) from m
select sum(i) from m where sum(i) > 1
select sum(count(*)) over (), k from m group by k order by k
select k, rank() over (order by sum(i) desc), sum(i) from m group by k order by k
select date_trunc('day', t) as day, count(*), min(i), max(i) from m group by 1 order by 1
select date_trunc('day', t), k, count(*) from m group by date_trunc('day', t), k order by 1, 2 limit 4
select extract(hour from t)::int / 6 as q, sum(n) from m group by q order by q
select k || '!' as kk, length(k) from m group by kk, length(k) order by kk
select d, string_agg(i::text, ',' order by i desc nulls first) from m group by d order by d
select max(i) - min(i), (sum(n) / count(n))::numeric(10, 4), sum(n) / nullif(count(i), 0) from m
select sum(i)::text || 'x', coalesce(sum(i) filter (where i > 100), 0), case when count(*) > 5 then 'many' else 'few' end from m
select array_agg(x) from (select distinct k as x from m order by x) q
select max(x) from (select sum(i) as x from m group by k) q
select any_value(k) from m
select count(*) filter (where i > 3) over (partition by k) from m order by t limit 3
select sum(distinct i), sum(i order by i), string_agg(distinct i::text, ',' order by i::text desc) from m where k = 'b'
select string_agg(distinct k, ',' order by i) from m
select count(distinct *) from m
select sum(k) from m
select avg(o) from m
select max(o) from m
select sum(f) = sum(f), avg(f)::text, sum(f)::text, avg(n)::text, avg(i)::text, avg(b)::text from m
select sum('NaN'::float8), sum('Infinity'::numeric), avg('NaN'::numeric), max('NaN'::float8), min('NaN'::float8) from m
select bool_and(null::bool), bool_or(null::bool), bit_and(null::int), string_agg(null, ','), array_agg(null::int) from (values (1)) x(y)
select xmlagg(x) from (values ('a'::text)) v(x)
select jsonb_object_agg(k, i order by t) from m where i > 10
select (select max(i) from m), (select count(*) from m where k = 'a'), exists(select 1 from m where i > 100)
select k, (select count(*) from m z where z.k = m.k and z.i > 5) from m group by k order by k
select k, array(select z.i from m z where z.k = m.k and z.i > 12 order by z.i) from m group by k order by k
select range_agg(int4range(1, 2))
