-- Arrays of several dimensions, and of subscripts that do not begin with 1.
create table m (id int not null, t timestamptz not null, a int[], b text[][], n numeric(10,2)[], d date[])
insert into m values (1, '2026-01-01', '{{1,2},{3,4}}', '{{a},{NULL}}', '{{1.5,2}}', '{{2026-01-01},{infinity}}'), (2, '2026-01-02', '{1,2,3}', '[0:1]={x,y}', '{3}', null)
insert into m values (3, '2026-02-01', array[[[1]], [[null]]], '{}', '[2:2][3:4]={{7,8}}', '{}'), (4, '2026-02-02', null, '{{"",","},{"\"","{}"}}', null, '[-1:0]={2026-01-02,NULL}')
insert into m select 5, '2026-03-01', array_agg(a), array[b, b], n || n, d from (select array[k, null, 3] a, 'b'::text[] b, '{1,2}'::numeric[] n, null::date[] d from generate_series(1, 3) k) q group by b, n, d
insert into m select 5, '2026-03-01', array_agg(a), array[array['b', 'c'], array['d', null]], '{{1,2}}'::numeric[] || '{3,4}', null from (select array[k, null, 3] a from generate_series(1, 3) k order by k) q
select id, a, b, n, d from m order by id
select id, a[1], a[1][2], a[2][1][1], b[0], b[1][1], n[2][3], d[-1] from m order by id
select id, a[1:1], a[2:][1:1], b[:0], b[1:2][1], n[2:2][4:4] from m order by id
select id, array_dims(a), array_dims(b), array_ndims(n), array_length(a, 1), array_length(a, 2), array_lower(b, 1), array_upper(n, 2), cardinality(a) from m order by id
select id from m where a = '{{1,2},{3,4}}'
select id from m where b = '[0:1]={x,y}'
select id from m where b = '{x,y}'
select id from m where a > '{1,2,3}' order by id
select id, unnest(a) from m order by 1, 2
select id, x, o from m, unnest(b) with ordinality u(x, o) order by 1, 3
select id, generate_subscripts(a, 1) from m order by 1, 2
select id, 3 = any(a), 9 > all(a), a @> array[2, 3], a && array[4] from m order by id
select id, a || array[9, 9], array_replace(a, 3, 30), a::bigint[], a::text[], n::text from m where id = 1
update m set a = a || array[5, 6] where id = 1
update m set b = array_append(b, 'z') where id = 2
select id, a, b from m where id < 3 order by id
delete from m where a = '{{1,2},{3,4},{5,6}}'
select a, count(*) from m group by a order by count(*), a::text
select distinct n from m where id in (3, 5) order by 1
select to_json(a), to_jsonb(b), array_to_json(n), row_to_json(m) from m order by id
select array_to_string(a, ',', '*'), array_to_string(b, '/') from m order by id
select array_agg(a) from m where id = 2
select array_agg(a order by id) from m where id < 3
select array_agg(b) from m where id = 3
select array(select array[id, id * 2] from m order by id)
select max(a), min(a) from m where id in (2, 5)
alter table m add column e int[] default '{{1,2},{3,4}}'
select id, e, e[2][2] from m order by id
@a = '{{1,2},{3,4}}' ;; '[0:1]={5,6}' ;; '{{{1},{NULL}}}' ;; '{}'
select $a::int[], $a::text[], ($a::int[])[1], ($a::int[])[1][1], ($a::int[])[0], ($a::int[])[1:1], ($a::int[])[:][:1]
select array_dims($a::int[]), array_ndims($a::int[]), array_length($a::int[], 1), array_length($a::int[], 2), array_lower($a::int[], 1), array_upper($a::int[], 1), cardinality($a::int[])
select $a::int[] || '{7,8}', '{7,8}' || $a::int[], $a::int[] || '{{7,8}}'
select array_append($a::int[], 9), array_prepend(9, $a::int[]), $a::int[] || 9
select array_remove($a::int[], 1)
select array_position($a::int[], 1), array_positions($a::int[], 5)
select trim_array($a::int[], 1)
select $a::int[] = '{1,2,3,4}', $a::int[] < '{{1,2},{3,5}}', $a::int[] >= '[0:1]={5,6}', $a::int[] <> '{5,6}'
select to_json($a::int[]), to_jsonb($a::int[]), array_to_json($a::int[]), array_to_string($a::int[], '|', 'N'), quote_nullable($a::int[])
select array[$a::int[], $a::int[]], array[[$a::int[]]], array_fill($a::text, array[1, 2])
select width_bucket(3, $a::int[])
@bad = '{{1,2},{3}}' ;; '{1,{2}}' ;; '{{1},2}' ;; '{{1},{{2}}}' ;; '{{},{}}' ;; '[1:3]={1,2}' ;; '[1:2]{1,2}' ;; '[2:1]={}' ;; '[]={1}' ;; '[1:]={1}' ;; '[a]={1}' ;; '[1:1]=1' ;; '{{{{{{{1}}}}}}}' ;; '[1][1][1][1][1][1][1]={1}' ;; '{1' ;; '{1}}' ;; '{1}}x' ;; '{"1"2}' ;; '{1"2"}' ;; '{,1}' ;; '{1,}' ;; '}' ;; '[2147483647:2147483647]={1}'
select $bad::int[]
select array[[1, 2], [3, 4]], array[[1, 2], [3.5, 4]], array[array[1, 2], array[3, 4]], array[['a', 'b']], array[[]]::int[], array[[], []]::text[]
select array[[1, 2], [3]]
select array[[1, 2], null::int[]]
select array[array[]::int[], array[]::int[]], array[null::int[]]
select array[[1, 2], 3]
select array[1, [2]]
select array[['1', '2']]::int[], array[[1, 2]]::text[], array[['2026-01-01']]::date[]
select array_cat(array[1], array[[[1]]])
select array[[1, 2]] || array[3]
select array[[1, 2]] || array[[3]]
select array_fill(0, array[2, 2]), array_fill(0, array[2, 2], array[0, -1]), array_fill(0, array[0]), array_fill(null::int, '{}')
select array_fill(0, array[2, 2], array[1])
select array_fill(0, array[[2]])
select array_fill(0, array[2, null])
select array_fill(0, null)
select array_agg(x) from (values (array[1, 2]), (null)) v(x)
select array_agg(x) from (values (array[1, 2]), (array[1])) v(x)
select array_agg(x) from (values ('{{1},{2}}'::int[]), ('{{3},{4}}')) v(x)
select array(select null::int[])
select ('{1,2}'::int[])[1][1][1][1][1][1][1]
select ('{{1,2},{3,4}}'::int[])[null][1], ('{{1,2},{3,4}}'::int[])[1][null], ('{1,2}'::int[])[null:2], ('{{1,2}}'::int[])[3:4]
select ('{{1,2,3},{4,5,6},{7,8,9}}'::int[])[2:3][2:3], ('{{1,2,3},{4,5,6}}'::int[])[2], ('{{1,2,3},{4,5,6}}'::int[])[1:2][2], ('{{1,2,3},{4,5,6}}'::int[])[:][2:], ('{{1,2,3},{4,5,6}}'::int[])[0:9][1:1]
select pg_typeof(array[[1, 2]]), pg_typeof('{{1}}'::text[][]), pg_typeof(('{{1}}'::int[][])[1]), pg_typeof(('{{1}}'::int[])[1:1])
select x from (values ('{{1,2}}'::int[]), ('{1,2}'), ('{{1},{2}}'), ('{2}')) v(x) order by x
select x, count(*) from (values ('{{1,2}}'::int[]), ('{{1,2}}'), ('{1,2}')) v(x) group by x order by x
select '{{1,2}}'::int[] is distinct from '{1,2}'::int[], '{{1,2}}'::int[] in ('{1,2}', '{{1,2}}'), '{{1,2}}'::int[] between '{1}' and '{2}'
select row(array[[1, 2]]), row('[0:0]={1}'::int[])::text, to_json(array[array[row(1, 2)]])
select '{{"(1,2)"},{"(3,4)"}}'::text[], '{{t,f}}'::bool[], '{{1.5},{NaN}}'::float8[], '{{"1 day"},{NULL}}'::interval[], '{{"{\"a\": 1}"}}'::jsonb[]
select array_to_json('{{1,2},{3,4}}'::int[]), array_to_json('[0:1]={1,2}'::int[]), json_build_object('k', '{{1}}'::int[]), jsonb_build_array('{{1},{2}}'::int[])
select unnest('{{1,2},{3,4}}'::int[]), unnest('[5:6]={a,b}'::text[])
select * from unnest('{{1,2},{3,4}}'::int[], '{{a}}'::text[]) u(x, y)
select string_to_array('1,2', ',') || '{{3,4}}'::text[], regexp_split_to_array('a b', ' ') || array[['c', 'd']]
select '1 2 3'::int2vector, ('1 2 3'::int2vector)[0], '7 8'::oidvector, array_lower('1 2'::int2vector, 1), array_upper('1 2'::int2vector, 1)
