//! What functions tell of objects: names, definitions and comments.
//!
//! An oid that names nothing gives None, which is SQL's NULL.

mod comments;
mod definitions;
mod names;
mod objects;
mod routines;

pub(crate) use comments::{
    column_comment, column_number, object_comment, oid_named, relation_named, shared_comment,
};
pub(in crate::catalogs) use comments::{recorded_comments, said, said_of_shared};
pub(in crate::catalogs) use definitions::{check_text, index_text, key_expressions, view_text};
pub(crate) use definitions::{
    constraintdef, expression, indexdef, is_call, ruledef, updatable, viewdef,
};
pub(crate) use names::{
    procedure_of, quoted, regclass_in, regclass_out, regnamespace_in, regnamespace_out, regproc_in,
    regproc_out, regprocedure_in, regprocedure_out, regrole_in, regrole_out, regtype_in,
    regtype_out, table_is_visible, to_regclass, to_regnamespace, to_regrole, to_regtype,
    type_is_visible, user_by_id,
};
pub(crate) use objects::{function_is_visible, object_words, operator_out};
pub(crate) use routines::{function_arguments, function_result, functiondef};
