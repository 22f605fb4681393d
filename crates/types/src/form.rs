//! What a column's form alone says of its type: all that is known of the fields of a row that
//! has no type of its own.

use arrow_schema::DataType;

use crate::sqltype::SqlType;

/// The type of a field of which only the form is known.
#[must_use]
pub fn type_of_form(arrow: &DataType) -> SqlType {
    match arrow {
        DataType::Boolean => SqlType::Bool,
        DataType::Int16 => SqlType::Int2,
        DataType::Int32 => SqlType::Int4,
        DataType::Int64 => SqlType::Int8,
        DataType::UInt32 => SqlType::Oid,
        DataType::Float32 => SqlType::Float4,
        DataType::Float64 => SqlType::Float8,
        DataType::Decimal128(..) | DataType::Decimal256(..) => SqlType::Numeric(None),
        DataType::BinaryView => SqlType::Bytea,
        DataType::Date32 => SqlType::Date,
        DataType::Time64(_) => SqlType::Time(None),
        DataType::Timestamp(_, None) => SqlType::Timestamp(None),
        DataType::Timestamp(_, Some(_)) => SqlType::Timestamptz(None),
        DataType::Interval(_) => SqlType::Interval(None),
        DataType::FixedSizeBinary(16) => SqlType::Uuid,
        DataType::List(item) => type_of_form(item.data_type()).array_of(),
        DataType::Struct(_) => SqlType::Record,
        _ => SqlType::Text,
    }
}
