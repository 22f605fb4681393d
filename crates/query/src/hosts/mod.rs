//! Who may come in from where: the rules of `pg_hba.conf`.
//!
//! [`words`](self) of a line become a [`Rule`], or PostgreSQL's words for what is wrong with it;
//! [`Rules::find`] gives the first that fits a [`Visitor`]. [`Hosts`] holds those in force, and the
//! [`Idents`] that rules with a map name.

mod address;
mod held;
mod ident;
mod read;
mod rules;
mod words;

pub use address::{Address, Network};
pub use held::Hosts;
pub(crate) use held::{entries, idents, reason};
pub use ident::{Idents, Mapping};
pub use read::{Entry, read};
pub use rules::{ClientCert, Kind, Method, Rule, Rules, Visitor, Word};
