//! Text of SQL to statements, by PostgreSQL's grammar.
//!
//! Knows words and shapes, not what tables or functions exist. Queries and the statements that
//! change rows are `sqlparser`'s trees (re-exported as [`ast`]); every other statement is read by
//! our own parser over the same tokens. Start at [`parse`] and [`Statement`].
//!
//! # Invariants
//! - No text makes it panic or overflow the stack: nesting that is too deep is `54001`.
//! - Every unquoted identifier in a tree is already folded to lower case and cut to 63 bytes.
//! - Every span in a tree is on line 1, and its column is the 1-based character position in the
//!   text given to [`parse`].

mod alike;
mod alter;
mod changes;
mod constants;
mod copy;
mod create;
mod cursor;
mod definitions;
mod dialect;
mod error;
mod forms;
mod grant;
mod joins;
mod lexemes;
mod literals;
mod lock;
mod misplaced;
mod normal;
mod operators;
mod parse;
pub mod plpgsql;
mod policy;
mod publication;
mod reader;
mod refused;
mod rename;
mod routine;
mod sequence;
mod session;
mod statement;
mod targets;
mod tokens;
mod trigger;
mod typed;
mod types;
mod user_types;

pub use alike::{AlikeRows, Differing};
pub use changes::{
    ConflictTarget, DEFAULT_VALUES, DO_NOTHING, OVERRIDING_SYSTEM, OVERRIDING_USER,
    conflict_target, current_of,
};
pub use constants::{Constants, constants_apart};
pub use cursor::{expression, query};
pub use error::SqlError;
pub use forms::{Cycle, Exclusion, ROWS_FROM, Recursion, Search, exclusion};
pub use literals::{Literal, Literals};
pub use lock::{Lock, LockKind};
pub use normal::{Normalised, normalised};
pub use operators::operator_before;
pub use parse::{Parsed, parse};
pub use policy::PolicyStatement;
pub use publication::{AlterPublication, CreatePublication, PublicationAction, PublicationObject};
pub use rename::{
    alias_columns, calls, edited, names_column, names_relation, names_word, qualified_names,
    quoted, reads_column, rename_column, rename_places, rename_relation,
};
pub use routine::{
    AlterRoutine, CreateRoutine, Returns, RoutineAction, RoutineArg, RoutineMarks, TypeRef,
};
pub use sequence::{
    AlterSequence, ColumnIdentity, CreateSequence, IdentityChange, IdentityDef, SequenceOptions,
};
pub use sqlparser::ast;
pub use statement::*;
pub use targets::{Assigned, assigned, is_part, part_call};
pub use tokens::WEAKER_LOCK;
pub use trigger::CreateTrigger;
pub use types::{check_modifiers, type_of, type_or_name};
