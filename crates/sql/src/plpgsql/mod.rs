//! PL/pgSQL: the text of a body to its statements.
//!
//! Knows the language's shapes; expressions and queries within are read by the rest of this crate and
//! kept with their text. What is outside is refused by its name. Start at [`body`].

mod cursors;
mod parse;
mod statements;
mod tree;

pub use parse::body;
pub use tree::{
    Arm, Block, Bound, Command, Conflict, Declaration, DeclaredType, Direction, Handler, Into,
    Level, Open, Options, Raise, Sql, Stmt, StmtKind, Target, Wanted,
};
