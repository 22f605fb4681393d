--: without tables
-- Arrays: input, subscripts, operators, functions.
@a = array[1, 2, 3] ;; '{}'::int[] ;; '{1,NULL,3}'::int[] ;; array[4, 2, 2] ;; null::int[]
select $a, array_length($a, 1), array_upper($a, 1), array_lower($a, 1), array_ndims($a), array_dims($a), cardinality($a), array_length($a, 2)
select $a || 4, 0 || $a, $a || array[7, 8], array_append($a, 5), array_prepend(0, $a), array_cat($a, array[9])
select $a @> array[2], $a <@ array[1, 2, 3, 4], $a && array[3, 9], $a = array[1, 2, 3], $a < array[1, 3], $a <> '{}', $a >= array[1]
select array_position($a, 2), array_positions($a, 2), array_remove($a, 2), array_replace($a, 2, 20), array_position($a, null), array_remove($a, null), array_position($a, 2, 2)
select ($a)[1], ($a)[4], ($a)[0], ($a)[2:3], ($a)[:2], ($a)[2:], ($a)[3:1], ($a)[null]
select 2 = any($a), 2 <> all($a), 5 > all($a), 5 = some($a), array_to_string($a, ','), array_to_string($a, ',', 'N')
select $a::text, $a::text[], $a::int8[], $a::numeric[], $a::float8[], to_json($a), array_to_json($a)
select unnest($a) order by 1
select * from unnest($a) with ordinality order by 2
select generate_subscripts($a, 1) order by 1
select array_agg(x order by x desc) from unnest($a) x
select trim_array($a, 1)
select array_fill(7, array[3]), array_fill('x'::text, array[2]), array_fill(null::int, array[2])
select '{a,"b c","d\"e","f\\g",NULL,"NULL",""}'::text[], array['a', 'b c', 'd"e', 'f\g', null, 'NULL', '', 'x,y', '{z}', ' sp ']
select '{1, 2 ,3}'::int[], ' { 1 } '::int[], '{"1","2"}'::int[], '{t,f}'::bool[], '{1.50,2}'::numeric[], '{2024-02-29}'::date[], '{"2024-02-29 10:00"}'::timestamp[]
@bad = '{1,2' ;; '1,2}' ;; '{1,,2}' ;; '{"a}' ;; '{a b' ;; 'abc' ;; '{1}x' ;; '{1,x}'
select $bad::int[]
select array[1, 'x']
select array[1, 2.5, 3], pg_typeof(array[1, 2.5]), pg_typeof(array['a', 'b']), pg_typeof(array[1, null]), pg_typeof('{}'::int[]), pg_typeof(array[true])
select array[]
select array[]::int[], array[null]::text[], array[null, null]::int[]
select array[1, 2] = array[1, 2, null], array[1, null] = array[1, null], array[1, 2] < array[1, 2, 3], array[2] > array[1, 2, 3], array['a', 'b'] < array['b'], array[1.0, 2] = array[1, 2]
select array(select x from generate_series(1, 3) x order by x), array(select x from generate_series(1, 0) x), array(values (1), (2))
select (array[1, 2, 3])[2], (array['a', 'b'])[1] || 'x', ('{5,6,7}'::int[])[3], (string_to_array('a b c', ' '))[2]
select array_length(array[1, 2], null), array_upper(null::int[], 1), array_dims(null::int[])
select array_agg(distinct x) from unnest(array[3, 1, 3, 2]) x
select unnest(array[1, 2]), unnest(array['a', 'b', 'c'])
select * from unnest(array[1, 2], array['a', 'b', 'c']) as t(n, s) order by n
select * from unnest(array[1, 2], array['x', 'y']) with ordinality as t(n, s, o) order by o
select array[1, 2] || null, null || array[1, 2], array[1, 2] || '{3}', array['a'] || 'b'::text, 'a'::text || array['b'], array[1] || array[2.5]
select array[1] || 'x'
select array_cat(array[1], array['x'])
select trim_array(array[1, 2, 3], 4)
select trim_array(array[1, 2, 3], -1)
select array_position(array['a', 'b', 'a'], 'a', 2), array_positions(array['a', 'b', 'a'], 'a'), array_replace(array['a', null], null, 'z'), array_remove(array['a', null, 'a'], 'a')
select array_sample(array[1], 1)
select array_to_string(array['a', 'b'], ', '), array_to_string('{}'::text[], ','), array_to_string(array[1.5, 2.25], '/'), array_to_string(array[true, false], ' ')
select string_to_array('1,2,3', ',')::int[], string_to_array('', ','), string_to_array('a', ','), string_to_array('a,b', ',', 'a')
select array[1, 2, 3] @> array[]::int[], array[]::int[] <@ array[1], array[1] && array[]::int[], array[1, null] @> array[null]::int[], array[1.5] @> array[1.5, 1.5]
select array[1] @> array['a']
select 1 = any('{1,2}'), 'a' = any('{a,b}'), 1 = any(array[1.0]), null = any(array[1]), 1 = any(null::int[]), 1 = any('{}'::int[]), 1 = all('{}'::int[]), 2 = any(array[1, null])
select 1 = any(5)
select array_larger(array[1], array[2]), array_smaller(array[1], array[2])
select array[date '2024-02-29', null], array[interval '1 day', '2 hours'], array['\x01'::bytea], array[row(1, 'a'), row(2, 'b')]::text, array['{"a": 1}'::jsonb], array['10.0.0.1'::inet]
select max(a), min(a) from (values (array[1, 2]), (array[1, 3]), (array[1])) v(a)
select a, count(*) from (values (array[1, 2]), (array[1, 2]), (null)) v(a) group by a order by a
select width_bucket(5, array[1, 5, 10]), width_bucket(0, array[1, 5, 10])
select cardinality(array[]::int[]), array_ndims(array[]::int[]), array_lower(array[]::int[], 1)
select array[[1, 2], [3, 4]]
select '{{1,2},{3,4}}'::int[], array_ndims('{{1,2},{3,4}}'::int[])
