//! Roles, objects, and what each role has been granted of each.

use super::statements::{Need, Right, Statement};

/// What statements are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Object {
    /// A plain table.
    Table,
    /// A hypertable.
    Hyper,
    /// The hypertable's chunk, which functions name.
    Chunk,
    /// A view of the table, read with the rights of its owner.
    View,
    /// A view of the table, read with the rights of who asks.
    Invoker,
    /// A continuous aggregate over the hypertable.
    Aggregate,
    /// A materialized view of the table.
    Kept,
    /// A sequence.
    Sequence,
    /// A function that reads the table with the rights of who calls it.
    ReadsAsCaller,
    /// A function that reads the table with the rights of its owner.
    ReadsAsOwner,
    /// A function that writes into the table with the rights of who calls it.
    WritesAsCaller,
    /// A function that writes into the table with the rights of its owner.
    WritesAsOwner,
}

pub(crate) const OBJECTS: &[Object] = &[
    Object::Table,
    Object::Hyper,
    Object::Chunk,
    Object::View,
    Object::Invoker,
    Object::Aggregate,
    Object::Kept,
    Object::Sequence,
    Object::ReadsAsCaller,
    Object::ReadsAsOwner,
    Object::WritesAsCaller,
    Object::WritesAsOwner,
];

impl Object {
    pub(crate) fn in_postgres(self) -> bool {
        !matches!(self, Self::Hyper | Self::Chunk | Self::Aggregate)
    }

    /// Its name; a chunk's is found when it is there.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Table => "m.t",
            Self::Hyper => "m.h",
            Self::Chunk => "",
            Self::View => "m.v",
            Self::Invoker => "m.i",
            Self::Aggregate => "m.c",
            Self::Kept => "m.k",
            Self::Sequence => "m.s",
            Self::ReadsAsCaller => "m.reads_as_caller",
            Self::ReadsAsOwner => "m.reads_as_owner",
            Self::WritesAsCaller => "m.writes_as_caller",
            Self::WritesAsOwner => "m.writes_as_owner",
        }
    }

    pub(crate) fn is_function(self) -> bool {
        matches!(
            self,
            Self::ReadsAsCaller | Self::ReadsAsOwner | Self::WritesAsCaller | Self::WritesAsOwner
        )
    }
}

/// Each connects as itself.
pub(crate) const ROLES: &[&str] = &[
    "boss",
    "holder",
    "reader",
    "writer",
    "trader",
    "columns",
    "viewer",
    "caller",
    "member",
    "noinherit",
    "outside",
    "stranger",
];

/// A grant: to whom, of what, on what; columns where it is of those alone.
struct Grant {
    role: &'static str,
    rights: &'static [Right],
    on: &'static [Object],
    columns: &'static [&'static str],
}

const RELATIONS: &[Object] = &[
    Object::Table,
    Object::Hyper,
    Object::View,
    Object::Invoker,
    Object::Aggregate,
    Object::Kept,
    Object::Sequence,
];
const TABLES: &[Object] = &[Object::Table, Object::Hyper];
const FUNCTIONS: &[Object] = &[
    Object::ReadsAsCaller,
    Object::ReadsAsOwner,
    Object::WritesAsCaller,
    Object::WritesAsOwner,
];
const WRITABLE: &[Object] = &[Object::Table, Object::Hyper, Object::View, Object::Invoker];
const ROWS: &[Right] = &[Right::Select, Right::Insert, Right::Update, Right::Delete];
const NONE: &[&str] = &[];

const GRANTS: &[Grant] = &[
    Grant {
        role: "reader",
        rights: &[Right::Select],
        on: RELATIONS,
        columns: NONE,
    },
    Grant {
        role: "reader",
        rights: &[Right::Execute],
        on: FUNCTIONS,
        columns: NONE,
    },
    Grant {
        role: "writer",
        rights: &[Right::Insert, Right::Update, Right::Delete],
        on: WRITABLE,
        columns: NONE,
    },
    Grant {
        role: "writer",
        rights: &[Right::Execute],
        on: FUNCTIONS,
        columns: NONE,
    },
    Grant {
        role: "trader",
        rights: ROWS,
        on: WRITABLE,
        columns: NONE,
    },
    Grant {
        role: "trader",
        rights: &[Right::Truncate],
        on: TABLES,
        columns: NONE,
    },
    Grant {
        role: "writer",
        rights: &[Right::Update],
        on: &[Object::Sequence],
        columns: NONE,
    },
    Grant {
        role: "trader",
        rights: &[Right::Usage],
        on: &[Object::Sequence],
        columns: NONE,
    },
    Grant {
        role: "trader",
        rights: &[Right::Trigger, Right::References],
        on: TABLES,
        columns: NONE,
    },
    Grant {
        role: "columns",
        rights: &[Right::Select],
        on: TABLES,
        columns: &["k"],
    },
    Grant {
        role: "columns",
        rights: &[Right::Insert],
        on: TABLES,
        columns: &["k", "at"],
    },
    Grant {
        role: "columns",
        rights: &[Right::Update],
        on: TABLES,
        columns: &["v"],
    },
    Grant {
        role: "viewer",
        rights: &[Right::Select],
        on: &[
            Object::View,
            Object::Invoker,
            Object::Aggregate,
            Object::Kept,
        ],
        columns: NONE,
    },
    Grant {
        role: "caller",
        rights: &[Right::Execute],
        on: FUNCTIONS,
        columns: NONE,
    },
    Grant {
        role: "outside",
        rights: ROWS,
        on: WRITABLE,
        columns: NONE,
    },
    Grant {
        role: "outside",
        rights: &[Right::Select],
        on: &[Object::Aggregate, Object::Kept, Object::Sequence],
        columns: NONE,
    },
    Grant {
        role: "outside",
        rights: &[Right::Execute],
        on: FUNCTIONS,
        columns: NONE,
    },
];

/// Roles that are members of `trader`, and whether they have its rights without asking.
const MEMBERS: &[(&str, bool)] = &[("member", true), ("noinherit", false)];

/// Whether a role has a right by itself or by one that it is a member of. The owner has all.
fn holds(role: &str, object: Object, right: Right, column: Option<&str>) -> bool {
    if matches!(role, "boss" | "holder") {
        return true;
    }
    // A chunk has what its hypertable has.
    let object = match object {
        Object::Chunk => Object::Hyper,
        other => other,
    };
    let inherits = MEMBERS
        .iter()
        .any(|(name, inherits)| *name == role && *inherits);
    GRANTS.iter().any(|grant| {
        (grant.role == role || inherits && grant.role == "trader")
            && grant.on.contains(&object)
            && grant.rights.contains(&right)
            && (grant.columns.is_empty()
                || column.is_some_and(|name| grant.columns.contains(&name)))
    })
}

const COLUMNS: &[&str] = &["k", "at", "v"];

fn meets(role: &str, object: Object, need: &Need) -> bool {
    match need {
        Need::Columns(right, columns) => columns
            .iter()
            .all(|column| holds(role, object, *right, Some(column))),
        Need::AnyColumn(right) => COLUMNS
            .iter()
            .any(|column| holds(role, object, *right, Some(column))),
        Need::Whole(right) => holds(role, object, *right, None),
        Need::AnyOf(rights) => rights.iter().any(|right| holds(role, object, *right, None)),
        Need::Own => matches!(role, "boss" | "holder"),
    }
}

/// Whether a role may run a statement.
pub(crate) fn allowed(role: &str, object: Object, statement: &Statement, found: bool) -> bool {
    // Names of a schema that one may not use are not found at all, but for the superuser. Chunks lie
    // in a schema that everybody may use. `found` is whether somebody else has found the names already.
    if role == "outside" && object != Object::Chunk && !found {
        return false;
    }
    let meets_all = |object| statement.needs.iter().all(|need| meets(role, object, need));
    let called = || holds(role, object, Right::Execute, None);
    // What is done to a thing itself is its owner's, whatever it reads.
    if statement.needs.iter().any(|need| matches!(need, Need::Own)) {
        return meets(role, object, &Need::Own);
    }
    match object {
        // Both the view and what is beneath it are asked for.
        Object::Invoker => meets_all(Object::Invoker) && meets_all(Object::Table),
        Object::ReadsAsCaller => {
            called() && meets(role, Object::Table, &Need::Columns(Right::Select, &["v"]))
        }
        Object::WritesAsCaller => {
            called() && meets(role, Object::Table, &Need::Columns(Right::Insert, COLUMNS))
        }
        Object::ReadsAsOwner | Object::WritesAsOwner => called(),
        other => meets_all(other),
    }
}

/// What makes roles, objects and grants; with hypertables where there are any.
pub(crate) fn setup(hypertables: bool) -> Vec<String> {
    let mut all = Vec::new();
    for role in ROLES {
        let more = match *role {
            "boss" => " SUPERUSER",
            "noinherit" => " NOINHERIT",
            _ => "",
        };
        all.push(format!("CREATE ROLE {role} LOGIN{more}"));
    }
    for (member, _) in MEMBERS {
        all.push(format!("GRANT trader TO {member}"));
    }
    all.push("CREATE SCHEMA m AUTHORIZATION holder".to_owned());
    // Where everybody may make functions.
    all.push("CREATE SCHEMA own; GRANT ALL ON SCHEMA own TO PUBLIC".to_owned());
    for role in ROLES.iter().filter(|role| **role != "outside") {
        all.push(format!("GRANT USAGE ON SCHEMA m TO {role}"));
    }
    all.push("SET ROLE holder".to_owned());
    let table = |name: &str| {
        format!(
            "CREATE TABLE {name} (k int, at timestamptz NOT NULL, v float8, PRIMARY KEY (k, at))"
        )
    };
    let rows = |name: &str| format!("INSERT INTO {name} VALUES (1, '2025-01-01 00:00+00', 1.5)");
    all.extend([table("m.t"), rows("m.t")]);
    if hypertables {
        all.push(table("m.h"));
        all.push("SELECT create_hypertable('m.h', 'at')".to_owned());
        all.push(rows("m.h"));
        all.push("ALTER TABLE m.h SET (timescaledb.compress)".to_owned());
        all.push("CREATE MATERIALIZED VIEW m.c WITH (timescaledb.continuous) AS SELECT time_bucket('1 day', at) AS k, count(*) AS at, max(v) AS v FROM m.h GROUP BY 1".to_owned());
    }
    all.push("CREATE MATERIALIZED VIEW m.k AS SELECT k, at, v FROM m.t".to_owned());
    all.push("CREATE SEQUENCE m.s".to_owned());
    all.push(
        "CREATE FUNCTION m.tells() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"
            .to_owned(),
    );
    all.push("CREATE VIEW m.v AS SELECT k, at, v FROM m.t".to_owned());
    all.push(
        "CREATE VIEW m.i WITH (security_invoker = true) AS SELECT k, at, v FROM m.t".to_owned(),
    );
    for (kind, body) in [
        ("reads", "RETURN (SELECT max(v) FROM m.t)"),
        (
            "writes",
            "INSERT INTO m.t VALUES (7, '2025-01-03', 7); RETURN 1",
        ),
    ] {
        for (whose, security) in [("caller", "INVOKER"), ("owner", "DEFINER")] {
            let name = format!("m.{kind}_as_{whose}()");
            all.push(format!(
                "CREATE FUNCTION {name} RETURNS float8 LANGUAGE plpgsql SECURITY {security} AS $$ BEGIN {body}; END $$"
            ));
            all.push(format!("REVOKE EXECUTE ON FUNCTION {name} FROM PUBLIC"));
        }
    }
    for grant in GRANTS {
        for object in grant
            .on
            .iter()
            .filter(|object| hypertables || object.in_postgres())
        {
            let columns = match grant.columns {
                [] => String::new(),
                columns => format!(" ({})", columns.join(", ")),
            };
            let rights: Vec<String> = grant
                .rights
                .iter()
                .map(|right| format!("{}{columns}", right.name()))
                .collect();
            let name = match object {
                Object::Sequence => format!("SEQUENCE {}", object.name()),
                object if object.is_function() => format!("FUNCTION {}()", object.name()),
                object => object.name().to_owned(),
            };
            all.push(format!(
                "GRANT {} ON {name} TO {}",
                rights.join(", "),
                grant.role
            ));
        }
    }
    all.push("RESET ROLE".to_owned());
    all
}
