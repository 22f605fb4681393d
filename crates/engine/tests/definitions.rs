//! What exists, on a disk that loses power: what reopens is what there was after one of the changes,
//! and none that was acknowledged is missing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use chronolith_catalog::{Catalog, Change, Constraint, ConstraintKind, ConstraintMarks, Index};
use chronolith_engine::{Engine, EngineError, Isolation};
use chronolith_platform::sim::{Fault, SimDisk};
use chronolith_types::{IndexId, RangeKind, SqlType, UserKind, UserType};

mod shared;
use shared::{DB, TICKS, TOTALS, column, create, open};

/// The rows of the totals, once they have so many columns.
fn rows(columns: u32) -> Arc<UserType> {
    let field = |number| (format!("f{number}"), SqlType::Int8);
    Arc::new(UserType {
        oid: 26_000,
        array: 26_001,
        name: "totals".to_owned(),
        kind: UserKind::Composite((0..columns).map(field).collect()),
    })
}

/// Changes that are each committed alone.
fn changes() -> Vec<Vec<Change>> {
    let (database, table) = (DB, TICKS);
    let exclude = ConstraintKind::Exclude {
        operators: vec!["=".to_owned(), "&&".to_owned()],
    };
    let change_rows = |columns| Change::ChangeRows {
        database,
        ty: rows(columns),
    };
    let add = |id, name: &str, ty| Change::AddColumn {
        database,
        table,
        column: column(id, name, ty),
    };
    let nullable = |change| match change {
        Change::AddColumn {
            database,
            table,
            mut column,
        } => {
            column.not_null = false;
            Change::AddColumn {
                database,
                table,
                column,
            }
        }
        other => other,
    };
    vec![
        vec![nullable(add(9, "total", SqlType::User(rows(1))))],
        vec![change_rows(2)],
        vec![nullable(add(10, "during", SqlType::Range(RangeKind::Int4)))],
        vec![
            Change::AddConstraint {
                database,
                table,
                constraint: Constraint {
                    id: 26_010,
                    name: "apart".to_owned(),
                    kind: exclude,
                    marks: ConstraintMarks {
                        deferrable: true,
                        ..ConstraintMarks::default()
                    },
                },
            },
            Change::CreateIndex {
                database,
                table,
                index: Index {
                    id: IndexId(26_011),
                    name: "apart".to_owned(),
                    method: "gist".to_owned(),
                    keys: vec!["symbol".to_owned(), "during".to_owned()],
                    unique: false,
                    constraint: true,
                    predicate: Some("id > 0".to_owned()),
                    include: Vec::new(),
                    nulls_alike: false,
                    options: Vec::new(),
                    marks: Vec::new(),
                },
            },
        ],
        vec![change_rows(3)],
        vec![Change::DropConstraint {
            database,
            table,
            name: "apart".to_owned(),
        }],
    ]
}

fn commit(engine: &Arc<Engine>, changes: Vec<Change>) -> Result<(), EngineError> {
    let mut transaction = engine.begin(DB, Isolation::ReadCommitted);
    for change in changes {
        transaction.change(change)?;
    }
    transaction.commit()?;
    Ok(())
}

/// The tables as they are defined, in full: types of users are equal by their numbers alone. None
/// where they are not there yet.
fn tables(catalog: &Catalog) -> Option<String> {
    let table = |id| catalog.table(DB, id);
    Some(format!("{:?} {:?}", table(TICKS)?, table(TOTALS)?))
}

/// Each change, and a checkpoint behind every second; how many were acknowledged.
fn work(engine: &Arc<Engine>, done: &mut usize) -> Result<(), EngineError> {
    for (number, change) in changes().into_iter().enumerate() {
        commit(engine, change)?;
        *done = number + 1;
        if number % 2 == 1 {
            engine.checkpoint()?;
        }
    }
    Ok(())
}

#[test]
fn a_crash_at_any_operation_leaves_what_exists_whole() {
    let engine = open(&SimDisk::new(1), 1).unwrap();
    create(&engine).unwrap();
    let mut states = vec![tables(&engine.catalog()).unwrap()];
    for change in changes() {
        commit(&engine, change).unwrap();
        let state = tables(&engine.catalog()).unwrap();
        assert_ne!(Some(&state), states.last(), "a change that changes nothing");
        states.push(state);
    }
    let mut crashes = 0;
    for at in 0.. {
        let disk = SimDisk::new(2);
        disk.plan(at, Fault::PowerCut);
        let mut done = 0;
        let outcome = open(&disk, 2).and_then(|engine| {
            create(&engine)?;
            work(&engine, &mut done)
        });
        if outcome.is_ok() {
            break;
        }
        crashes += 1;
        let engine = open(&disk.crash(), 3).unwrap();
        let found = tables(&engine.catalog());
        let Some(found) = found else {
            assert_eq!(done, 0, "operation {at}: all is lost");
            continue;
        };
        let number = states.iter().position(|state| *state == found);
        let number = number.unwrap_or_else(|| panic!("operation {at}: {found}"));
        assert!(number >= done, "operation {at}: {number} of {done}");
        // The rest follows as if nothing had happened.
        for change in changes().into_iter().skip(number) {
            commit(&engine, change).unwrap();
        }
        assert_eq!(tables(&engine.catalog()).as_ref(), states.last());
    }
    assert!(crashes > 20, "{crashes}");
}
