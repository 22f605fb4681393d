--: without tables
-- Dates, times and intervals: input, output, arithmetic, fields, formats.
@d = '2024-02-29' ;; 'Feb 29, 2024' ;; '29-Feb-2024' ;; '20240229' ;; '2024.060' ;; 'J2460370' ;; 'infinity' ;; '-infinity' ;; '0044-03-15 BC' ;; '2/29/2024' ;; 'epoch'
select $d::date, $d::date + 1, $d::date - 1, $d::date = '2024-02-29'
select $d::timestamp, $d::timestamptz, isfinite($d::date), isfinite($d::timestamp)
@bad = '2023-02-29' ;; '2024-13-01' ;; 'nonsense' ;; '' ;; '2024-02-30 10:00' ;; '10000000-01-01' ;; '2024-02-29x'
select $bad::date
select $bad::timestamp
select $bad::timestamptz
@ts = '2024-02-29 13:14:15.678901' ;; '1999-12-31 23:59:59.999' ;; '2001-01-01 00:00:00' ;; '0001-06-15 06:07:08 BC' ;; '2024-12-30 12:00'
@u = microseconds ;; milliseconds ;; second ;; minute ;; hour ;; day ;; week ;; month ;; quarter ;; year ;; decade ;; century ;; millennium
select extract($u from timestamp $ts), date_part('$u', timestamp $ts), date_trunc('$u', timestamp $ts)
select extract($u from timestamptz $ts), date_trunc('$u', timestamptz $ts), date_trunc('$u', timestamptz $ts, 'America/New_York')
@w = epoch ;; dow ;; isodow ;; doy ;; isoyear ;; julian ;; timezone ;; timezone_hour ;; timezone_minute
select extract($w from timestamptz $ts), date_part('$w', timestamptz $ts)
@x = epoch ;; dow ;; isodow ;; doy ;; isoyear ;; julian ;; day ;; week ;; month ;; year ;; century
select extract($x from date $ts), date_part('$x', date $ts)
select extract(hour from date '2024-02-29')
select extract(timezone from timestamp '2024-02-29')
select extract(nope from timestamp '2024-02-29')
select date_trunc('nope', timestamp '2024-02-29')
select date_trunc('epoch', timestamp '2024-02-29')
select extract(day from 'infinity'::timestamp), extract(year from 'infinity'::timestamp), extract(epoch from '-infinity'::timestamp), extract(julian from 'infinity'::date)
select date_trunc('day', 'infinity'::timestamp), date_trunc('month', '-infinity'::timestamptz)
@iv = '1 year 2 months 3 days 04:05:06.789' ;; '-1 day +02:03' ;; '90 minutes' ;; 'P1Y2M3DT4H5M6S' ;; '1.5 days' ;; '3 weeks' ;; '@ 1 day ago' ;; '1-2' ;; '1 2:03:04' ;; '10 decades' ;; '0.5 months' ;; '00:00:00' ;; 'P0001-02-03T04:05:06' ;; '2 years -3 months' ;; '1.75 years' ;; '-00:00:01.5'
select $iv::interval, -($iv::interval), $iv::interval * 2, $iv::interval / 3, $iv::interval * 1.5, $iv::interval = $iv::interval
select justify_days($iv::interval), justify_hours($iv::interval), justify_interval($iv::interval), date_trunc('hour', $iv::interval)
select extract(epoch from $iv::interval), extract(month from $iv::interval), extract(day from $iv::interval), extract(hour from $iv::interval), extract(second from $iv::interval), extract(year from $iv::interval)
select timestamp '2024-01-31 10:00' + $iv::interval, timestamp '2024-01-31 10:00' - $iv::interval, date '2024-01-31' + $iv::interval, timestamptz '2024-03-09 10:00+00' + $iv::interval
select time '10:00' + $iv::interval, time '10:00' - $iv::interval, to_char($iv::interval, 'YYYY MM DD HH24:MI:SS.US')
@ivbad = '1 foo' ;; '' ;; 'x' ;; '1 day 2 day' ;; '99999999999 years' ;; 'P1X'
select $ivbad::interval
select interval '1 day' = interval '24 hours', interval '1 month' = interval '30 days', interval '1 year' > interval '360 days', interval '1 day' < interval '25 hours'
select interval '1' year, interval '2' month, interval '3' day, interval '4' hour, interval '5' minute, interval '6.5' second, interval '1-2' year to month, interval '1 2:03' day to minute
select interval(0) '1.6 seconds', interval '1.2345678 seconds', '1.5 years'::interval, interval '1 day 25:00'
select interval '1 day' / 0
select interval '1 day' * 'NaN'::float8
select interval '178956970 years' + interval '178956970 years'
select age(timestamp '2024-02-29', timestamp '2023-01-30'), age(timestamp '2001-04-10', timestamp '1957-06-13'), age(timestamptz '2024-03-01', timestamptz '2024-02-29 12:00'), age(date '2020-01-01', date '2024-05-06')
select age('2024-01-31'::timestamp, '2024-02-29'::timestamp), age('2024-03-31'::timestamp, '2024-02-29'::timestamp), age('2024-05-31 10:00'::timestamp, '2024-04-30 11:00'::timestamp)
select date '2024-03-01' - date '2024-02-01', timestamp '2024-03-01 10:00' - timestamp '2024-02-28 11:30', timestamptz '2024-03-11 00:00-04' - timestamptz '2024-03-10 00:00-05', time '10:00' - time '11:30'
select date '2024-02-28' + 2, 2 + date '2024-02-28', date '2024-02-28' - 60, date '2024-02-28' + time '10:00', time '10:00' + date '2024-02-28', date '2024-02-28' + interval '1 hour'
select date '2024-02-28' < timestamp '2024-02-28 00:00:01', date '2024-02-28' = timestamp '2024-02-28', timestamp '2024-02-28' = timestamptz '2024-02-28 00:00+00', date '2024-02-28' <= timestamptz '2024-02-28 00:00+00'
select date '2024-02-28' + date '2024-02-28'
select timestamp '2024-02-28' + timestamp '2024-02-28'
select time '10:00' + time '10:00'
select now() - 'x'
select date '5874897-12-31' + 1
select timestamp '294276-12-31' + interval '1 year'
@tm = '04:05:06.789' ;; '04:05' ;; '040506' ;; '04:05 AM' ;; '04:05 PM' ;; '24:00' ;; '12:00 AM' ;; '2024-02-29 04:05:06' ;; '00:00:59.9999999'
select $tm::time, $tm::time + interval '1 hour', extract(hour from $tm::time), extract(second from $tm::time), extract(epoch from $tm::time), $tm::time::interval
select $tm::timetz, $tm::time < '05:00', $tm::time::text
@tmbad = '25:00' ;; '04:65' ;; 'x' ;; '04:05:61' ;; '24:00:01'
select $tmbad::time
select timetz '10:00+02', timetz '10:00-03:30', timetz '10:00:00.5 EST', timetz '10:00 America/New_York'
select timetz '10:00+02' < timetz '10:00+01', timetz '10:00+02' = timetz '08:00+00', timetz '10:00+02' + interval '3 hours', timetz '01:00+02' - interval '2 hours', extract(timezone from timetz '10:00+02:30'), extract(epoch from timetz '10:00+02'), extract(hour from timetz '10:00+02')
select timetz '10:00+02' at time zone 'UTC', timetz '10:00+02' at time zone interval '-5 hours', date '2024-02-29' + timetz '10:00+02', timetz '10:00+02'::time, time '10:00'::timetz, timestamptz '2024-02-29 10:00+02'::timetz
select timestamp '2024-02-29 12:00' at time zone 'America/New_York', timestamptz '2024-02-29 12:00+00' at time zone 'America/New_York', timestamp '2024-07-01 12:00' at time zone 'Europe/Berlin', timestamptz '2024-07-01 12:00+00' at time zone 'Asia/Kolkata'
select timestamp '2024-02-29 12:00' at time zone '+05:30', timestamptz '2024-02-29 12:00+00' at time zone 'EST', timestamptz '2024-02-29 12:00+00' at time zone interval '2 hours', timezone('Asia/Tokyo', timestamp '2024-02-29 12:00')
select timestamp '2024-02-29 12:00' at time zone 'Mars/Base'
select timestamptz '2024-03-10 02:30 America/New_York', timestamptz '2024-11-03 01:30 America/New_York', timestamptz '2024-02-29 12:00 PST', timestamptz '2024-02-29 12:00 Z', timestamptz '2024-02-29T12:00:00.5+01:00', timestamptz '2024-02-29 12:00 EST5EDT'
select timestamptz '2024-02-29 12:00 Nowhere/Land'
select timestamp '2024-02-29 12:00:60', timestamp '2024-02-29 24:00', timestamp '2024-02-29 12:00:00.1234567', timestamp '2024-02-29 12:00+05'
select timestamp(0) '2024-02-29 12:00:00.5', timestamp(3) '2024-02-29 12:00:00.123456', '2024-02-29 12:00:00.987654'::timestamptz(2), time(1) '12:00:00.25', '12:00:00.987'::time(0)
select timestamp(7) '2024-02-29'
select make_date(2024, 2, 29), make_date(-44, 3, 15), make_time(8, 15, 23.5), make_timestamp(2024, 2, 29, 8, 15, 23.5), make_timestamptz(2024, 2, 29, 8, 15, 23.5), make_timestamptz(2024, 7, 15, 8, 15, 23.5, 'America/New_York')
select make_date(2023, 2, 29)
select make_date(0, 1, 1)
select make_time(25, 0, 0)
select make_time(10, 61, 0)
select make_timestamp(2024, 13, 1, 0, 0, 0)
select make_timestamptz(2024, 1, 1, 0, 0, 0, 'nope')
select make_interval(), make_interval(1, 2, 3, 4, 5, 6, 7.5), make_interval(days => 10), make_interval(hours => 1, secs => 2.25), make_interval(years => -1, months => 5)
@b = '15 minutes' ;; '1 day' ;; '7 days' ;; '2.5 hours'
select date_bin($b, timestamp '2024-02-29 13:14:15', timestamp '2001-01-01'), date_bin($b, timestamptz '2024-02-29 13:14:15+00', timestamptz '2001-01-01 00:02:30+00'), date_bin($b, timestamp '1999-02-28 13:14:15', timestamp '2001-01-01')
select date_bin('1 month', timestamp '2024-02-29', timestamp '2001-01-01')
select date_bin('0 days', timestamp '2024-02-29', timestamp '2001-01-01')
select date_bin('-1 days', timestamp '2024-02-29', timestamp '2001-01-01')
select to_timestamp(0), to_timestamp(1709212455.678), to_timestamp(-1.5), to_timestamp('Infinity'), to_timestamp(1e12)
select to_timestamp('NaN')
select to_timestamp(1e20)
@fm = YYYY-MM-DD HH24:MI:SS ;; YYYY-MM-DD"T"HH24:MI:SS.MS ;; HH12:MI:SS AM ;; HH:MI a.m. ;; Day, DD Month YYYY ;; FMDay, FMDD FMMonth ;; DY Dy dy ;; MON Mon mon ;; MONTH month ;; DDD ;; D ID ;; IDDD ;; WW IW W ;; IYYY IYY IY I ;; YYY YY Y ;; Y,YYY ;; CC ;; J ;; Q ;; RM rm ;; SSSS SSSSS ;; US MS ;; FF1 FF2 FF3 FF4 FF5 FF6 ;; TZ tz OF ;; TZH:TZM ;; AD A.D. BC b.c. ;; DDth DDTH ;; FMDDth ;; HH24 "hours" ;; YYYYMMDDHH24MISS ;; FXYYYY ;; "literal" YYYY \"q\" ;; TMMonth TMDay ;; YYYY-"W"IW-ID ;; FMHH12 FMMI FMSS ;; DD/MM/YY ;; Month FMMonth MM FMMM ;; AM PM P.M. pm ;; day DAY Day ;; xyz 123
select to_char(timestamp $ts, '$fm')
select to_char(timestamptz $ts, '$fm')
select to_char('infinity'::timestamp, 'YYYY'), to_char(date '2024-02-29', 'YYYY-MM-DD'), to_char(null::timestamp, 'YYYY'), to_char(timestamp '2024-02-29', ''), to_char(now(), null)
select to_char(interval '15:02:12', 'HH24:MI:SS'), to_char(interval '1 year 2 days', 'YYYY-DDD'), to_char(interval '25 hours', 'HH24 HH12'), to_char(interval '-1 day', 'DD')
select to_char(time '10:11:12', 'HH24:MI:SS'), to_char(interval '3 months', 'MM Month')
@r = '2024-02-29 13:14:15', 'YYYY-MM-DD HH24:MI:SS' ;; '29 Feb 2024', 'DD Mon YYYY' ;; '29February2024', 'DDMonthYYYY' ;; '20240229', 'YYYYMMDD' ;; '2024 60', 'YYYY DDD' ;; '01:02 PM', 'HH12:MI PM' ;; '2024-W09-4', 'IYYY-"W"IW-ID' ;; '12.345', 'SS.MS' ;; '24/2/29', 'YY/MM/DD' ;; '99-1-1', 'YY-MM-DD' ;; 'Thursday 29 February 2024', 'Day DD Month YYYY' ;; '2460370', 'J' ;; '2024-02-29 13:14:15.678901', 'YYYY-MM-DD HH24:MI:SS.US' ;; '  2024 - 02', 'YYYY-MM' ;; '1,234', 'Y,YYY' ;; '44 BC', 'YYYY BC' ;; '21 24', 'CC YY' ;; 'II 2024', 'RM YYYY' ;; '3600', 'SSSS' ;; '2024-02-29 +05', 'YYYY-MM-DD TZH' ;; '1st 2nd', 'DDth MMth' ;; '2024', 'YYYY' ;; '', 'YYYY'
select to_timestamp($r), to_date($r)
@rb = '2024-02-30', 'YYYY-MM-DD' ;; '2024-13-01', 'YYYY-MM-DD' ;; 'abc', 'YYYY' ;; '2024-02-29', 'YYYY-MM-DD IW' ;; '13:00 PM', 'HH12:MI PM' ;; '25:00', 'HH24:MI' ;; '2024-xx-01', 'YYYY-MM-DD' ;; 'Foo 2024', 'Mon YYYY' ;; '10:61', 'HH24:MI' ;; '2024 366', 'IYYY DDD'
select to_timestamp($rb)
select to_date($rb)
select current_date = now()::date, current_timestamp = now(), localtimestamp = now()::timestamp, current_time is not null, localtime is not null, transaction_timestamp() = now(), statement_timestamp() >= now(), clock_timestamp() >= now()
select 'now'::timestamptz = now(), 'today'::date = current_date, 'tomorrow'::date = current_date + 1, 'yesterday'::date = current_date - 1, 'today'::timestamp = current_date, 'allballs'::time
select pg_typeof(now()), pg_typeof(current_date), pg_typeof(localtime), pg_typeof(current_time), pg_typeof(date '2024-01-01' - date '2023-01-01'), pg_typeof(now() - now()), pg_typeof(date '2024-01-01' + interval '1 day'), pg_typeof(extract(day from now())), pg_typeof(date_part('day', now())), pg_typeof(date_trunc('day', date '2024-01-01')), pg_typeof(age(now()))
select (timestamp '2024-01-01', timestamp '2024-02-01') overlaps (timestamp '2024-01-15', timestamp '2024-03-01'), (date '2024-01-01', interval '10 days') overlaps (date '2024-01-15', date '2024-03-01'), (time '10:00', time '11:00') overlaps (time '11:00', time '12:00')
select * from generate_series(timestamp '2024-01-30', timestamp '2024-02-02', interval '1 day') order by 1
select * from generate_series(timestamptz '2024-03-09 00:00+00', timestamptz '2024-03-10 00:00+00', interval '8 hours') order by 1
select * from generate_series(date '2024-01-31', date '2024-05-01', interval '1 month') order by 1
select * from generate_series(timestamp '2024-01-01', timestamp '2024-01-02', interval '0')
select date '2024-02-29'::timestamp, date '2024-02-29'::timestamptz, timestamp '2024-02-29 10:00'::date, timestamp '2024-02-29 10:00'::time, timestamptz '2024-02-29 10:00+05'::date, timestamptz '2024-02-29 10:00+05'::time, timestamp '2024-02-29'::text, interval '1 day 02:00'::time, interval '1 day'::text
select date '2024-02-29'::int
select 1::date
select 5::interval
select timestamp '2024-02-29'::interval
select interval '1 day'::date
select time '10:00'::date
set timezone = 'America/New_York'
select timestamptz '2024-03-10 06:30+00', timestamptz '2024-03-10 07:30+00', timestamptz '2024-07-01 12:00+00', timestamp '2024-03-10 02:30'::timestamptz, date '2024-07-01'::timestamptz, timestamptz '2024-07-01 02:00+00'::date
select timestamptz '2024-03-09 12:00' + interval '1 day', timestamptz '2024-03-09 12:00' + interval '24 hours', timestamptz '2024-11-02 12:00' + interval '1 day', timestamptz '2024-11-03 12:00' - interval '1 day', date_trunc('day', timestamptz '2024-03-10 12:00'), extract(timezone from timestamptz '2024-07-01 12:00')
select to_char(timestamptz '2024-07-01 12:00+00', 'TZ tz OF TZH TZM'), to_char(timestamptz '2024-01-01 12:00+00', 'TZ OF'), timestamptz '2024-01-01 12:00 BC', time '10:00'::timetz is not null
select * from generate_series(timestamptz '2024-03-09', timestamptz '2024-03-12', interval '1 day') order by 1
set timezone = 'Asia/Kolkata'
select timestamptz '2024-07-01 12:00+00', date_trunc('hour', timestamptz '2024-07-01 12:10+00'), extract(timezone_minute from timestamptz '2024-07-01 12:00+00'), to_char(timestamptz '2024-07-01 12:00+00', 'OF'), timestamptz '1900-01-01 00:00+00'
set timezone = 'nope'
set timezone = 'UTC'
