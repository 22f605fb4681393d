--: without tables
-- json and jsonb: input, operators, functions, paths, rows made of documents.
@t = json ;; jsonb
@j = '{"a": 1, "b": {"c": [1, 2, {"d": null}]}, "e": "x\u00e9y", "f": 1.50, "g": true}' ;; '[1, "two", null, 3.0, [4], {"k": "v"}]' ;; '"str"' ;; '12.30' ;; 'null' ;; '{}' ;; '[]'
select $j::$t, $t_typeof($j::$t), $j::$t::text
select $j::$t -> 'a', $j::$t -> 'b', $j::$t ->> 'e', $j::$t -> 1, $j::$t ->> -1, $j::$t -> 'zz', $j::$t -> 99
select $j::$t #> '{b,c,2}', $j::$t #>> '{b,c,0}', $j::$t #> '{}', $j::$t #>> '{4,0}', $j::$t #> '{b,-1}', $t_extract_path($j::$t, 'b', 'c'), $t_extract_path_text($j::$t, 'e')
select $t_array_length($j::$t)
select * from $t_each($j::$t)
select * from $t_each_text($j::$t)
select $t_object_keys($j::$t)
select $t_array_elements($j::$t)
select $t_array_elements_text($j::$t)
select $t_strip_nulls($j::$t)
select jsonb_pretty($j::jsonb) = jsonb_pretty($j::jsonb), length(jsonb_pretty($j::jsonb))
select $j::jsonb ? 'a', $j::jsonb ?| array['a', 'two'], $j::jsonb ?& array['a', 'b'], $j::jsonb @> '{"a": 1}', $j::jsonb <@ '{"a": 1}', $j::jsonb @> '[1]', $j::jsonb = $j::jsonb, $j::jsonb < '{"z": 1}'
select $j::jsonb || '{"z": 9}'::jsonb
select $j::jsonb - 'a'
select $j::jsonb - 0
select $j::jsonb #- '{b,c,0}'
select jsonb_set($j::jsonb, '{a}', '"new"')
select jsonb_insert($j::jsonb, '{b,c,1}', '"ins"')
@p = $ ;; $.a ;; $.b.c[*] ;; $.b.c[0] ;; $[*] ;; $[last] ;; $.* ;; $.b.c[*] ? (@ > 1) ;; $[*].k ;; $.a + 1 ;; $.**.d ;; strict $.zz ;; $.e.type() ;; $.size() ;; $[1 to 3] ;; -$.a ;; $.a ? (@ == 1 || @ == 2) ;; $.f.floor() ;; $.e ? (@ starts with "x") ;; $.e ? (@ like_regex "^X" flag "i")
select jsonb_path_query($j, '$p')
select jsonb_path_query_array($j, '$p', '{}', true), jsonb_path_query_first($j, '$p', '{}', true), jsonb_path_exists($j, '$p', '{}', true), $j::jsonb @? '$p'
select '{"a": }'::$t
select '{a: 1}'::$t
select '[1,]'::$t
select ''::$t
select 'tru'::$t
select '"\u12"'::$t
select '01'::$t
select '[1'::$t
select '{"a":1}}'::$t
select '"\ud83d\ude00"'::jsonb, '"\u00e9"'::jsonb, '"a\/b\n"'::jsonb, '{"b":1,"a":2,"b":3}'::jsonb, '{"bb":1,"a":2}'::jsonb, '1e5'::jsonb, '1.0e-3'::jsonb, '-0'::jsonb, '100000000000000000000000000000'::jsonb
select '"\u0000"'::jsonb
select '"\ud83d"'::jsonb
select ' { "a" :  1 } '::json, ' { "a" :  1 } '::jsonb, '{"a":1}'::json::jsonb, '{"a":1}'::jsonb::json
select to_json(1), to_json('a"b'::text), to_json(null::int), to_json(true), to_json(1.50), to_json(array[1, 2]), to_json(date '2024-02-29'), to_json(timestamp '2024-02-29 10:00:00.5'), to_json(timestamptz '2024-02-29 10:00+00'), to_json(interval '1 day'), to_json('{"a":1}'::jsonb)
select to_jsonb(1), to_jsonb('a'::text), to_jsonb(1.50), to_jsonb(array['a', null]), to_jsonb(row(1, 'x')), to_jsonb('NaN'::float8), to_jsonb(timestamptz '2024-02-29 10:00+00'), to_jsonb('\x01'::bytea), to_jsonb('a'::name)
select row_to_json(row(1, 'a', null)), row_to_json(row(1, 2), true) is not null, json_build_array(1, 'a', null, array[1], '{"a":1}'::json), json_build_object('a', 1, 'b', null, 'c', json_build_array()), json_object('{a,1,b,2}'), json_object('{a,b}', '{1,2}'), jsonb_object(array['a', 'b'], array['1', null])
select json_build_object('a')
select json_build_object(null, 1)
select jsonb_build_object('a', 1, 'a', 2), jsonb_build_array(), json_build_object(), jsonb_build_object(1, 2, true, 3)
select json_object('{a}')
select json_object('{a,b}', '{1}')
select json_agg(x), jsonb_agg(x order by x desc), json_object_agg(x, x * 2), jsonb_object_agg('k' || x, x) from generate_series(1, 3) x
select replace(json_agg(v)::text, chr(10), ' '), jsonb_agg(v) from (values (1, 'a'), (2, null)) v(n, s)
select json_agg(x) from generate_series(1, 0) x
select json_object_agg(null, 1)
select array_to_json(array[1, 2]), array_to_json(array['a', null])
select * from json_to_record('{"a": 1, "b": "x", "c": [1, 2]}') as t(a int, b text, c int[])
select * from jsonb_to_record('{"a": 1, "b": "x", "d": {"z": 1}}') as t(a int, b text, d jsonb, e date)
select * from json_to_recordset('[{"a": 1, "b": "x"}, {"a": 2}]') as t(a int, b text)
select * from jsonb_to_recordset('[{"a": 1, "b": "x"}, {"b": null}]') as t(a int, b text) order by a
select * from jsonb_to_record('{"a": "x"}') as t(a int)
select * from jsonb_to_record('[1]') as t(a int)
select jsonb_set('{"a": {"b": 1}}', '{a,b}', '2'), jsonb_set('{"a": 1}', '{b}', '2', false), jsonb_set('[1, 2]', '{-1}', '9'), jsonb_set('[1, 2]', '{5}', '9'), jsonb_set('{"a": 1}', '{a,b}', '1')
select jsonb_set('[1]', '{x}', '1')
select jsonb_set_lax('{"a": 1}', '{a}', null), jsonb_set_lax('{"a": 1}', '{a}', null, true, 'delete_key'), jsonb_set_lax('{"a": 1}', '{a}', null, true, 'return_target')
select jsonb_set_lax('{"a": 1}', '{a}', null, true, 'raise_exception')
select jsonb_insert('{"a": [0, 1]}', '{a,1}', '"n"'), jsonb_insert('{"a": [0, 1]}', '{a,1}', '"n"', true), jsonb_insert('{"a": 1}', '{b}', '2')
select jsonb_insert('{"a": 1}', '{a}', '2')
select '{"a": 1, "b": 2}'::jsonb - array['a', 'b'], '[1, 2, 3]'::jsonb - 1, '[1, 2]'::jsonb - 5, '["a", "b"]'::jsonb - 'a'
select '{"a": 1}'::jsonb - 1
select '[1]'::jsonb || '2', '{"a": 1}'::jsonb || '{"a": 2}', '[1]'::jsonb || '[2, 3]', '1'::jsonb || '2', '{"a":1}'::jsonb || '[1]'
select jsonb '{"a": 1}' #- '{a}', jsonb '[1, [2, 3]]' #- '{1,0}', jsonb '{"a": 1}' #- '{}'
select ('{"a": 1}'::jsonb)['a'], ('[1, 2, 3]'::jsonb)[1], ('{"a": {"b": 2}}'::jsonb)['a']['b'], ('{"a": 1}'::jsonb)['z']
select '5'::jsonb::int, 'true'::jsonb::bool, '1.5'::jsonb::numeric, '1.5'::jsonb::float8, '7'::jsonb::int8
select '"a"'::jsonb::int
select 'null'::jsonb::int
select jsonb '1' < jsonb '2', jsonb '"a"' < jsonb '1', jsonb '[1]' < jsonb '{}', jsonb 'null' < jsonb 'false', jsonb '[1, 2]' < jsonb '[3]', jsonb '{"a": 1}' < jsonb '{"b": 1}', jsonb '1' = jsonb '1.0'
select x from unnest(array['null', '1', '"a"', 'true', '[1]', '{"a":1}', '[]', '{}', '"B"', '-1']::jsonb[]) x order by x
select x, count(*) from unnest(array['1', '1.0', '"a"', '"a"', '{"a":1,"b":2}', '{"b":2,"a":1}']::jsonb[]) x group by x order by x
select jsonb_path_query('{"a": [1, 2, 3]}', '$.a[*] ? (@ >= $min)', '{"min": 2}')
select jsonb_path_exists('{"a": 1}', '$.a ? (@ > 5)'), jsonb_path_match('{"a": 1}', '$.a == 1'), '{"a": 1}'::jsonb @@ '$.a == 1', '{"a": [1, 2]}'::jsonb @? '$.a[*] ? (@ > 1)', jsonb_path_match('{"a": 1}', 'exists($.a)')
select jsonb_path_match('{"a": 1}', '$.a')
select '$.a['::jsonpath
select '$.a[*] ? (@.b > 1).c'::jsonpath, 'strict $.a'::jsonpath, '$ . "x y"'::jsonpath, '$.a + 1 * 2'::jsonpath, '$[0, 2 to last]'::jsonpath
select jsonb_path_query('[1, "a", true, null, {"b": [2]}]', '$[*].type()')
select jsonb_path_query('{"a": "12.5"}', '$.a.double()'), jsonb_path_query('-3.7', '$.abs()'), jsonb_path_query('3.2', '$.ceiling()'), jsonb_path_query('[1, 2]', '$.size()'), jsonb_path_query('7', '$ % 4'), jsonb_path_query('7', '$ / 2')
select jsonb_path_query('1', '$ / 0')
select jsonb_path_query('"a"', '$ + 1')
select jsonb_path_query('[{"a": 1}, {"a": 2}, {"b": 3}]', '$[*] ? (exists(@.a)).a'), jsonb_path_query_array('[1, 2, 3, 4]', '$[*] ? (@ % 2 == 0)')
select jsonb_path_query('{"a": {"b": 1}}', '$.a.b'), jsonb_path_query('[[1, 2], [3]]', '$[*][*]'), jsonb_path_query('{"a": [1]}', 'lax $.a.b') is null
select jsonb_array_length('{"a": 1}')
select json_array_length('1')
select jsonb_each('[1]')
select json_object_keys('[1]')
select jsonb_array_elements('{"a": 1}')
select json_typeof('1'), jsonb_typeof('1'), json_typeof(null), jsonb_typeof('"1"')
select json_strip_nulls('{"a": null, "b": [null, {"c": null}]}'), jsonb_strip_nulls('{"a": null, "b": [null, {"c": null}]}')
select '{"a": 1}'::json = '{"a": 1}'::json
select pg_typeof('{"a": 1}'::jsonb -> 'a'), pg_typeof('{"a": 1}'::jsonb ->> 'a'), pg_typeof(to_json(1)), pg_typeof(jsonb_path_query('1', '$'))
select * from json_each('{"a": 1, "b": "x"}') with ordinality order by 3
select key, value from jsonb_each_text('{"a": 1, "b": null}') order by key
select * from jsonb_array_elements('[1, [2], "x"]') with ordinality as t(v, n) order by n
select replace(jsonb_pretty('{"a": [1, {"b": 2}]}'), chr(10), '/'), replace(jsonb_pretty('[[], {}]'), chr(10), '/'), jsonb_pretty('1')
select json '{"a": 1, "a": 2}' -> 'a', jsonb '{"a": 1, "a": 2}' -> 'a', json '[1, 2, 3]' -> -1, json '{"1": "x"}' -> '1', json '[1]' -> '0'
select to_jsonb(x) from (select 1 as a, 'b' as b) x
select row_to_json(x), x::text from (select 1 as a, null::text as b, array[1, 2] as c) x
select jsonb_object_agg(k, v) from (values ('a', 1), ('b', 2), ('a', 3)) t(k, v)
select json_populate_record(null::pg_catalog.pg_am, '{"oid": 1}') is null
