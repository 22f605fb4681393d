#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use chronolith_types::{ChunkId, ColumnId, HypertableId, IndexId, PartId, RoleId, SqlType};

use super::*;
use crate::acl::{Acl, Securable};
use crate::rows::RowBits;
use crate::table::{Column, Hypertable, Part, PartFile};

const DB: DatabaseId = DatabaseId(5);
const PUBLIC: SchemaId = SchemaId(2200);
const T: TableId = TableId(20_000);

fn table(name: &str) -> Table {
    Table {
        id: T,
        schema: PUBLIC,
        name: name.to_owned(),
        owner: RoleId(10),
        columns: vec![Column {
            id: ColumnId(1),
            name: "time".to_owned(),
            ty: SqlType::Timestamptz(None),
            domain: None,
            not_null: true,
            default: None,
            missing: None,
            identity: None,
            generated: None,
            comment: None,
        }],
        next_column: ColumnId(2),
        constraints: Vec::new(),
        indexes: Vec::new(),
        hypertable: None,
        chunks: BTreeMap::new(),
        comment: None,
        acl: None,
        rollup: None,
        persistence: crate::table::Persistence::default(),
    }
}

fn create(name: &str) -> Change {
    Change::CreateTable {
        database: DB,
        table: Box::new(table(name)),
    }
}

fn hypertable() -> Change {
    Change::MakeHypertable {
        database: DB,
        table: T,
        hypertable: Hypertable {
            id: HypertableId(1),
            time: ColumnId(1),
            interval: 10,
            compression: None,
            ..Hypertable::default()
        },
    }
}

fn chunk(id: i32, start: i64) -> Change {
    Change::AddChunk {
        database: DB,
        table: T,
        chunk: ChunkId(id),
        oid: 21_000 + id.unsigned_abs(),
        range: start..start + 10,
        created_us: 0,
    }
}

fn part(id: u64) -> Arc<Part> {
    Arc::new(Part {
        id: PartId(id),
        rows: 1,
        times: Some((0, 0)),
        data: PartFile::default(),
        directory: PartFile::default(),
        unpacked: 0,
        deleted: RowBits::default(),
    })
}

#[test]
fn chunks_that_are_restored_come_compressed_once() {
    let mut catalog = Catalog::default();
    catalog.apply(&create("t")).unwrap();
    catalog.apply(&hypertable()).unwrap();
    let table = |catalog: &Catalog| Arc::clone(&catalog.databases[&DB].tables[&T]);
    let mut restoring = table(&catalog).hypertable.clone().unwrap();
    restoring.restored = vec![(0, 30)];
    catalog
        .apply(&Change::ChangeHypertable {
            database: DB,
            table: T,
            hypertable: restoring,
        })
        .unwrap();
    catalog.apply(&chunk(1, 10)).unwrap();
    catalog.apply(&chunk(2, 40)).unwrap();
    let now = table(&catalog);
    assert!(now.chunks[&ChunkId(1)].compressed);
    assert!(!now.chunks[&ChunkId(2)].compressed);
    let left = &now.hypertable.as_ref().unwrap().restored;
    assert_eq!(*left, [(0, 10), (20, 30)]);
    catalog
        .apply(&Change::DropChunk {
            database: DB,
            table: T,
            chunk: ChunkId(1),
        })
        .unwrap();
    catalog.apply(&chunk(3, 10)).unwrap();
    assert!(!table(&catalog).chunks[&ChunkId(3)].compressed);
}

#[test]
fn a_refused_change_leaves_the_catalog_as_it_was() {
    let mut catalog = Catalog::default();
    catalog.apply(&create("t")).unwrap();
    catalog.apply(&hypertable()).unwrap();
    catalog.apply(&chunk(1, 0)).unwrap();
    let before = catalog.clone();
    let refused = [
        (create("t"), CatalogError::NumberInUse(T.0)),
        (hypertable(), CatalogError::AlreadyHypertable("t".into())),
        (chunk(2, 5), CatalogError::ChunkOverlap("t".into())),
        (
            Change::ReplaceParts {
                database: DB,
                table: T,
                chunk: ChunkId(1),
                removed: vec![PartId(9)],
                added: vec![part(3)],
                compressed: None,
            },
            CatalogError::WrongPart("9".into()),
        ),
        (
            Change::DropColumn {
                database: DB,
                table: T,
                column: ColumnId(7),
            },
            CatalogError::NoColumn {
                column: "7".into(),
                relation: "t".into(),
            },
        ),
        (
            Change::DropSchema {
                database: DB,
                id: PUBLIC,
            },
            CatalogError::SchemaInUse("public".into()),
        ),
    ];
    for (change, error) in refused {
        assert_eq!(catalog.apply(&change), Err(error));
        assert_eq!(catalog, before, "{change:?}");
    }
}

#[test]
fn parts_are_replaced_in_one_step_and_numbers_never_return() {
    let mut catalog = Catalog::default();
    for change in [create("t"), hypertable(), chunk(1, 0)] {
        catalog.apply(&change).unwrap();
    }
    let replace = |removed: &[u64], added: &[u64]| Change::ReplaceParts {
        database: DB,
        table: T,
        chunk: ChunkId(1),
        removed: removed.iter().copied().map(PartId).collect(),
        added: added.iter().copied().map(part).collect(),
        compressed: Some(true),
    };
    catalog.apply(&replace(&[], &[4, 5])).unwrap();
    catalog.apply(&replace(&[4, 5], &[6])).unwrap();
    assert_eq!(catalog.next_part, 7);
    assert_eq!(catalog.parts().count(), 1);
    assert!(
        catalog
            .table(DB, T)
            .unwrap()
            .chunk_at(9)
            .unwrap()
            .compressed
    );
    assert!(catalog.table(DB, T).unwrap().chunk_at(10).is_none());
    catalog
        .apply(&Change::DropTable {
            database: DB,
            id: T,
        })
        .unwrap();
    assert!(catalog.next_oid > 21_000);
    assert_eq!(catalog.databases[&DB].next_chunk, 2);
}

#[test]
fn names_and_owners_change_and_no_two_relations_share_a_name() {
    let mut catalog = Catalog::default();
    let (database, id, table) = (DB, T, T);
    let index = |oid: u32, name: &str, constraint: bool| Change::CreateIndex {
        database,
        table,
        index: crate::table::Index {
            id: IndexId(oid),
            name: name.to_owned(),
            method: "btree".to_owned(),
            keys: vec!["time".to_owned()],
            unique: constraint,
            constraint,
            predicate: None,
            include: Vec::new(),
            nulls_alike: false,
            options: Vec::new(),
            marks: Vec::new(),
        },
    };
    let view = |name: &str| crate::model::View {
        id: TableId(30_000),
        schema: PUBLIC,
        name: name.to_owned(),
        owner: RoleId(10),
        query: "SELECT 1".to_owned(),
        columns: Vec::new(),
        materialized: None,
        check: None,
        invoker: None,
        barrier: None,
        defaults: Default::default(),
    };
    let schema = |name: &str| crate::model::Schema {
        id: SchemaId(31_000),
        name: name.to_owned(),
        owner: RoleId(10),
    };
    let changes = [
        create("t"),
        index(22_001, "t_time", false),
        index(22_002, "t_pkey", true),
        Change::AddConstraint {
            database,
            table,
            constraint: crate::table::Constraint {
                id: 22_003,
                name: "t_pkey".to_owned(),
                kind: crate::table::ConstraintKind::PrimaryKey {
                    columns: vec![ColumnId(1)],
                },
                marks: crate::table::ConstraintMarks::default(),
            },
        },
        Change::CreateView {
            database,
            view: view("v"),
            replace: false,
        },
        Change::CreateSchema {
            database,
            schema: schema("s"),
        },
    ];
    for change in &changes {
        catalog.apply(change).unwrap();
    }
    let refused = [
        Change::ChangeView {
            database,
            view: view("t"),
        },
        Change::ChangeSchema {
            database,
            schema: schema("public"),
        },
        Change::RenameIndex {
            database,
            table,
            id: IndexId(22_001),
            name: "v".to_owned(),
        },
        Change::RenameConstraint {
            database,
            table,
            from: "t_pkey".to_owned(),
            name: "t_time".to_owned(),
        },
        Change::RenameConstraint {
            database,
            table,
            from: "other".to_owned(),
            name: "t_new".to_owned(),
        },
        Change::RenameDatabase {
            id: DB,
            name: "template1".to_owned(),
        },
    ];
    for change in refused {
        let before = catalog.clone();
        assert!(catalog.apply(&change).is_err(), "{change:?}");
        assert_eq!(catalog, before);
    }
    let changes = [
        Change::RenameIndex {
            database,
            table,
            id: IndexId(22_002),
            name: "t_key".to_owned(),
        },
        Change::SetTableSchema {
            database,
            id,
            schema: SchemaId(31_000),
        },
        Change::SetTableOwner {
            database,
            id,
            owner: RoleId(11),
        },
        Change::SetAcl {
            database,
            oid: id.0,
            acl: Some(Acl::default_of(Securable::Relation, RoleId(11))),
        },
        Change::ChangeView {
            database,
            view: view("t"),
        },
        Change::ChangeSchema {
            database,
            schema: schema("z"),
        },
        Change::RenameDatabase {
            id: DB,
            name: "prices".to_owned(),
        },
        Change::SetDatabaseOwner {
            id: DB,
            owner: RoleId(11),
        },
    ];
    for change in &changes {
        catalog.apply(change).unwrap();
    }
    let database = catalog.database_named("prices").unwrap();
    let moved = database.table_named(SchemaId(31_000), "t").unwrap();
    assert_eq!(moved.constraints[0].name, "t_key");
    assert_eq!(moved.owner, RoleId(11));
    assert!(database.relation_exists(SchemaId(31_000), "t_key"));
    assert!(database.view_named(PUBLIC, "t").is_some());
    assert!(database.schema_named("z").is_some());
}

#[test]
fn a_truncated_table_has_no_parts_and_a_hypertable_no_chunks() {
    let mut catalog = Catalog::default();
    catalog.apply(&create("t")).unwrap();
    let truncate = Change::Truncate {
        database: DB,
        table: T,
    };
    let add = |chunk: ChunkId| Change::ReplaceParts {
        database: DB,
        table: T,
        chunk,
        removed: Vec::new(),
        added: vec![part(u64::from(chunk.0.unsigned_abs()) + 3)],
        compressed: None,
    };
    catalog.apply(&add(Table::PLAIN_CHUNK)).unwrap();
    catalog.apply(&truncate).unwrap();
    assert_eq!(catalog.parts().count(), 0);
    assert_eq!(catalog.table(DB, T).unwrap().chunks.len(), 1);
    for change in [hypertable(), chunk(1, 0), add(ChunkId(1)), truncate] {
        catalog.apply(&change).unwrap();
    }
    assert!(catalog.table(DB, T).unwrap().chunks.is_empty());
    assert_eq!(catalog.databases[&DB].next_chunk, 2);
}

#[test]
fn changes_and_catalog_survive_their_serialised_form() {
    let mut catalog = Catalog::default();
    for change in [create("t"), hypertable(), chunk(1, 0)] {
        let text = serde_json::to_string(&change).unwrap();
        let read: Change = serde_json::from_str(&text).unwrap();
        assert_eq!(read, change);
        catalog.apply(&read).unwrap();
    }
    let bytes = crate::encode(&catalog, chronolith_types::Lsn(42)).unwrap();
    let checkpoint = crate::decode(&bytes).unwrap();
    assert_eq!(checkpoint.catalog, catalog);
    assert_eq!(checkpoint.lsn.0, 42);
    for offset in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[offset] ^= 4;
        assert!(crate::decode(&damaged).is_err(), "byte {offset}");
    }
    for length in 0..bytes.len() {
        assert!(crate::decode(&bytes[..length]).is_err());
    }
}

#[test]
fn the_documented_checkpoint_is_read() {
    let bytes: Vec<u8> = include_str!("../../../../fixtures/formats/manifest/v1.hex")
        .split_whitespace()
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect();
    let checkpoint = crate::decode(&bytes).unwrap();
    assert_eq!(checkpoint.lsn.0, 7);
    assert_eq!(checkpoint.catalog, Catalog::default());
    // What is written today is read as the same, also where zstd packs it otherwise.
    let again = crate::encode(&checkpoint.catalog, checkpoint.lsn).unwrap();
    assert_eq!(crate::decode(&again).unwrap(), checkpoint);
}

#[test]
#[ignore = "writes the example of docs/formats/manifest.md"]
fn bless_the_documented_checkpoint() {
    let bytes = crate::encode(&Catalog::default(), chronolith_types::Lsn(7)).unwrap();
    let hex: Vec<String> = bytes
        .chunks(32)
        .map(|line| {
            line.iter()
                .map(|b| format!("{b:02x}"))
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../fixtures/formats/manifest/v1.hex"
    );
    std::fs::write(path, hex.join("\n") + "\n").unwrap();
}

/// A table of another number and name.
fn other(id: u32, name: &str) -> Change {
    let mut table = table(name);
    table.id = TableId(id);
    Change::CreateTable {
        database: DB,
        table: Box::new(table),
    }
}

fn made_hypertable(id: u32) -> Change {
    let Change::MakeHypertable { hypertable, .. } = hypertable() else {
        panic!("not what it was");
    };
    Change::MakeHypertable {
        database: DB,
        table: TableId(id),
        hypertable,
    }
}

fn set_rollup(id: u32, source: u32) -> Change {
    Change::SetRollup {
        database: DB,
        table: TableId(id),
        rollup: Some(crate::rollup::Rollup::new(TableId(30_000), TableId(source))),
    }
}

/// A table, a store of it and a store of that.
fn with_stores() -> Catalog {
    let mut catalog = Catalog::default();
    for change in [
        create("t"),
        hypertable(),
        other(20_001, "store"),
        made_hypertable(20_001),
        set_rollup(20_001, T.0),
        other(20_002, "coarser"),
        made_hypertable(20_002),
        set_rollup(20_002, 20_001),
    ] {
        catalog.apply(&change).unwrap();
    }
    catalog
}

#[test]
fn a_source_knows_its_stores_and_outlives_them() {
    let database = DB;
    let mut catalog = with_stores();
    let stores = |catalog: &Catalog, id: u32| -> Vec<u32> {
        let stores = catalog.databases[&DB].stores_of(TableId(id)).iter();
        stores.map(|id| id.0).collect()
    };
    assert_eq!(stores(&catalog, T.0), [20_001]);
    assert_eq!(stores(&catalog, 20_001), [20_002]);
    let drop = |id: u32| Change::DropTable {
        database,
        id: TableId(id),
    };
    let before = catalog.clone();
    for (id, name) in [(T.0, "t"), (20_001, "store")] {
        let refused = catalog.apply(&drop(id)).unwrap_err();
        assert_eq!(refused, CatalogError::RelationInUse(name.into()));
        assert_eq!(refused.sqlstate().as_str(), "2BP01");
    }
    let refused = [
        set_rollup(20_001, 29_999),
        set_rollup(20_001, 20_002),
        Change::Invalidate {
            database,
            table: T,
            range: 0..10,
        },
    ];
    for change in refused {
        assert!(catalog.apply(&change).is_err(), "{change:?}");
    }
    assert_eq!(catalog, before);
    catalog.apply(&drop(20_002)).unwrap();
    assert_eq!(stores(&catalog, 20_001), [0_u32; 0]);
    let none = Change::SetRollup {
        database,
        table: TableId(20_001),
        rollup: None,
    };
    catalog.apply(&none).unwrap();
    catalog.apply(&drop(T.0)).unwrap();
    assert!(catalog.databases[&DB].stores.is_empty());
}

#[test]
fn a_view_takes_its_store_with_it() {
    let database = DB;
    let mut catalog = with_stores();
    let view = crate::model::View {
        id: TableId(30_000),
        schema: PUBLIC,
        name: "v".to_owned(),
        owner: RoleId(10),
        query: "SELECT 1".to_owned(),
        columns: Vec::new(),
        materialized: Some(crate::rollup::Materialized {
            table: TableId(20_001),
            populated: true,
            continuous: None,
        }),
        check: None,
        invoker: None,
        barrier: None,
        defaults: Default::default(),
    };
    let create = Change::CreateView {
        database,
        view,
        replace: false,
    };
    catalog.apply(&create).unwrap();
    let drop = Change::DropView {
        database,
        id: TableId(30_000),
    };
    let refused = CatalogError::RelationInUse("store".into());
    assert_eq!(catalog.apply(&drop), Err(refused));
    let coarser = Change::DropTable {
        database,
        id: TableId(20_002),
    };
    catalog.apply(&coarser).unwrap();
    catalog.apply(&drop).unwrap();
    assert!(catalog.table(DB, TableId(20_001)).is_none());
    assert!(catalog.databases[&DB].stores.is_empty());
}

#[test]
fn marks_come_and_go_by_changes_and_survive_a_checkpoint() {
    let (database, table) = (DB, TableId(20_001));
    let mut catalog = with_stores();
    for change in [
        Change::Invalidate {
            database,
            table,
            range: 0..100,
        },
        Change::Invalidate {
            database,
            table,
            range: 50..60,
        },
        Change::Revalidate {
            database,
            table,
            range: 0..70,
            upto: 1,
        },
        Change::Freeze {
            database,
            table,
            range: 90..200,
        },
    ] {
        let text = serde_json::to_string(&change).unwrap();
        assert_eq!(serde_json::from_str::<Change>(&text).unwrap(), change);
        catalog.apply(&change).unwrap();
    }
    let bytes = crate::encode(&catalog, chronolith_types::Lsn(7)).unwrap();
    let read = crate::decode(&bytes).unwrap().catalog;
    assert_eq!(read, catalog);
    let rollup = read.table(DB, table).unwrap().rollup.clone().unwrap();
    let marks = rollup.invalid.iter().map(|mark| mark.range.clone());
    assert_eq!(marks.collect::<Vec<_>>(), [50..60, 70..90]);
    assert_eq!(rollup.frozen.first(), Some(&(90..200)));
    assert_eq!(rollup.frozen.len(), 1);
}

#[test]
fn a_catalog_of_before_there_were_stores_is_read() {
    let mut catalog = Catalog::default();
    catalog.apply(&create("t")).unwrap();
    let mut text = serde_json::to_value(&catalog).unwrap();
    let database = &mut text["databases"]["5"];
    assert!(database.as_object_mut().unwrap().remove("stores").is_some());
    let table = &mut database["tables"]["20000"];
    assert!(table.as_object_mut().unwrap().remove("rollup").is_some());
    assert_eq!(serde_json::from_value::<Catalog>(text).unwrap(), catalog);
}

#[test]
fn parts_come_where_those_were_that_go() {
    let mut catalog = Catalog::default();
    for change in [create("t"), hypertable(), chunk(1, 0)] {
        catalog.apply(&change).unwrap();
    }
    let mut replace = |removed: &[u64], added: &[u64]| -> Vec<u64> {
        let change = Change::ReplaceParts {
            database: DB,
            table: T,
            chunk: ChunkId(1),
            removed: removed.iter().copied().map(PartId).collect(),
            added: added.iter().copied().map(part).collect(),
            compressed: None,
        };
        catalog.apply(&change).unwrap();
        let chunk = &catalog.table(DB, T).unwrap().chunks[&ChunkId(1)];
        chunk.parts.iter().map(|part| part.id.0).collect()
    };
    assert_eq!(replace(&[], &[1, 2, 3, 4]), [1, 2, 3, 4]);
    assert_eq!(replace(&[2], &[5, 6]), [1, 5, 6, 3, 4]);
    assert_eq!(replace(&[5, 6], &[]), [1, 3, 4]);
    assert_eq!(replace(&[3, 4], &[7]), [1, 7]);
    assert_eq!(replace(&[7, 1], &[8]), [8]);
}

#[test]
fn a_mark_on_what_is_marked_makes_no_plan_stale() {
    let mut catalog = with_stores();
    let mut mark = |range: std::ops::Range<i64>| -> (u64, u64) {
        let before = catalog.version;
        let change = Change::Invalidate {
            database: DB,
            table: TableId(20_001),
            range,
        };
        catalog.apply(&change).unwrap();
        let rollup = &catalog.table(DB, TableId(20_001)).unwrap().rollup;
        (catalog.version - before, rollup.as_ref().unwrap().next_mark)
    };
    assert_eq!(mark(0..10), (1, 1));
    assert_eq!(mark(10..20), (1, 2));
    assert_eq!(mark(5..15), (0, 3));
    assert_eq!(mark(5..21), (1, 4));
}
