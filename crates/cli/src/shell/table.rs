//! Results as psql prints them.

use std::fmt::Write as _;

use chronolith::{Error, Rows, SqlType};

use crate::style;

/// How results are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Columns under their names.
    Aligned,
    /// Values alone, separated by `|`.
    Plain,
}

/// Prints a result, or its command tag when it has no columns.
pub(crate) fn print_rows(rows: &Rows, format: Format) -> anyhow::Result<()> {
    Ok(style::print(&render(rows, format)?)?)
}

fn render(rows: &Rows, format: Format) -> Result<String, Error> {
    if rows.columns().is_empty() {
        return Ok(match (format, rows.tag()) {
            (_, "") | (Format::Plain, _) => String::new(),
            (Format::Aligned, tag) => format!("{tag}\n"),
        });
    }
    let mut cells = Vec::with_capacity(rows.len());
    for row in rows.iter() {
        let texts: Result<Vec<_>, Error> = (0..row.len()).map(|column| row.text(column)).collect();
        cells.push(texts?);
    }
    Ok(match format {
        Format::Plain => plain(&cells),
        Format::Aligned => {
            let heads: Vec<Head> = rows
                .columns()
                .iter()
                .map(|column| Head {
                    name: column.name.clone(),
                    right: is_number(&column.ty),
                })
                .collect();
            aligned(&heads, &cells)
        }
    })
}

struct Head {
    name: String,
    /// Numbers stand at the right, so that their digits line up.
    right: bool,
}

fn plain(cells: &[Vec<Option<String>>]) -> String {
    let mut out = String::new();
    for row in cells {
        let texts: Vec<&str> = row
            .iter()
            .map(|cell| cell.as_deref().unwrap_or(""))
            .collect();
        let _ = writeln!(out, "{}", texts.join("|"));
    }
    out
}

fn aligned(heads: &[Head], cells: &[Vec<Option<String>>]) -> String {
    let mut widths: Vec<usize> = heads.iter().map(|head| width(&head.name)).collect();
    for row in cells {
        for (most, cell) in widths.iter_mut().zip(row) {
            let longest = shown(cell).split('\n').map(width).max().unwrap_or(0);
            *most = (*most).max(longest);
        }
    }
    let mut out = String::new();
    let last = heads.len().saturating_sub(1);
    for (index, (head, most)) in heads.iter().zip(&widths).enumerate() {
        let blanks = most - width(&head.name);
        let left = blanks / 2;
        let right = blanks - left;
        let _ = write!(out, " {:left$}{}{:right$} ", "", head.name, "");
        if index < last {
            out.push('|');
        }
    }
    out.push('\n');
    let rules: Vec<String> = widths.iter().map(|most| "-".repeat(most + 2)).collect();
    let _ = writeln!(out, "{}", rules.join("+"));
    for row in cells {
        write_row(&mut out, heads, &widths, row);
    }
    let _ = match cells.len() {
        1 => writeln!(out, "(1 row)\n"),
        count => writeln!(out, "({count} rows)\n"),
    };
    out
}

/// One row, over as many lines as its tallest value has; `+` marks a value that goes on.
fn write_row(out: &mut String, heads: &[Head], widths: &[usize], row: &[Option<String>]) {
    let lines: Vec<Vec<&str>> = row
        .iter()
        .map(|cell| shown(cell).split('\n').collect())
        .collect();
    let height = lines.iter().map(Vec::len).max().unwrap_or(1);
    let last = heads.len().saturating_sub(1);
    for level in 0..height {
        for (index, ((head, most), cell)) in heads.iter().zip(widths).zip(&lines).enumerate() {
            let text = cell.get(level).copied().unwrap_or("");
            let goes_on = level + 1 < cell.len();
            let blanks = most - width(text);
            let mark = if goes_on { "+" } else { " " };
            if head.right && !text.is_empty() {
                let _ = write!(out, " {:blanks$}{text}", "");
            } else if index < last || goes_on {
                let _ = write!(out, " {text}{:blanks$}", "");
            } else {
                let _ = write!(out, " {text}");
            }
            if index < last {
                let _ = write!(out, "{mark}|");
            } else if goes_on {
                out.push('+');
            }
        }
        out.push('\n');
    }
}

fn shown(cell: &Option<String>) -> &str {
    cell.as_deref().unwrap_or("")
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn is_number(ty: &SqlType) -> bool {
    matches!(
        ty,
        SqlType::Int2
            | SqlType::Int4
            | SqlType::Int8
            | SqlType::Float4
            | SqlType::Float8
            | SqlType::Numeric(_)
            | SqlType::Oid
            | SqlType::Xid
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_look_as_psql_prints_them() {
        let heads = [
            Head {
                name: "symbol".to_owned(),
                right: false,
            },
            Head {
                name: "n".to_owned(),
                right: true,
            },
            Head {
                name: "note".to_owned(),
                right: false,
            },
        ];
        let cells = [
            vec![
                Some("A".to_owned()),
                Some("1".to_owned()),
                Some("two\nlines".to_owned()),
            ],
            vec![
                Some("LONGER-ONE".to_owned()),
                Some("12345".to_owned()),
                None,
            ],
        ];
        let expected = "   symbol   |   n   | note  
------------+-------+-------
 A          |     1 | two  +
            |       | lines
 LONGER-ONE | 12345 | 
(2 rows)

";
        assert_eq!(aligned(&heads, &cells), expected);
    }
}
