--: without tables
-- Regular expressions: operators and functions.
@s = 'foobarbaz' ;; 'Hello World 123' ;; '' ;; 'aaa' ;; 'a.b.c' ;; '2024-02-29'
@p = 'b..' ;; '[0-9]+' ;; '^a' ;; 'o' ;; '\d{4}' ;; '(a|b)' ;; '\w+' ;; '[[:alpha:]]+' ;; 'a*' ;; '\.'
select $s ~ $p, $s ~* $p, $s !~ $p, $s !~* $p, regexp_match($s, $p), regexp_replace($s, $p, '<\&>'), regexp_replace($s, $p, '<\&>', 'g'), regexp_count($s, $p), regexp_instr($s, $p), regexp_substr($s, $p), regexp_like($s, $p)
select regexp_matches($s, $p, 'g')
select regexp_split_to_array($s, $p)
select regexp_replace('Thomas', '.[mN]a.', 'M'), regexp_replace('foobarbaz', 'b(..)', 'X\1Y', 'g'), regexp_replace('A PostgreSQL function', 'a|e|i|o|u', 'X', 1, 0, 'i'), regexp_replace('A PostgreSQL function', 'a|e|i|o|u', 'X', 1, 3, 'i')
select regexp_match('foobarbequebaz', '(bar)(beque)'), regexp_match('foobarbequebaz', 'bar.*que'), (regexp_match('foobarbequebaz', 'bar.*que'))[1], regexp_match('abc', 'd'), regexp_match('abc', '(x)?(b)')
select regexp_matches('foobarbequebazilbarfbonk', '(b[^b]+)(b[^b]+)', 'g')
select regexp_matches('foo', 'not there')
select foo from regexp_split_to_table('the quick brown fox', '\s+') as foo
select regexp_split_to_table('the quick brown fox', '\s*') as foo
select regexp_split_to_array('the quick', '\s*'), regexp_split_to_array('a,b;c', '[,;]'), regexp_split_to_array('abc', 'x')
select regexp_count('123123123123', '\d{3}', 1), regexp_count('ABCABCAXYaxy', 'A.', 3), regexp_count('ABCABCAXYaxy', 'A.', 1, 'i')
select regexp_instr('ABCDEFGHI', 'C', 1, 1), regexp_instr('number of your street, town zip, FR', '[^,]+', 1, 2), regexp_instr('ABCDEFGHI', '(c..)(...)', 1, 1, 0, 'i', 2), regexp_instr('ABCDEFGHI', 'C', 1, 1, 1)
select regexp_substr('number of your street, town zip, FR', '[^,]+', 1, 2), regexp_substr('ABCDEFGHI', '(c..)(...)', 1, 1, 'i', 2), regexp_substr('abc', 'x'), regexp_substr('1234567890', '(123)(4(56)(78))', 1, 1, 'i', 4)
select regexp_like('Hello World', 'world$', 'i'), regexp_like('a' || chr(10) || 'b', 'a.b'), regexp_like('a' || chr(10) || 'b', 'a.b', 'n'), regexp_like('a' || chr(10) || 'b', '^b$', 'n'), regexp_like('ab', 'a b', 'x')
select 'abc' ~ '(', 1
select 'abc' ~ '[', 1
select 'abc' ~ '*'
select 'abc' ~ 'a{2,1}'
select regexp_replace('abc', 'b', 'x', 'z')
select regexp_match('abc', 'b', 'g')
select regexp_count('abc', 'b', 0)
select regexp_instr('abc', 'b', 1, 0)
select regexp_substr('abc', 'b', -1)
select 'abc' ~ '', '' ~ '', '' ~ '^$', 'abc' ~ null, regexp_replace('abc', '', 'x'), regexp_replace('abc', '', 'x', 'g')
select 'a1b2' ~ '^[[:alnum:]]+$', 'ab ' ~ '[[:space:]]', 'AB' ~ '[[:upper:]]{2}', 'ab' ~ '\A\w', 'foo bar' ~ '\mbar\M', 'foobar' ~ '\mbar', 'foo bar' ~ '[[:<:]]bar[[:>:]]', 'x-y' ~ '\y-', 'ab' ~ '\Z'
select 'tab' || chr(9) ~ '\t', 'a\b' ~ '\\', 'a.b' ~ 'a\.b', 'axb' ~ 'a\.b', 'a+b' ~ 'a\+b', 'é' ~ '^\w$', 'É' ~* 'é', 'a' ~ '\x61', 'a' ~ '\u0061'
select 'abc' ~ '(?i)ABC', 'abc' ~ '(?:a)(b)', regexp_replace('abcabc', '(a)(b)', '\2\1'), regexp_replace('abc', 'b', '\\'), regexp_replace('abc', 'b', '$1'), regexp_replace('a.b', '.', '-', 'g')
select 'aab' ~ '^a{2}b$', 'aab' ~ '^a{1,}b', 'aab' ~ 'a{3}', 'ab' ~ 'a?b?c?', 'aaa' ~ '^(a|aa)$', regexp_match('xaaay', 'a+?'), regexp_match('xaaay', 'a+'), regexp_match('xaaay', 'a{2}?')
select '***=a.b' is not null, 'a.b' ~ '***=a.b', 'axb' ~ '***=a.b', 'ABC' ~ '***:(?i)abc'
select similar_escape('a%b', null) is not null, 'abc' similar to 'a(b|x)c', 'aXc' similar to 'a[A-Z]c', 'abbbc' similar to 'ab+c', 'abc' similar to 'ab{1}c', 'a.c' similar to 'a.c', 'abc' similar to 'a.c'
select 'abab' ~ '(ab)\1', 'foobar' ~ 'foo(?=bar)'
