--: never reopened
-- Frames: ranges of every type that has them, and what they leave out.
create table f (id int primary key, i2 smallint, i4 int, i8 bigint, n numeric, f4 real, f8 double precision, d date, ts timestamp, tz timestamptz, tm time, iv interval, x int)
insert into f select g, g % 4, g % 5, 9223372036854775800 + g % 7, g % 5 * 0.5, g % 4 * 1.5, g % 6 / 2.0, date '2024-02-27' + g % 5, timestamp '2024-01-30 12:00' + g % 6 * interval '1 month', timestamptz '2024-03-30 12:00+00' + g % 4 * interval '1 day', time '22:00' + g % 4 * interval '30 minutes', g % 4 * interval '12 hours', g from generate_series(1, 10) g
insert into f values (11, null, null, null, null, null, null, null, null, null, null, null, 11), (12, null, null, null, null, null, null, null, null, null, null, null, 12)
@k = i2 ;; i4 ;; i8 ;; n ;; f4 ;; f8
@r = range between 1 preceding and 1 following ;; range between 2 preceding and 1 preceding ;; range between 1 following and 2 following ;; range between unbounded preceding and 1 following ;; range 1 preceding exclude ties ;; range between current row and 2 following exclude group ;; range between 1 preceding and unbounded following exclude current row
select id, sum(x) over (order by $k $r), count(*) over (order by $k desc $r) from f order by id
select id, sum(x) over (order by $k nulls first range between 1 preceding and 1 following), sum(x) over (order by $k desc nulls last range between 1 preceding and 1 following) from f order by id
@t = d ;; ts ;; tz ;; tm ;; iv
@s = range between '1 day' preceding and '1 day' following ;; range between interval '1 month' preceding and interval '12 hours' preceding ;; range between '30 minutes' following and '1 day 30 minutes' following ;; range between unbounded preceding and '1 hour' following exclude ties ;; range '12 hours' preceding exclude current row
select id, sum(x) over (order by $t $s), first_value(x) over (order by $t desc, 1 groups current row) is null from f order by id
select id, count(*) over (order by $t desc $s) from f order by id
select id, sum(x) over (partition by x % 2 order by $t $s) from f order by id
@e = rows between unbounded preceding and unbounded following ;; rows between 1 preceding and 2 following ;; rows between 3 preceding and 2 preceding ;; rows between 2 following and unbounded following ;; groups between unbounded preceding and current row ;; groups between 1 preceding and 1 following ;; groups between 2 preceding and 1 preceding ;; groups between 1 following and 2 following ;; groups between current row and unbounded following ;; range between unbounded preceding and current row ;; range between unbounded preceding and unbounded following ;; range between current row and unbounded following ;; rows current row ;; groups current row
@o = exclude current row ;; exclude group ;; exclude ties ;; exclude no others
select id, sum(x) over w, count(x) over w, min(x) over w, max(x) over w from f window w as (order by i4 desc nulls last, id % 2 $e $o) order by id
@v = array_agg(x) ;; string_agg(x::text, ',') ;; first_value(x) ;; last_value(x) ;; nth_value(x, 2) ;; avg(n) ;; sum(i8) ;; bool_and(x > 3) ;; jsonb_agg(x) ;; stddev_pop(x) ;; count(*) filter (where x % 3 = 0) ;; sum(x) filter (where x > 4) ;; max(d) ;; min(iv) ;; array_agg(n)
select id, $v over (order by id rows between 2 preceding and 2 following $o) from f order by id
select id, $v over (partition by x % 2 order by id groups between 1 preceding and 1 following $o) from f order by id
@p = row_number() ;; rank() ;; dense_rank() ;; lag(x) ;; lead(x, 2) ;; ntile(3) ;; cume_dist()
select id, $p over (order by i4, id rows between 1 preceding and 1 following exclude current row) from f order by id
select id, sum(x) over (rows between 1 preceding and 1 following exclude group) from f where false
select count(*) over (rows between current row and unbounded following exclude ties) as n from f order by n
select sum(x) over (range between unbounded preceding and unbounded following exclude group) as n from f
select id, sum(x) over (order by id rows between 1 + 1 preceding and current row) from f order by id
select id, sum(x) over (order by id rows between length('ab') preceding and abs(-1) following) from f order by id
select id, sum(x) over (order by i4 range between (1 + 0.5)::int preceding and current row exclude ties), id from f order by id
select id, nth_value(x, id) over (order by id rows between unbounded preceding and unbounded following exclude ties) from f order by id
select id, sum(sum(x)) over (order by id rows between 1 preceding and 1 following exclude current row) from f group by id order by id
select id, sum(x) over w, sum(x) over (w rows 2 preceding exclude current row) from f window w as (partition by x % 3 order by id) order by id
-- What is refused.
select sum(x) over (order by id rows between x preceding and current row) from f
select sum(x) over (order by id range between x preceding and current row) from f
select sum(x) over (order by id groups between x preceding and current row exclude ties) from f
select sum(x) over (order by id rows -1 preceding exclude ties) from f
select sum(x) over (order by id rows between 1 preceding and -1 following) from f
select sum(x) over (order by id groups -1 preceding) from f
select sum(x) over (order by id rows null::int preceding) from f
select sum(x) over (order by id rows between 1 preceding and null::int following exclude group) from f
select sum(x) over (order by id range -1 preceding) from f
select sum(x) over (order by n range between -0.5 preceding and current row) from f
select sum(x) over (order by d range between '-1 day' preceding and current row) from f
select sum(x) over (order by tm range between '-1 hour' preceding and current row exclude ties) from f
select sum(x) over (order by i4 range 1.5 preceding) from f
select sum(x) over (order by d range 1 preceding) from f
select sum(x) over (order by x::text range 1 preceding) from f
select sum(x) over (order by x = 1 range 1 preceding) from f
select sum(x) over (order by id, x range 1 preceding exclude ties) from f
select sum(x) over (range 1 preceding exclude ties) from f
select sum(x) over (groups 1 preceding exclude ties) from f
select sum(x) over (order by id rows 1.5 preceding) from f
select sum(x) over (order by id exclude ties) from f
select sum(x) over (order by id rows between unbounded following and current row exclude ties) from f
select nth_value(x, 0) over (order by id rows 1 preceding exclude ties) from f
-- Keys of all types, without a frame.
@q = i2 ;; i8 ;; n ;; d ;; tz ;; tm ;; iv ;; x = 3 ;; x::text ;; array[x % 3] ;; row(x % 3, 1) ;; jsonb_build_array(x % 3) ;; '10.0.0.0'::inet + x % 3
select id, sum(x) over (order by $q), rank() over (order by $q desc) from f order by id
-- Lists of rows.
select array[row(1, 2)] || array[row(2, 3)], array_append(array[row(1, 'a'::text)], row(2, 'b'::text))
select array_agg(row(id, x) order by id) from f where id < 4
select (array_agg(row(id, x) order by id))[2] from f where id < 4
select array(select row(id, x) from f where id < 4 order by id)
select id, lag(row(id, x)) over (order by id) from f where id < 4 order by id
select v from (select array[row(x % 3, id)] as v from f where id < 7) q order by v desc
