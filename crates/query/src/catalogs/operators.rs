//! Operators of one type's values, and the families of them that indexes are made by.

use chronolith_types::SqlType;

use super::classes::access_method;
use super::recorded;
use super::routines::{class_named, operator_class, stand_in};

/// An operator that stands between two values of one type.
#[derive(Debug, Clone)]
pub(crate) struct Between {
    pub(crate) oid: u32,
    /// Whether it says the same of the values in either order.
    pub(crate) commutes: bool,
    /// Its name and types, as messages have them.
    pub(crate) shown: String,
}

/// The operator of a name between two values of a type.
pub(crate) fn operator_between(name: &str, ty: &SqlType) -> Option<Between> {
    let of = stand_in(ty);
    let mut all = recorded::lines(include_str!("recorded/pg_operator.tsv"));
    let found = all.find(|fields| {
        let at = |place| recorded::oid(fields, place);
        fields.get(1) == Some(&name) && at(7) == of.oid() && at(8) == of.oid()
    })?;
    let oid = recorded::oid(&found, 0);
    Some(Between {
        oid,
        commutes: recorded::oid(&found, 10) == oid,
        shown: format!("{name}({of},{of})"),
    })
}

/// Number and name of the family that an index of a type's values is made by.
pub(crate) fn family_of(
    method: &str,
    class: Option<&str>,
    ty: &SqlType,
) -> Option<(u32, &'static str)> {
    let class = match class {
        Some(name) => class_named(method, name, ty)?.ok()?.0,
        None => operator_class(access_method(method), ty),
    };
    let mut classes = recorded::lines(include_str!("recorded/pg_opclass.tsv"));
    let found = classes.find(|fields| recorded::oid(fields, 0) == class)?;
    let family = recorded::oid(&found, 5);
    let mut families = recorded::lines(include_str!("recorded/pg_opfamily.tsv"));
    let found = families.find(|fields| recorded::oid(fields, 0) == family)?;
    Some((family, found.get(2)?))
}

/// Whether an index of a family finds rows by an operator.
pub(crate) fn is_member(family: u32, operator: u32) -> bool {
    let mut all = recorded::lines(include_str!("recorded/pg_amop.tsv"));
    all.any(|fields| {
        let at = |place| recorded::oid(&fields, place);
        at(1) == family && at(6) == operator && fields.get(5) == Some(&"s")
    })
}

/// The family of GiST that the extension `btree_gist` has for a type.
pub(crate) fn btree_gist_family(ty: &SqlType) -> Option<&'static str> {
    Some(match ty.without_typmod() {
        SqlType::Bool => "gist_bool_ops",
        SqlType::Int2 => "gist_int2_ops",
        SqlType::Int4 => "gist_int4_ops",
        SqlType::Int8 => "gist_int8_ops",
        SqlType::Float4 => "gist_float4_ops",
        SqlType::Float8 => "gist_float8_ops",
        SqlType::Numeric(_) => "gist_numeric_ops",
        SqlType::Text | SqlType::Varchar(_) => "gist_text_ops",
        SqlType::Char(_) => "gist_bpchar_ops",
        SqlType::Bytea => "gist_bytea_ops",
        SqlType::Date => "gist_date_ops",
        SqlType::Time(_) => "gist_time_ops",
        SqlType::Timetz(_) => "gist_timetz_ops",
        SqlType::Timestamp(_) => "gist_timestamp_ops",
        SqlType::Timestamptz(_) => "gist_timestamptz_ops",
        SqlType::Interval(_) => "gist_interval_ops",
        SqlType::Uuid => "gist_uuid_ops",
        SqlType::Oid => "gist_oid_ops",
        SqlType::Macaddr => "gist_macaddr_ops",
        SqlType::Inet => "gist_inet_ops",
        SqlType::Cidr => "gist_cidr_ops",
        SqlType::User(of) if of.labels().is_some() => "gist_enum_ops",
        _ => return None,
    })
}
