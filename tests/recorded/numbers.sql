--: without tables
-- Operators and functions of numbers; the digits that numeric shows.
@i = int2 ;; int4 ;; int8
@t = int2 ;; int4 ;; int8 ;; float4 ;; float8 ;; numeric
@op = + ;; - ;; * ;; / ;; %
@cmp = < ;; <= ;; = ;; <> ;; >= ;; >
@u = int2 ;; int4 ;; int8 ;; float4 ;; float8 ;; numeric
select 7::$t + 2::$u, pg_typeof(7::$t + 2::$u), 7::$t - 2::$u, 7::$t * 2::$u, 7::$t / 2::$u, pg_typeof(7::$t / 2::$u)
select 7::$t < 2::$u, 7::$t <= 7::$u, 7::$t = 7::$u, 7::$t <> 7::$u, 7::$t >= 2::$u, 7::$t > 2::$u
select 7::$i % 2::$i, -7::$i % 2::$i, 7::$i & 2::$i, 7::$i | 8::$i, 7::$i # 2::$i, ~7::$i, 7::$i << 2, 7::$i >> 1
select 7::$t / 0::$t
select 7::$i % 0::$i
select abs(-7::$t), sign(-7::$t), @ (-7)::$t, -(7::$t), +(7::$t), mod(7, 3), pg_typeof(abs(-7::$t))
select power(2::$t, 3), sqrt(4::$t), exp(1::$t), ln(2::$t), log(100::$t), ceil(7::$t), floor(7::$t), round(7::$t), trunc(7::$t)
select 7::$t::text, 7::$t::int2, 7::$t::int4, 7::$t::int8, 7::$t::float4, 7::$t::float8, 7::$t::numeric, 7::$t::numeric(5, 2)
select '7'::$t, ' 7 '::$t, '-7'::$t, '+7'::$t
select 'x'::$t
select ''::$t
select '7x'::$t
select greatest(7::$t, 8), least(7::$t, 8), coalesce(null, 7::$t), nullif(7::$t, 7), nullif(7::$t, 8)
select 32767::int2 + 1::int2
select (-32768)::int2 - 1::int2
select 2147483647 + 1
select -2147483648 - 1
select 2147483647 * 2
select 9223372036854775807 + 1
select 9223372036854775807::int8 + 1::int8
select 9223372036854775807 * 2::int8
select (-9223372036854775808)::int8 - 1::int8
select -(-32768)::int2
select abs((-2147483648)::int4)
select (-9223372036854775808)::int8 / -1::int8
select (-9223372036854775808)::int8 % -1::int8, (-2147483648)::int4 % -1, (-32768)::int2 % (-1)::int2
select 40000::int2
select 3000000000::int4
select 1e30::int8
select 1e40::float4
select 1e-50::float4
select '1e400'::float8
select '1e-400'::float8
select 1e200::float8 * 1e200::float8
select 1e-200::float8 * 1e-200::float8
select 'NaN'::float8 = 'NaN'::float8, 'NaN'::float8 > 'Infinity'::float8, 'Infinity'::float8 - 'Infinity'::float8, 'inf'::float4, '-inf'::float8
select 'NaN'::numeric = 'NaN'::numeric, 'NaN'::numeric > 'Infinity'::numeric, 'Infinity'::numeric - 'Infinity'::numeric, 'Infinity'::numeric * 0, -'Infinity'::numeric
select 'Infinity'::float8::int
select 'NaN'::float8::int8
select 'NaN'::numeric::int
select 'Infinity'::numeric::int8
select 1.5::int, 2.5::int, -1.5::int, -2.5::int, 0.5::int, 1.5::float8::int, 2.5::float8::int, 0.4999::numeric::int
select 1.1 + 2.2, 1.10 + 2.200, 1.10 * 2.20, 1.1 - 1.1, 1.00 / 3, 10 / 4.0, 1 / 3.0, 2.0 / 3, 1e3 / 7
select 100.0 / 3.0, 1000000000.0 / 7, 0.001 / 7, 1.0 / 0.003, 123456789.123456789 / 0.987654321, 5 / 2.000000, 1.0 / 1024
select 0.1 * 0.1, 1e10 * 1e10, 123456789012345678.123456789 * 2, 1e-10 * 1e-10, 99999999999999999.99 * 99.99
select 7.5 % 2, -7.5 % 2, 7.5 % -2, 10.25 % 0.5, mod(7.5, 2.1), div(7.5, 2), div(-7.5, 2), div(9, 4), gcd(12, 18), lcm(4, 6), gcd(1.5, 2.5), lcm(1.5, 2)
select div(1, 0)
select 5.0 % 0
select 1.5 / 0
select round(1.2345, 2), round(1.235, 2), round(-1.235, 2), round(1234.5, -2), round(2.5), round(-2.5), round(0.5), round(1.5)
select round(2.5::float8), round(3.5::float8), round(-2.5::float8), trunc(2.7::float8), trunc(-2.7), trunc(1.2999, 2), trunc(1299.9, -2)
select ceil(1.1), ceil(-1.1), ceiling(1.0), floor(1.9), floor(-1.1), ceil(1.1::float8), floor(-1.1::float8), sign(-1.5), sign(0.0), sign(2.5::float8)
select sqrt(2), sqrt(2.0), sqrt(0.0001), sqrt(1e20), sqrt(2::numeric), sqrt(123456789.123), sqrt(0.0)
select sqrt(-1)
select sqrt(-1.0)
select exp(1.0), exp(0.0), exp(2.5::numeric), exp(-1.0), exp(10.0), exp(1::float8)
select ln(2.0), ln(10.0), ln(1.0), ln(0.5), log(2.0), log(10.0), log(1000.0), log(2.0, 64.0), log(2, 10), log10(100.0), log10(2.0::float8)
select ln(0)
select ln(-1.0)
select log(0.0)
select log(1.0, 5.0)
select exp(1000.0::float8)
select power(2, 10), power(2.0, 10), power(2.0, 0.5), power(2, -1), power(2.0, -1), power(0, 0), power(1.5, 3), 2 ^ 3, 2.0 ^ 3.0, 2 ^ 0.5, 2 ^ -1
select power(0, -1)
select power(0.0, -1.0)
select power(-1, 0.5)
select power(-8.0, 1.0/3)
select 2 ^ 3 ^ 2, -2 ^ 2, 2 + 3 * 4, (2 + 3) * 4, 7 - 2 - 1, 8 / 4 / 2, 5 % 3 * 2, - 3 + 2, |/ 25.0, @ -5.5
select factorial(0), factorial(5), factorial(20), factorial(25)
select factorial(-1)
select degrees(pi()), radians(180.0), pi(), sin(1), cos(1), tan(1), cot(1), asin(1), acos(0.5), atan(1), atan2(1, 2)
select sind(30), cosd(60), tand(45), cotd(45), asind(0.5), acosd(0.5), atand(1), atan2d(1, 1)
select cbrt(27.0), ||/ 27.0
select 1e23::float8
select sinh(1), cosh(1), tanh(1), asinh(1), acosh(2), atanh(0.5)
select asin(2)
select acos(-2)
select acosh(0.5)
select atanh(2)
select scale(1.230), min_scale(1.230), trim_scale(1.230), scale(1), trim_scale(100.00), min_scale(0.0), scale(null)
@v = 5.35 ;; 0 ;; 10 ;; 10.06 ;; -1 ;; 11
select width_bucket($v, 0.024, 10.06, 5), width_bucket($v::float8, 10, 0, 4), width_bucket($v::float8, array[1, 3, 5, 10]::float8[])
select width_bucket(5.0, 1, 1, 4)
select width_bucket(5.0, 1, 10, 0)
select width_bucket(now(), array['yesterday', 'today', 'tomorrow']::timestamptz[])
select 0.1::float4, 0.1::float8, 0.1::float4::float8, 1e15::float8, 1e16::float8, 123456789::float4, 1e-5::float8, 1e-4::float8, 100000::float8, 1e20::float8, 12345678.9::float4
select 0.1::float8 + 0.2::float8, 1.0::float8 / 3, 1::float4 / 3, 1e22::float8, 5e-324::float8, 1.7976931348623157e308::float8, -0.0::float8, 0.0::float8 * -1
select 1e15::numeric, 1e-7::numeric, 1.0e3, .5, 5., 1e5, 1E-2, 12345678901234567890, 0.00000001, -0.0, 1.50::numeric(10,4)
select 123.456::numeric(5, 2), 123.456::numeric(5), 0.005::numeric(3, 2), 1234.5::numeric(6, 1), 12::numeric(4, 2), -0.001::numeric(4, 2)
select 123.456::numeric(4, 2)
select 1234.5678::numeric(3, -2), 0.001234::numeric(3, 5), 1250::numeric(3, -2)
select 1::numeric(0)
select 1::numeric(5, 1001)
select 1::numeric(1001)
select 'NaN'::numeric, 'nan'::float8, 'infinity'::numeric, '-Infinity'::numeric, 'inf'::numeric
select 'Infinity'::numeric(5, 2)
select 'NaN'::numeric(5, 2)
select 1.5::numeric = 1.50, 1.5::numeric = 1.5::float8, 1::int = 1.0, 0.1::float4 = 0.1::float8, 1 = 1::int2, 2147483648 > 2147483647
select 1 between 1 and 2, 1.5 not between 1 and 2, 3 in (1, 2, 3), 3 not in (1, 2), 3 in (1, null), 3 not in (1, null), null in (1), 1 = any(array[1, 2]), 1 <> all(array[2, 3]), 2 > some(array[1, 5])
select 1 between symmetric 2 and 0, 1 is distinct from null, null is not distinct from null, 1 is null, null is null, not true and false or true
select pg_typeof(1), pg_typeof(3000000000), pg_typeof(10000000000000000000), pg_typeof(1.5), pg_typeof(1e5), pg_typeof(1::int2 + 1), pg_typeof(1 + 1.5), pg_typeof(1 + 1.5::float8), pg_typeof(1::float4 + 1), pg_typeof(1::int8 + 1::int2)
select pg_typeof(sum(x)), pg_typeof(avg(x)), pg_typeof(count(x)), pg_typeof(stddev(x)) from (values (1)) v(x)
select pg_typeof(round(1.5)), pg_typeof(round(1.5::float8)), pg_typeof(ceil(1)), pg_typeof(sqrt(4)), pg_typeof(power(2, 3)), pg_typeof(2 ^ 3), pg_typeof(2.0 ^ 3), pg_typeof(abs(1::int2)), pg_typeof(sign(1)), pg_typeof(mod(5, 3)), pg_typeof(div(5, 3))
select int4 '5', float8 '1.5', numeric '1.50', numeric(6, 3) '1.5', bigint '7', smallint '3', real '1.25', decimal '5.5', double precision '2.5'
select cast(1.7 as int), cast('12' as int), cast(12 as text), cast(true as int), cast(1 as boolean), cast(0 as bool)
select true::int, false::int, 1::bool, 0::bool, -5::bool
select 1::int8::bool
select true::int8
select 1.5::bool
select int2 '32768'
select int8 '9223372036854775808'
select 1::oid, 4294967295::oid, (-1)::oid, '5'::oid + 1
select 4294967296::oid
select '0x10'::int
select 1_000
select 1 + '2', '3' + 4, '1.5' + 1.5, 1 + '1.5'
select '1' + '2'
select random() between 0 and 1, setseed(0.5) is not null
do $$ begin perform setseed(0.25); end $$
select random(), random()
select random() from generate_series(1, 3)
do $$ begin perform setseed(-1); end $$
select random()
select setseed(-1.5)
select setseed(null)
select setseed(2)
select min_scale('NaN'), scale('NaN'::numeric), trim_scale(null), abs(null::int), abs('NaN'::numeric), sign('NaN'::float8), sign('-Infinity'::numeric)
select 'NaN'::numeric + 1, 'NaN'::numeric > 1e30, 'Infinity'::numeric + 1, 'Infinity'::numeric / 5, 5 / 'Infinity'::numeric, 'Infinity'::numeric % 5
select 5 % 'Infinity'::numeric, sqrt('Infinity'::numeric), exp('-Infinity'::numeric), power('Infinity'::numeric, 2), ln('Infinity'::numeric), round('NaN'::numeric, 2), floor('Infinity'::numeric)
@f = 9999.999 ;; -485.8 ;; 0.5 ;; 12 ;; 1234567.891 ;; 0 ;; -0.1
@p = 999 ;; 9999.99 ;; 0000.00 ;; FM9999.99 ;; FM9990.00 ;; 9,999,999.999 ;; S9999.9 ;; 9999.9S ;; MI9999 ;; 9999MI ;; PL9999 ;; SG9999 ;; 9999PR ;; L9999.99 ;; 9G999D99 ;; FM9G999G999D999 ;; RN ;; FMRN ;; 99V99 ;; 9.99EEEE ;; 9999th ;; 9999TH ;; FM9999th ;; B9999 ;; "a"9999"b" ;; 990 ;; 00999 ;; 9 9 9 9 ;; 999D9 ;; 
select to_char($f, '$p')
@q = 12 ;; -485 ;; 0 ;; 1234567 ;; 3999
select to_char($q, '9999'), to_char($q, '0009999'), to_char($q, 'FM9,999,999'), to_char($q, 'S999'), to_char($q, 'RN'), to_char($q, '999th'), to_char($q::int8, '9999999PR'), to_char($q::float8, '9999.99'), to_char($q::float4, '9.9EEEE')
@n = '12,345.6' ;; '-12.34' ;; '  485' ;; '$12' ;; '12.34-'
select to_number($n, '99G999D9'), to_number($n, 'S9999.99'), to_number($n, 'L9999'), to_number($n, '9999.99S'), to_number($n, '99,999.9')
select to_number('abc', '999')
select to_number('12', 'x9')
select to_number('<485>', '999PR'), to_number('1st', '9th'), to_number('', '999')
select generate_series(1, 3), generate_series(1, 5, 2), generate_series(3, 1, -1)
select * from generate_series(1, 2.5, 0.5) order by 1
select * from generate_series(1::int8, 3) order by 1
select * from generate_series(5, 1)
select * from generate_series(1, 5, 0)
select int4larger(1, 2), int4smaller(1, 2), int8inc(5), int4pl(1, 2), int4mi(5, 3), int4mul(2, 3), int4div(7, 2), int4um(5), float8pl(1.5, 2), numeric_add(1.5, 2.25), int4eq(1, 1), int4lt(1, 2)
select bit_count(5::bit(8)), b'101'::int, 5::bit(4), 5::bit(4)::text
