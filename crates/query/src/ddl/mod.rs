//! Statements that change what exists.
//!
//! Each becomes catalog changes in the session's transaction: seen by it at once, by others when
//! it commits. Start at [`run`]; hypertables, which functions make too, are in [`hypertable`].

mod alter;
mod alter_type;
mod attributes;
pub(crate) mod columnstore;
pub(crate) mod comment;
mod constraint;
mod declared;
mod dependents;
mod drop;
mod drop_schema;
mod drop_type;
mod exclude;
mod extension;
mod grant;
mod held;
pub(crate) mod hypertable;
mod index;
mod index_classes;
pub(crate) mod materialized;
pub(crate) mod named;
mod options;
mod owned;
mod policy;
mod publication;
mod renamed;
mod role;
mod routine;
mod rows;
mod run;
mod schema;
mod sequence;
mod table;
mod trigger;
mod user_types;
mod view;

pub(crate) use alter::{keep_views, moved_views, role_of};
pub(crate) use declared::{declared, domain_of, row_type};
pub(crate) use drop::drop_table;
pub(crate) use index::{told_apart, word_of};
pub(crate) use named::routine_there;
pub(crate) use options::TableOptions;
pub(crate) use renamed::Renamed;
pub(crate) use run::{owner, run};
pub(crate) use sequence::not_a_sequence;
pub(crate) use table::{check_name, create as create_table, create_as};
pub(crate) use view::{
    columns_of as view_columns, create as create_view, readers, text_of as view_text,
};
