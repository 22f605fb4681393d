-- psql's commands, as tests/clients/psql/compare.py holds them against PostgreSQL 15.

--= \d
\d

--! \d+: sizes are those of columns
\d+

--= \dt
\dt

--= \dt+ shop.later
\dt+ shop.later

--= \dv
\dv

--= \dv+ shop.dear
\dv+ shop.dear

--= \dm
\dm

--= \dm+ shop.nothing
\dm+ shop.nothing

--= \di
\di

--= \ds
\ds

--! \ds+ shop.numbers: a sequence takes no file
\ds+ shop.numbers

--= \dE
\dE

--= \dtvmsi shop.*
\dtvmsi shop.*

--! \d shop.items: a trigger's condition is shown as it was written
\d shop.items

--! \d+ shop.items: a trigger's condition is shown as it was written
\d+ shop.items

--= \d shop.makers
\d shop.makers

--= \d+ shop.makers
\d+ shop.makers

--= \d shop.later
\d shop.later

--= \d+ shop.later
\d+ shop.later

--= \d plain
\d plain

--= \d+ plain
\d+ plain

--= \d "Odd Name"
\d "Odd Name"

--= \d shop.dear
\d shop.dear

--= \d+ shop.dear
\d+ shop.dear

--= \d shop.counts
\d shop.counts

--= \d+ shop.counts
\d+ shop.counts

--= \d shop.numbers
\d shop.numbers

--= \d+ shop.numbers
\d+ shop.numbers

--= \d makers_id_seq
\d makers_id_seq

--= \d shop.items_id_seq
\d shop.items_id_seq

--= \d shop.items_made
\d shop.items_made

--= \d+ shop.items_made
\d+ shop.items_made

--! \d shop.items_lower: the column of an expression has neither name nor type
\d shop.items_lower

--! \d+ shop.items_key: columns that are included are no columns of the index
\d+ shop.items_key

--= \d items_pkey
\d items_pkey

--! \d it*: likewise
\d it*

--! \d s?op.*: likewise
\d s?op.*

--= \d nothing
\d nothing

--= \d one.two.three.four
\d one.two.three.four

--< \d pg_catalog.pg_am
\d pg_catalog.pg_am

--! \d pg_class: its collations and indexes are not shown
\d pg_class

--! \d+ pg_class: its collations and indexes are not shown
\d+ pg_class

--! \dS pg_class: its collations and indexes are not shown
\dS pg_class

--! \da: the extension's are in public
\da

--= \da shop.*
\da shop.*

--< \dA
\dA

--< \dA+
\dA+

--= \dA heap
\dA heap

--= \dAc btree int4
\dAc btree int4

--= \dAc+ btree text
\dAc+ btree text

--! \dAf btree int4: types in another order
\dAf btree int4

--! \dAf+ btree int4: types in another order
\dAf+ btree int4

--! \dAo btree integer_ops: operators in another order
\dAo btree integer_ops

--! \dAo+ btree integer_ops: operators in another order
\dAo+ btree integer_ops

--= \dAp btree integer_ops
\dAp btree integer_ops

--! \dAp+ btree text_ops: support functions show no arguments
\dAp+ btree text_ops

--= \db
\db

--= \db pg_global
\db pg_global

--= \dc
\dc

--= \dc nothing
\dc nothing

--< \dcS utf8_to_iso*
\dcS utf8_to_iso*

--= \dconfig work_mem
\dconfig work_mem

--= \dconfig+ work_mem
\dconfig+ work_mem

--= \dconfig search*
\dconfig search*

--< \dC int4
\dC int4

--< \dC+ int4
\dC+ int4

--= \dd
\dd

--= \dd shop.*
\dd shop.*

--= \dD
\dD

--= \dD shop.*
\dD shop.*

--= \dD+ shop.*
\dD+ shop.*

--= \ddp
\ddp

--= \ddp shop
\ddp shop

--= \dE shop.*
\dE shop.*

--= \des
\des

--= \des+
\des+

--= \det
\det

--= \det+
\det+

--= \deu
\deu

--= \deu+
\deu+

--= \dew
\dew

--= \dew+
\dew+

--! \df: the extension's are in public
\df

--= \df shop.*
\df shop.*

--= \df+ shop.*
\df+ shop.*

--= \dfn shop.*
\dfn shop.*

--= \dfp shop.*
\dfp shop.*

--= \dft shop.*
\dft shop.*

--= \dfa shop.*
\dfa shop.*

--= \dfw shop.*
\dfw shop.*

--= \df shop.gross numeric
\df shop.gross numeric

--= \df shop.gross nothing
\df shop.gross nothing

--< \dF
\dF

--< \dF english
\dF english

--< \dFd
\dFd

--< \dFd+ simple
\dFd+ simple

--< \dFp
\dFp

--< \dFt
\dFt

--< \dFt+ simple
\dFt+ simple

--= \dg
\dg

--= \dg+ clients_*
\dg+ clients_*

--= \dgS+ clients_reader
\dgS+ clients_reader

--= \dl
\dl

--= \dl+
\dl+

--= \lo_list
\lo_list

--= \lo_list+
\lo_list+

--= \dL
\dL

--! \dL+: what is behind a language has no arguments here
\dL+

--< \dLS
\dLS

--= \dm shop.*
\dm shop.*

--! \dn: the extension's are there
\dn

--= \dn+ shop
\dn+ shop

--= \dn shop
\dn shop

--= \dnS pg_catalog
\dnS pg_catalog

--= \do
\do

--= \do+ shop.*
\do+ shop.*

--! \do = int4 int4: operators have no comments
\do = int4 int4

--! \do+ = int4 int4: operators have no comments
\do+ = int4 int4

--! \do ->: operators have no comments
\do ->

--= \do || text
\do || text

--= \dO
\dO

--= \dO+
\dO+

--= \dOS C
\dOS C

--= \dp
\dp

--= \dp shop.*
\dp shop.*

--= \dp shop.items
\dp shop.items

--= \z shop.later
\z shop.later

--= \dP
\dP

--= \dPi
\dPi

--= \dPt
\dPt

--= \dPn+
\dPn+

--! \drds: values are kept in their unit
\drds

--! \drds clients_writer: values are kept in their unit
\drds clients_writer

--= \drds clients_writer nothing
\drds clients_writer nothing

--= \dRp
\dRp

--= \dRp+
\dRp+

--= \dRp+ goods
\dRp+ goods

--= \dRs
\dRs

--= \dRs+
\dRs+

--= \ds shop.*
\ds shop.*

--= \dt shop.*
\dt shop.*

--= \dt *.items
\dt *.items

--= \dt shop.items|plain
\dt shop.items|plain

--= \dT
\dT

--= \dT shop.*
\dT shop.*

--= \dT+ shop.*
\dT+ shop.*

--= \dTS int4
\dTS int4

--= \dTS+ numeric
\dTS+ numeric

--= \dTS+ text
\dTS+ text

--= \du
\du

--= \du+
\du+

--= \du clients_*
\du clients_*

--= \dv shop.*
\dv shop.*

--= \dX
\dX

--= \dX shop.*
\dX shop.*

--= \dy
\dy

--= \dy+
\dy+

--! \l: template0, and the collation's name
\l

--= \l nothing
\l nothing

--= \sf shop.gross
\sf shop.gross

--= \sf+ shop.touch
\sf+ shop.touch

--= \sf shop.lots
\sf shop.lots

--= \sf shop.nothing
\sf shop.nothing

--= \sf shop.clear
\sf shop.clear

--= \sf+ shop.gross(numeric, double precision)
\sf+ shop.gross(numeric, double precision)

--= \sf gross(int)
\sf gross(int)

--= \sv shop.dear
\sv shop.dear

--= \sv+ shop.dear
\sv+ shop.dear

--= \sv shop.nothing
\sv shop.nothing

--= \sv shop.items
\sv shop.items

--= \encoding
\encoding

--= \errverbose
\errverbose

--= \copyright
\copyright

--= \x
\x

--= \a
\a

--= \t
\t

--= \H
\H

--= \pset
\pset

--= \timing off
\timing off

--! \daS count: it answers
\daS count

--! \dfS abs: it answers
\dfS abs

--! \dTS: it answers
\dTS

--! \doS <: it answers
\doS <

--! \dvS pg_s*: it answers
\dvS pg_s*

--! \dtS pg_a*: it answers
\dtS pg_a*

--! \diS: it answers
\diS

--! \dsS: it answers
\dsS

--! \dnS: it answers
\dnS

--! \dOS: it answers
\dOS

--! \dDS: it answers
\dDS

--! \dxS: it answers
\dxS

--! \ddS: it answers
\ddS

--! \dSv pg_stat*: it answers
\dSv pg_stat*

--! \dC: it answers
\dC

--! \db+: it answers
\db+

--! \l+: it answers
\l+

--! \dx: it answers
\dx

--! \dx+ plpgsql: it answers
\dx+ plpgsql

--! \dx+: it answers
\dx+

--! \dconfig *: it answers
\dconfig *

--! \dconfig+ *work*: it answers
\dconfig+ *work*

--! \dy+: it answers
\dy+

--! \dg: it answers
\dg

--! \di+: it answers
\di+

--! \dm+: it answers
\dm+

--! \dt+: it answers
\dt+

--! \dp pg_catalog.*: it answers
\dp pg_catalog.*

--! \dAf: it answers
\dAf

--! \dAc: it answers
\dAc

--! \dAo: it answers
\dAo

--! \dAp: it answers
\dAp

--! \dT+: it answers
\dT+

--! \df+: it answers
\df+

--! \conninfo: it answers
\conninfo

--= \gdesc
SELECT 1 AS a, 'x'::varchar(3) AS b, now() AS c, '{}'::numeric(10,2)[] AS d, NULL AS e \gdesc

--= \gdesc of what has no columns
UPDATE plain SET b = b \gdesc

--= \gdesc of an error
SELECT nothing \gdesc

--= \crosstabview
SELECT v, h, count(*) AS n FROM (VALUES ('a', 1), ('a', 2), ('b', 1), ('b', 1)) x (v, h) GROUP BY 1, 2 ORDER BY 1, 2 \crosstabview v h n
SELECT 1, 2 \crosstabview

--= \gset
SELECT 1 AS one, 'two' AS two \gset p_
\echo :p_one :'p_two' :"p_two"
SELECT 1 WHERE false \gset
SELECT 1 UNION ALL SELECT 2 \gset

--= \gexec
SELECT format('SELECT %s AS n', g) FROM generate_series(1, 3) g \gexec

--= \gx and \g
SELECT a, b FROM plain ORDER BY a \gx
SELECT a, b FROM plain ORDER BY a \g (format=csv)
SELECT a FROM plain ORDER BY a \g |cat -n

--= \bind is of later releases
SELECT 1 AS n \; SELECT 2 AS m;

--= \watch
\timing off
\pset tuples_only on
\! true
SELECT 1 / 0 \watch 0.1

--= \if
SELECT count(*) > 2 AS many FROM plain \gset
\if :many
\echo many
\else
\echo few
\endif

--= \copy
\copy plain TO STDOUT
\copy (SELECT a, "Odd Name" FROM plain ORDER BY a) TO STDOUT WITH (FORMAT csv, HEADER)
BEGIN;
\copy plain (a, b) FROM PROGRAM 'printf "7\tseven\n8\t\\\\N\n"'
SELECT a, b FROM plain ORDER BY a;
ROLLBACK;
\copy plain FROM PROGRAM 'echo x'
\copy nothing TO STDOUT

--= \errverbose
\set VERBOSITY sqlstate
SELECT 1 / 0;
SELECT nothing;
\set VERBOSITY terse
SELECT nothing FROM plain;
\set SHOW_CONTEXT always
INSERT INTO shop.items (maker, name) VALUES (99, 'x');

--= \set ON_ERROR_ROLLBACK
\set ON_ERROR_ROLLBACK on
BEGIN;
SELECT 1 / 0;
SELECT 'still here' AS t;
ROLLBACK;
\set AUTOCOMMIT off
SELECT 1;
\echo :AUTOCOMMIT
ROLLBACK;

--= \set FETCH_COUNT
\set FETCH_COUNT 2
SELECT a FROM plain ORDER BY a;
\echo :ROW_COUNT :SQLSTATE :ERROR

--= \pset of all formats
\pset format html
SELECT a, b FROM plain ORDER BY a;
\pset format asciidoc
SELECT a, b FROM plain ORDER BY a;
\pset format latex
SELECT a, b FROM plain ORDER BY a;
\pset format unaligned
\pset null 'null'
\f ;
SELECT a, b FROM plain ORDER BY a;
\pset format wrapped
\pset columns 20
\pset border 2
\C title
SELECT a, b FROM plain ORDER BY a;
\x on
SELECT a, b FROM plain ORDER BY a LIMIT 1;

--= \ef, \ev and \e with an editor that changes nothing
\ef shop.gross
\p
\r
\ev shop.dear
\p
\r

--= \encoding and \c
\encoding UTF8
\c
SELECT current_user;

--= \prompt, \setenv, \getenv, \cd, \i, \ir, \o, \qecho, \warn, \w
\setenv CLIENTS x
\getenv found CLIENTS
\echo :found
\cd /
\o /dev/null
SELECT 1;
\qecho nothing
\o
\warn to stderr
SELECT 5
\w /dev/null
;

--= \h SELECT
\h SELECT

--! \lo_list: large objects are refused by name
\lo_list
