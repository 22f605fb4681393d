//! The fields of a row that comes as one value.

use chronolith_types::{SqlType, row, type_of_form};
use datafusion::common::ScalarValue;

use super::frame::{Field, Row};
use crate::error::Error;
use crate::functions::row_values;

/// The columns of a row that is a value.
pub(super) fn fields_of(value: &ScalarValue, ty: &SqlType) -> Result<Option<Vec<Field>>, Error> {
    if let (ScalarValue::Utf8View(Some(row)), Some(_)) = (value, ty.fields()) {
        let fields = row_values(row, ty).map_err(Error::from)?.into_iter();
        let fields = fields.map(|(name, ty, value)| Field { name, ty, value });
        return Ok(Some(fields.collect()));
    }
    let ScalarValue::Struct(row) = value else {
        return Ok(None);
    };
    let fields = row
        .fields()
        .iter()
        .zip(row.columns())
        .map(|(field, column)| {
            Ok(Field {
                name: field.name().clone(),
                ty: type_of_form(field.data_type()),
                value: ScalarValue::try_from_array(column, 0)?,
            })
        });
    fields.collect::<Result<Vec<_>, Error>>().map(Some)
}

/// The texts of the fields of a row's text, which a variable reads as its own.
pub(super) fn read_row(
    of: &Row,
    value: &ScalarValue,
    ty: &SqlType,
) -> Result<Option<Vec<Field>>, Error> {
    let (Some(known), ScalarValue::Utf8View(Some(text))) = (&of.fields, value) else {
        return Ok(None);
    };
    if !ty.is_text() {
        return Ok(None);
    }
    let texts = row::split(text.as_bytes(), known.len())?;
    let fields = known.iter().zip(texts).map(|(field, text)| {
        let text = text.map(String::from_utf8).transpose();
        let text = text.map_err(|_| Error::internal("a row's text is not UTF-8"))?;
        Ok(Field {
            name: field.name.clone(),
            ty: SqlType::Text,
            value: ScalarValue::Utf8View(text),
        })
    });
    fields.collect::<Result<_, Error>>().map(Some)
}
