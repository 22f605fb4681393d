#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use chronolith_types::{ColumnId, HypertableId, IndexId, PartId, RoleId, SqlType};

use super::*;
use crate::table::{Hypertable, Part, PartFile};

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
            ty: SqlType::Timestamptz,
            not_null: true,
            default: None,
            missing: None,
            comment: None,
        }],
        next_column: ColumnId(2),
        constraints: Vec::new(),
        indexes: Vec::new(),
        hypertable: None,
        chunks: BTreeMap::new(),
        comment: None,
        acl: None,
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
            integer_now: None,
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
        deleted: Vec::new(),
    })
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
        },
    };
    let view = |name: &str| crate::model::View {
        id: TableId(30_000),
        schema: PUBLIC,
        name: name.to_owned(),
        owner: RoleId(10),
        query: "SELECT 1".to_owned(),
        columns: Vec::new(),
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
        Change::SetTableAcl {
            database,
            id,
            acl: Some(vec!["=r/postgres".to_owned()]),
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
