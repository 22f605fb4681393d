--: without tables
-- Addresses, places in the log, object identifiers, uuid, bit strings.
@i = '192.168.1.5/24' ;; '10.0.0.1' ;; '::1' ;; 'fe80::1:2/64' ;; '0.0.0.0/0' ;; '255.255.255.255' ;; '2001:db8::/32' ;; '::ffff:1.2.3.4'
select inet $i, host(inet $i), text(inet $i), abbrev(inet $i), masklen(inet $i), netmask(inet $i), network(inet $i), broadcast(inet $i), hostmask(inet $i), family(inet $i)
select set_masklen(inet $i, 16), inet $i::cidr, inet $i::text, (inet $i)::cidr::inet, ~ inet $i, inet_merge(inet $i, inet $i), inet_same_family(inet $i, '::')
@j = '192.168.1.0/24' ;; '192.168.1.5' ;; '10.0.0.0/8' ;; '::1' ;; '2001:db8::1'
select inet $i << inet $j, inet $i <<= inet $j, inet $i >> inet $j, inet $i >>= inet $j, inet $i && inet $j, inet $i < inet $j, inet $i = inet $j, inet $i >= inet $j
@k = '10' ;; '192.168.1' ;; '10.1/16' ;; '1.2.3.4' ;; '::/0' ;; 'fe80::/10'
select cidr $k, abbrev(cidr $k), text(cidr $k), masklen(cidr $k), broadcast(cidr $k), network(cidr $k), set_masklen(cidr $k, 4), cidr $k::text, host(cidr $k)
@n = '1.2.3' ;; '1.2.3.4/33' ;; '1.2.3.256' ;; 'x' ;; '::1/129' ;; '1.2.3.4.5' ;; '' ;; 'g::1'
select inet $n
select cidr '192.168.1.5/24'
select cidr '1.2.3.4/40'
select inet '192.168.1.5' + 10, inet '192.168.1.5' - 10, 10 + inet '192.168.1.5', inet '192.168.1.20' - inet '192.168.1.5', inet '::1' + 65535, inet '192.168.1.5/24' + 256
select inet '255.255.255.255' + 1
select inet '0.0.0.0' - 1
select inet '1.2.3.4' - inet '::1'
select inet '192.168.1.6' & inet '0.0.0.255', inet '192.168.1.6' | inet '0.0.0.255', inet '::f' & inet '::5'
select inet '1.2.3.4' & inet '::1'
select inet_merge('192.168.1.5/24', '192.168.2.5/24'), inet_merge('10.0.0.1', '10.0.0.2'), inet_merge('::1', '::2')
select inet_merge('1.2.3.4', '::1')
select set_masklen('1.2.3.4', 40)
select set_masklen(inet '192.168.1.5/24', -1), set_masklen(cidr '192.168.1.0/24', 16)
select x from unnest(array['10.0.0.1', '9.0.0.0/8', '::1', '10.0.0.0/8', '10.0.0.0/16', '192.168.0.1']::inet[]) x order by x
select max(x), min(x), count(distinct x) from unnest(array['10.0.0.1', '9.0.0.0/8', '::1', '10.0.0.1']::inet[]) x
select '1.2.3.4'::inet = '1.2.3.4/32'::inet, '1.2.3.0/24'::cidr = '1.2.3.0/24'::inet, pg_typeof(network('1.2.3.4')), pg_typeof(inet '1.2.3.4' + 1), '1.2.3.4'::inet::varchar
@m = '08:00:2b:01:02:03' ;; '08-00-2b-01-02-03' ;; '08002b:010203' ;; '0800.2b01.0203' ;; '08002B010203'
select macaddr $m, trunc(macaddr $m), macaddr $m = '08:00:2b:01:02:03', ~ macaddr $m, macaddr $m & '00:00:00:ff:ff:ff', macaddr $m | '00:00:00:ff:ff:ff', macaddr $m < 'ff:ff:ff:ff:ff:ff', macaddr $m::text
select macaddr '08:00:2b:01:02'
select macaddr 'zz:00:2b:01:02:03'
@l = '0/0' ;; '16/B374D848' ;; 'FFFFFFFF/FFFFFFFF' ;; '0/10'
select pg_lsn $l, pg_lsn $l = '0/10', pg_lsn $l > '0/10', pg_wal_lsn_diff($l, '0/10'), pg_lsn $l - '0/1'::pg_lsn, pg_lsn $l::text, pg_lsn $l + 0
select pg_lsn '16', 1
select pg_lsn 'x/1'
select '0/10'::pg_lsn + 16, 16 + '0/10'::pg_lsn, '0/20'::pg_lsn - 16, pg_lsn(23783416::numeric), '0/20'::pg_lsn - 0.4
select '0/0'::pg_lsn - 1
select pg_typeof('0/1'::pg_lsn - '0/0'::pg_lsn), max(x), min(x) from unnest(array['0/1', '1/0']::pg_lsn[]) x
select 'pg_class'::regclass, 'pg_class'::regclass::oid, 1259::regclass, 'int4'::regtype, 'integer'::regtype::oid, 23::regtype, 'pg_catalog'::regnamespace, 'now'::regproc, 'abs(integer)'::regprocedure
select 'nope'::regclass
select 'nope'::regtype
select 'nope'::regproc
select 'abs'::regproc
select to_regclass('nope'), to_regclass('pg_class'), to_regtype('int8'), to_regtype('nope'), to_regnamespace('public'), to_regproc('now'), to_regrole('nope')
select pg_typeof('x'), pg_typeof(null), pg_typeof(1::oid), pg_typeof('1'::xid), pg_typeof('a'::name), pg_typeof('a'::"char"), pg_typeof('pg_class'::regclass), pg_typeof(row(1, 2)), pg_typeof(array[1]::oid[]), pg_typeof(inet '::1')
select format_type(23, null), format_type(1043, 14), format_type(1700, 655366), format_type(1007, null), format_type(0, null), format_type(2205, -1), format_type(869, null), format_type(1114, 3), format_type(1560, 5)
select 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, '{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}'::uuid, 'a0eebc999c0b4ef8bb6d6bb9bd380a11'::uuid, uuid 'a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11'
select 'a0eebc99'::uuid
select gen_random_uuid() <> gen_random_uuid(), uuid 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' < uuid 'b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', pg_typeof(gen_random_uuid())
@b = B'101' ;; B'0' ;; B'11110000' ;; X'1F' ;; B''
select $b, length($b), octet_length($b), bit_length($b), $b || B'01', ~ $b, $b << 1, $b >> 1, substring($b from 2 for 2), overlay($b placing B'1' from 1), position(B'1' in $b), bit_count($b), $b::text
select B'101' & B'100', B'101' | B'010', B'101' # B'111', B'101' = B'101', B'101' < B'11', B'1' < B'10', get_bit(B'101', 1), set_bit(B'101', 1, 1)
select B'101' & B'1'
select 5::bit(8), 5::bit(2), B'101'::int, B'101'::bit(5), B'101'::varbit(2), '101'::bit(3), '101'::varbit, (-1)::bit(4), 5::int8::bit(10), B'101'::int8
select '102'::bit(3)
select pg_typeof(B'1'), pg_typeof('1'::varbit), pg_typeof(5::bit(3))
select bit_and(x), bit_or(x), bit_xor(x) from unnest(array[B'1100', B'1010']) x
