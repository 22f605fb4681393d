--: without tables
-- Functions and operators of text and bytea.
@s = 'abc' ;; '' ;; 'Hello World' ;; 'süß' ;; '  pad  '
select length($s), char_length($s), octet_length($s), bit_length($s)
select upper($s), lower($s), initcap($s), reverse($s)
select trim($s) || '|', ltrim($s) || '|', rtrim($s) || '|', btrim($s, ' a') || '|'
select left($s, 2), left($s, -2), right($s, 2), right($s, -2)
select lpad($s, 8, 'xy'), rpad($s, 8, 'xy'), lpad($s, 2), rpad($s, 2)
select repeat($s, 2), repeat($s, 0), repeat($s, -1)
select md5($s), sha224($s::bytea), sha256($s::bytea)
select sha384($s::bytea), sha512($s::bytea)
select ascii($s), quote_literal($s), quote_ident($s), quote_nullable($s)
select encode($s::bytea, 'hex'), encode($s::bytea, 'base64'), encode($s::bytea, 'escape')
select to_hex(length($s)), translate($s, 'abc', 'xy'), replace($s, 'b', 'zz')
select $s like 'a%', $s like '%c', $s ilike 'HELLO%', $s not like '_b_'
select position('b' in $s), strpos($s, 'o'), substring($s from 2), substring($s from 2 for 2), substr($s, 0, 3)
select $s || 1, 1.5 || $s, $s || null, concat($s, null, 2), concat_ws('-', $s, null, 3, true)
select overlay($s placing 'XX' from 2), overlay($s placing 'XX' from 2 for 0), overlay($s placing 'Y' from 1 for 3)
select split_part($s, ' ', 1), split_part($s, ' ', 2), split_part($s, ' ', -1)
select starts_with($s, 'He'), $s ^@ 'ab', $s::bytea, $s::text::name
select string_to_array($s, ' '), string_to_array($s, null), string_to_array($s, ''), string_to_array($s, 'l', 'o')
select $s < 'b', $s <= 'abc', $s = 'abc', $s <> 'abc', $s >= 'abc', $s > 'B'
select $s ~ '^[a-z]+$', $s ~* 'HELLO', $s !~ 'l+', $s !~* 'ABC'
select $s::char(4) || '|', $s::varchar(4) || '|', length($s::char(6)), octet_length($s::char(6))
select format('%s|%10s|%-10s|%I|%L', $s, $s, $s, $s, $s)
select cast($s as bytea) || '\x00'::bytea, length($s::bytea), get_byte('\x616263'::bytea, 1)
select regexp_replace($s, '[aeiou]', '*'), regexp_replace($s, '[aeiou]', '*', 'g'), regexp_replace($s, '(.)(.)', '\2\1', 'g')
select regexp_match($s, '(.)(.)'), regexp_split_to_array($s, '\s+'), regexp_count($s, '[a-z]')
select hashtext($s)
select normalize($s), unistr('\0061\+000062\u0063')
select to_ascii('abc')
select chr(65), chr(223), chr(8364), chr(128512)
select chr(0)
select chr(-1)
select ascii('é'), ascii('€')
select lpad('', 3, 'ab'), lpad('abc', -1), rpad('abc', 0), lpad('abc', 5, '')
select substring('abcdef', 2, -1)
select substring('abcdef' from -2 for 5), substring('abcdef' from 10), substr('abcdef', 3)
select left('abc', 0), right('abc', 0), left(null, 1), right('abc', null)
select split_part('a,b,c', ',', 0)
select split_part('a,b,c', ',', -4), split_part('a,b,c', '', 1), split_part('a,b,c', '', 2), split_part('', ',', 1)
select format('%s %s', 'a')
select format('%2$s %1$s', 'a', 'b'), format('%%'), format('%s', null), format('%L', null)
select format('%I', null)
select format('%d', 1)
select format('%', 1)
select format('%1$s %s %s', 'a', 'b')
select format('%*s|', 6, 'ab'), format('%-*s|', 6, 'ab'), format('%2$*1$s|', 5, 'x')
select format('Hello %s, %1$s', 'World'), format('Testing %%, %s', 1), format(null)
select format(variadic array['%s-%s', 'a', 'b']), concat(variadic array['a', 'b', null]), concat_ws(',', variadic array[1, 2, null])
select quote_literal(42.5), quote_literal('it''s'), quote_literal(E'a\\b'), quote_ident('Foo Bar'), quote_ident('select'), quote_ident('abc_1')
select quote_ident('table'), quote_ident('user'), quote_ident('a"b'), quote_nullable(null), quote_literal(null)
@enc = 'hex' ;; 'base64' ;; 'escape'
select encode('\x00ff61622720'::bytea, $enc), decode(encode('\x00ff6162'::bytea, $enc), $enc)
select encode('\x00'::bytea, 'nope')
select decode('zz', 'hex')
select decode('abc', 'hex')
select decode('a', 'base64')
select decode('YWJj ZGVm', 'base64'), decode('\\000\\377', 'escape'), decode('61 62', 'hex')
select '\xdeadbeef'::bytea, E'\\001\\002a'::bytea, '\x'::bytea
select '\xabc'::bytea
select '\xzz'::bytea
select get_bit('\x1234'::bytea, 3), set_bit('\x1234'::bytea, 3, 1), set_byte('\x1234'::bytea, 0, 255), get_byte('\x1234'::bytea, 1)
select get_byte('\x12'::bytea, 5)
select set_bit('\x12'::bytea, 0, 2)
select substring('\x123456'::bytea from 2 for 1), position('\x34'::bytea in '\x123456'::bytea), overlay('\x123456'::bytea placing '\xff'::bytea from 2)
select trim('\x00'::bytea from '\x00ab00'::bytea), btrim('\x0012ab12'::bytea, '\x12'::bytea), ltrim('\x1212ab'::bytea, '\x12'::bytea)
select bit_count('\xff01'::bytea), length('\xff01'::bytea), octet_length('\xff01'::bytea), reverse('ab')
select convert_from('\xc3bc'::bytea, 'UTF8'), convert_to('ü', 'UTF8'), convert_to('ü', 'LATIN1'), convert_from('\xfc'::bytea, 'LATIN1')
select convert_from('\xff'::bytea, 'UTF8')
select convert('\xfc'::bytea, 'LATIN1', 'UTF8'), length('\xc3bc'::bytea, 'UTF8')
select convert_to('a', 'nope')
select md5(''), md5('\x00'::bytea), crc from (values (1)) v(crc)
select to_hex(255), to_hex(-1), to_hex(9223372036854775807), to_hex(0)
select string_to_table('a,b,,c', ',')
select string_to_table('a,b,,c', ',', 'b')
select string_to_table(null, ',')
select array_to_string(array[1, 2, null, 3], ','), array_to_string(array[1, 2, null, 3], ',', '*'), array_to_string(array['a', 'b'], null)
select parse_ident('Foo.Bar'), parse_ident('"Foo"."b c".x'), parse_ident('foo.bar()', false)
select parse_ident('foo.1bar')
select parse_ident('foo..bar')
select starts_with('abc', ''), starts_with('', 'a'), 'abc' ^@ null
select pg_typeof('abc' || 'd'), pg_typeof('abc'::varchar || 'd'), pg_typeof(1 || 'a'), pg_typeof(upper('a')), pg_typeof(repeat('a', 2))
select 'a' 'b'
select 'a' || 'b' || 'c', 'a' || 1 || true || null::int
select U&'d!0061' uescape '!'
select U&'\0061\+000062', E'\x41\u00e9\t|', E'\101'
select $$dollar 'quoted'$$, $x$a $$ b$x$
select 'a\b', E'a\\b', E'it\'s'
select 'abc' collate "C" < 'abd', 'B' collate "C" < 'a'
select 'abc' similar to '%(b|d)%', 'abc' similar to 'abc', 'abc' similar to 'a', 'abc' not similar to '(b|c)%', 'abc' similar to '_b_'
select 'a%c' like 'a\%c', 'a%c' like 'a#%c' escape '#', 'abc' like 'a%c' escape '', 'a_c' like 'a\_c'
select 'abc' like 'ab\'
select 'abc' like '%b%' , 'abc' like 'b', 'ABC' ilike 'abc', 'abc' not ilike 'A%'
select 'abc' ~~ 'a%', 'abc' !~~ 'a%', 'abc' ~~* 'A%', 'abc' !~~* 'A%'
select like_escape('a%b', '#'), similar_to_escape('a%b')
select text_larger('a', 'b'), text_smaller('a', 'b'), like('abc', 'a%'), notlike('abc', 'a%'), textlike('abc', 'b%')
select trim(both 'x' from 'xxabcxx'), trim(leading 'x' from 'xxabc'), trim(trailing from 'abc  ') || '|', trim('xy' from 'yxaxy')
select trim(leading 'abc'), ltrim('zzzytest', 'xyz'), rtrim('testxxzx', 'xyz')
select initcap('hi THOMAS'), initcap('foo-bar_baz qux1x'), initcap('éCOLE')
select upper('straße'), lower('ÀÉ'), upper('ﬁ')
select reverse('äbc'), length('äbc'), char_length(e'a\u0301'), substring('äöü', 2, 1)
select octet_length('ä'), bit_length('ä'), length(''::bytea), char_length('ab '::char(5)), length('ab '::char(5)), length('ab '::varchar(5))
select 'ab '::char(5) = 'ab', 'ab '::varchar(5) = 'ab', 'ab'::char(3) || 'c', 'ab '::char(3)::text || 'c'
select 'toolong'::varchar(3), 'toolong'::char(3), 'a'::char, 'abc'::"char", 'abc'::name
select 'a'::"char", ''::"char", 65::"char", 'A'::"char"::int, '\101'::"char", 200::"char"
select 128::"char"
select 'abc'::char(0)
select 'abc'::varchar(0)
select 'abc'::varchar(10485761)
select text 'abc', varchar 'abc', char(5) 'abc' || '|', name 'abc', bytea 'abc'
select substring('foobar' from 'o.b'), substring('foobar' from 'o(.)b'), substring('foobar' from 'x')
select substring('foobar' similar '%#"o_b#"%' escape '#'), substring('abcdefg' from 'a#"%#"g' for '#')
select string_agg(x, ',') from unnest(array['a', 'b', 'c']) x
select count(*) from regexp_split_to_table('a b  c', '\s+')
select regexp_split_to_table('a b  c', '\s') order by 1
select levenshtein('a', 'b')
select 'abc' < null, null || 'a', null like 'a', length(null)
select 'abc' + 1
select 'a' + 'b'
select 1 || 2
select 'a'::text || 1, 1 || 'a'::text, array[1] || 'a'
select nofunc('a')
select length(1)
select upper(1)
select substring(123 from 1)
select lpad(1, 2)
select concat(), concat(null), concat_ws(null, 'a', 'b'), concat_ws(',')
select replace('abcabc', 'bc', ''), replace('abc', '', 'x'), replace('', '', 'x'), translate('12345', '143', 'ax'), translate('abc', '', 'x')
select bpchar 'a ', 'a '::bpchar || 'b', length('a '::bpchar), 'a  '::bpchar = 'a'::bpchar
select 'x'::text::regclass
select strpos('', ''), strpos('abc', ''), position('' in 'abc'), strpos('abc', 'z'), strpos('äbc', 'c')
select unicode_version is null from (select null::text as unicode_version) v
select normalize('é', NFD) = 'é', normalize('é', NFC) = 'é', length(normalize('é', NFD)), normalize('ﬁ', NFKC)
select 'a' is normalized, 'é' is nfc normalized, 'é' is nfd normalized, 'a' is not nfkc normalized
select unistr('d\0061t\+000061')
select unistr('\xyz')
select pg_size_pretty(0::bigint), pg_size_pretty(10240::bigint), pg_size_pretty(10485760::bigint), pg_size_pretty(-20000::bigint), pg_size_pretty(123456789012345::numeric)
select pg_size_bytes('1kB'), pg_size_bytes('1.5 MB'), pg_size_bytes('100'), pg_size_bytes('-3 GB')
select pg_size_bytes('1 xb')
select pg_client_encoding(), getdatabaseencoding(), pg_encoding_to_char(6), pg_char_to_encoding('UTF8')
