//! GET DIAGNOSTICS.

use chronolith_sql::plpgsql::Target;
use chronolith_types::{SqlState, SqlType};
use datafusion::common::ScalarValue;

use super::machine::Machine;
use crate::error::Error;

impl Machine<'_> {
    pub(super) async fn diagnose(
        &mut self,
        stacked: bool,
        line: usize,
        items: &[(Target, String)],
    ) -> Result<(), Error> {
        if stacked && self.handled.is_empty() {
            return Err(Error::new(
                SqlState::new(b"0Z002"),
                "GET STACKED DIAGNOSTICS cannot be used outside an exception handler",
            ));
        }
        for (target, item) in items {
            let (value, ty) = match item.as_str() {
                "row_count" => (
                    ScalarValue::Int64(i64::try_from(self.row_count).ok()),
                    SqlType::Int8,
                ),
                _ => (
                    ScalarValue::Utf8View(Some(self.diagnosis(item, stacked, line))),
                    SqlType::Text,
                ),
            };
            self.assign(target, value, &ty).await?;
        }
        Ok(())
    }

    fn diagnosis(&self, item: &str, stacked: bool, line: usize) -> String {
        if item == "pg_context" {
            return format!(
                "PL/pgSQL function {} line {line} at GET {}DIAGNOSTICS",
                self.signature,
                if stacked { "STACKED " } else { "" }
            );
        }
        let Some(error) = self.handled.last() else {
            return String::new();
        };
        let found = match item {
            "returned_sqlstate" => return error.code.as_str().to_owned(),
            "message_text" => return error.message.clone(),
            "pg_exception_detail" => &error.detail,
            "pg_exception_hint" => &error.hint,
            "pg_exception_context" => &error.context,
            "column_name" => &error.column,
            "constraint_name" => &error.constraint,
            "table_name" => &error.table,
            "schema_name" => &error.schema,
            "pg_datatype_name" => &error.datatype,
            _ => &None,
        };
        found.clone().unwrap_or_default()
    }
}
