// knex: schema builder, migrations, queries, transactions, streams.
const assert = require("assert");
const fs = require("fs");
const os = require("os");
const path = require("path");
const { check, run } = require("./report");

const knex = require("knex")({ client: "pg", connection: {}, pool: { min: 0, max: 5 } });

check("the schema builder makes, changes and describes tables", async () => {
  await knex.schema.dropTableIfExists("k_orders");
  await knex.schema.dropTableIfExists("k_owners");
  await knex.schema.createTable("k_owners", (t) => {
    t.increments("id");
    t.string("name", 40).notNullable().unique();
    t.timestamps(true, true);
  });
  await knex.schema.createTable("k_orders", (t) => {
    t.bigIncrements("id");
    t.integer("owner").references("id").inTable("k_owners").onDelete("CASCADE");
    t.enu("side", ["buy", "sell"]).notNullable();
    t.decimal("amount", 20, 8).defaultTo(1);
    t.jsonb("doc").defaultTo("{}");
    t.specificType("tags", "text[]");
    t.uuid("key").defaultTo(knex.raw("gen_random_uuid()"));
    t.timestamp("made", { useTz: true }).defaultTo(knex.fn.now());
    t.index(["made", "owner"], "k_orders_made");
    t.comment("what was asked for");
  });
  assert.strictEqual(await knex.schema.hasTable("k_orders"), true);
  assert.strictEqual(await knex.schema.hasColumn("k_orders", "side"), true);
  await knex.schema.alterTable("k_orders", (t) => {
    t.string("note").nullable();
    t.renameColumn("key", "mark");
    t.integer("extra").checkPositive();
    t.dropIndex([], "k_orders_made");
  });
  const columns = await knex("k_orders").columnInfo();
  assert.deepStrictEqual(Object.keys(columns), ["id", "owner", "side", "amount", "doc", "tags", "mark", "made", "note", "extra"]);
  assert.deepStrictEqual([columns.side.type, columns.side.nullable, columns.note.maxLength], ["text", false, 255]);
});

check("queries are built and answered", async () => {
  const [{ id }] = await knex("k_owners").insert({ name: "ann" }).returning("id");
  await knex.batchInsert("k_orders", [...Array(100).keys()].map((i) => ({ owner: id, side: i % 2 ? "buy" : "sell", amount: i + 1, doc: { n: i }, tags: ["a"] })), 30);
  const rows = await knex("k_orders as o").join("k_owners as w", "w.id", "o.owner").where("o.amount", ">", 50).whereIn("side", ["buy"]).groupBy("w.name").select("w.name").sum("amount as total").first();
  assert.deepStrictEqual(rows, { name: "ann", total: "1900.00000000" });
  await knex("k_owners").insert({ name: "ann" }).onConflict("name").merge({ name: "bob" });
  await knex("k_owners").insert({ name: "bob" }).onConflict("name").ignore();
  assert.deepStrictEqual(await knex("k_owners").pluck("name"), ["bob"]);
  assert.strictEqual(await knex("k_orders").whereJsonPath("doc", "$.n", "<", 3).update({ note: "few" }), 3);
  const ranked = knex("k_orders").select("id").rank("place", "amount").as("r");
  assert.strictEqual((await knex.from(ranked).where("place", "<=", 5)).length, 5);
  const counted = await knex.with("big", knex("k_orders").where("amount", ">", 90)).from("big").count({ n: "*" }).first();
  assert.strictEqual(counted.n, "10");
  assert.strictEqual((await knex("k_orders").distinctOn("side").orderBy(["side", { column: "amount", order: "desc" }])).length, 2);
  assert.strictEqual(await knex("k_orders").where("amount", "<", 11).del(), 10);
});

check("transactions hold and roll back, with savepoints", async () => {
  await assert.rejects(knex.transaction(async (trx) => {
    await trx("k_owners").insert({ name: "zoe" });
    await trx.transaction(async (inner) => { await inner("k_owners").insert({ name: "bob" }); }).catch((error) => assert.strictEqual(error.code, "23505"));
    assert.strictEqual((await trx("k_owners").where({ name: "zoe" })).length, 1);
    await trx("k_orders").forUpdate().limit(1);
    throw new Error("enough");
  }), /enough/);
  assert.strictEqual((await knex("k_owners").where({ name: "zoe" })).length, 0);
});

check("rows are streamed", async () => {
  let count = 0;
  for await (const row of knex("k_orders").stream()) count += row.id ? 1 : 0;
  assert.strictEqual(count, 90);
});

check("migrations run and are taken back", async () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "knex"));
  fs.writeFileSync(path.join(directory, "1_first.js"),
    "exports.up = (k) => k.schema.createTable('k_made', (t) => { t.increments(); t.timestamp('at').notNullable(); }).raw(\"SELECT 1\");\nexports.down = (k) => k.schema.dropTable('k_made');\n");
  const options = { directory, tableName: "k_migrations" };
  await knex.migrate.latest(options);
  assert.strictEqual(await knex.schema.hasTable("k_made"), true);
  await knex.migrate.rollback(options);
  assert.strictEqual(await knex.schema.hasTable("k_made"), false);
  fs.rmSync(directory, { recursive: true });
  for (const table of ["k_migrations", "k_migrations_lock", "k_orders", "k_owners"]) await knex.schema.dropTable(table);
  await knex.destroy();
});

run();
