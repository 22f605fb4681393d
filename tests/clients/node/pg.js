// node-postgres: values, prepared statements, pools, cursors, streams, COPY, notifications, errors, cancelling.
const assert = require("assert");
const { pipeline } = require("stream/promises");
const { Readable } = require("stream");
const { Client, Pool } = require("pg");
const Cursor = require("pg-cursor");
const QueryStream = require("pg-query-stream");
const copy = require("pg-copy-streams");
const { check, run } = require("./report");

const within = async (work) => {
  const client = new Client();
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
};

check("values go there and back", () =>
  within(async (client) => {
    const { rows, fields } = await client.query(
      "SELECT $1::int AS i, $2::bigint AS b, $3::numeric AS n, $4::text AS t, $5::jsonb AS j, $6::text[] AS a, $7::timestamptz AS z, $8::bytea AS y, $9::bool AS o, $10::float8 AS f",
      [7, "9007199254740993", "1.250", "é", { a: [1] }, ["x", null], new Date("2024-01-02T03:04:05.006Z"), Buffer.from([0, 255]), true, 0.1],
    );
    assert.deepStrictEqual(rows[0], {
      i: 7, b: "9007199254740993", n: "1.250", t: "é", j: { a: [1] }, a: ["x", null],
      z: new Date("2024-01-02T03:04:05.006Z"), y: Buffer.from([0, 255]), o: true, f: 0.1,
    });
    assert.deepStrictEqual(fields.map((f) => f.dataTypeID), [23, 20, 1700, 25, 3802, 1009, 1184, 17, 16, 701]);
  }));

check("several statements in one text give several results", () =>
  within(async (client) => {
    const results = await client.query("CREATE TABLE n_several (a int); INSERT INTO n_several VALUES (1), (2); SELECT sum(a)::int FROM n_several; DROP TABLE n_several");
    assert.deepStrictEqual(results.map((r) => r.command), ["CREATE", "INSERT", "SELECT", "DROP"]);
    assert.strictEqual(results[1].rowCount, 2);
    assert.deepStrictEqual(results[2].rows, [{ sum: 3 }]);
  }));

check("named statements are prepared once", () =>
  within(async (client) => {
    for (let i = 0; i < 5; i++) {
      const { rows } = await client.query({ name: "twice", text: "SELECT $1::int * 2 AS d", values: [i], rowMode: "array" });
      assert.deepStrictEqual(rows, [[i * 2]]);
    }
    const { rows } = await client.query("SELECT count(*)::int AS n FROM pg_prepared_statements WHERE name = 'twice'");
    assert.strictEqual(rows[0].n, 1);
  }));

check("a pool serves more queries than it has connections", async () => {
  const pool = new Pool({ max: 4 });
  const answers = await Promise.all([...Array(50).keys()].map((i) => pool.query("SELECT $1::int + 1 AS n", [i])));
  assert.deepStrictEqual(answers.map((a) => a.rows[0].n), [...Array(50).keys()].map((i) => i + 1));
  assert.ok(pool.totalCount <= 4);
  await pool.end();
});

check("a transaction is rolled back", () =>
  within(async (client) => {
    await client.query("CREATE TABLE n_back (a int PRIMARY KEY)");
    await client.query("BEGIN");
    await client.query("INSERT INTO n_back VALUES (1)");
    await assert.rejects(client.query("INSERT INTO n_back VALUES (1)"), { code: "23505", constraint: "n_back_pkey", table: "n_back", detail: "Key (a)=(1) already exists." });
    await assert.rejects(client.query("SELECT 1"), { code: "25P02" });
    await client.query("ROLLBACK");
    assert.deepStrictEqual((await client.query("SELECT * FROM n_back")).rows, []);
    await client.query("DROP TABLE n_back");
  }));

check("cursors and streams read in parts", () =>
  within(async (client) => {
    const cursor = client.query(new Cursor("SELECT generate_series(1, $1::int) AS n", [25]));
    assert.strictEqual((await cursor.read(10)).length, 10);
    assert.strictEqual((await cursor.read(100)).length, 15);
    assert.strictEqual((await cursor.read(10)).length, 0);
    await cursor.close();
    const early = client.query(new Cursor("SELECT generate_series(1, 100000)"));
    await early.read(1);
    await early.close();
    let sum = 0;
    for await (const row of client.query(new QueryStream("SELECT generate_series(1, 3000) AS n", [], { batchSize: 70 }))) sum += row.n;
    assert.strictEqual(sum, 4501500);
  }));

check("rows are copied in and out", () =>
  within(async (client) => {
    await client.query("CREATE TABLE n_copy (t timestamptz NOT NULL, v float8)");
    await client.query("SELECT create_hypertable('n_copy', 't')");
    const lines = [...Array(5000).keys()].map((i) => `${new Date(1704067200000 + i * 60000).toISOString()}\t${i / 2}\n`);
    await pipeline(Readable.from(lines), client.query(copy.from("COPY n_copy FROM STDIN")));
    let text = "";
    for await (const part of client.query(copy.to("COPY (SELECT count(*), sum(v) FROM n_copy) TO STDOUT"))) text += part;
    assert.strictEqual(text, "5000\t6248750\n");
    await assert.rejects(pipeline(Readable.from(["nonsense\t1\n"]), client.query(copy.from("COPY n_copy FROM STDIN"))), { code: "22007" });
    await client.query("DROP TABLE n_copy");
  }));

check("notifications and notices arrive", () =>
  within(async (client) => {
    const got = new Promise((yes) => client.on("notification", (n) => yes([n.channel, n.payload])));
    const said = new Promise((yes) => client.on("notice", (n) => yes([n.severity, n.message])));
    await client.query("LISTEN n_news");
    await within((other) => other.query("SELECT pg_notify('n_news', 'x')"));
    assert.deepStrictEqual(await got, ["n_news", "x"]);
    await client.query("DROP TABLE IF EXISTS n_nothing");
    assert.deepStrictEqual(await said, ["NOTICE", 'table "n_nothing" does not exist, skipping']);
  }));

check("a time limit of the server and one of the client", async () => {
  const client = new Client({ statement_timeout: 200 });
  await client.connect();
  await assert.rejects(client.query("SELECT pg_sleep(20)"), { code: "57014" });
  await client.end();
});

check("an ended connection is told of", async () => {
  const client = new Client();
  await client.connect();
  const ended = new Promise((yes) => client.on("error", (error) => yes(error.code)));
  const { rows } = await client.query("SELECT pg_backend_pid() AS pid");
  await within((other) => other.query("SELECT pg_terminate_backend($1)", [rows[0].pid]));
  assert.strictEqual(await ended, "57P01");
});

run();
