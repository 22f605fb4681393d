#![allow(clippy::unwrap_used, reason = "a test's unwrap is its assertion")]

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryViewArray, Decimal128Array, Float64Array, Int32Array, Int64Array, ListArray,
    StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Int32Type, Schema};
use chronolith_types::SqlType;

use super::*;

fn batch(columns: &[Column], arrays: Vec<ArrayRef>) -> RecordBatch {
    let fields: Vec<Field> = columns
        .iter()
        .zip(&arrays)
        .map(|(column, array)| Field::new(&column.name, array.data_type().clone(), true))
        .collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

fn column(ty: SqlType) -> Column {
    Column {
        name: "c".to_owned(),
        ty,
        table_oid: 0,
        attribute: 0,
    }
}

/// The fields of the first row; None is NULL.
fn fields(message: &[u8]) -> Vec<Option<Vec<u8>>> {
    assert_eq!(message[0], b'D');
    let count = i16::from_be_bytes([message[5], message[6]]);
    let mut rest = &message[7..];
    (0..count)
        .map(|_| {
            let (length, after) = rest.split_first_chunk::<4>().unwrap();
            rest = after;
            let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
            let (value, after) = rest.split_at(length);
            rest = after;
            Some(value.to_vec())
        })
        .collect()
}

fn shown(ty: SqlType, array: ArrayRef, style: &OutputStyle) -> Option<String> {
    let columns = [column(ty)];
    let one = batch(&columns, vec![array]);
    let mut out = Vec::new();
    rows(&mut out, &one, 0..1, &columns, &[false], style).unwrap();
    let mut fields = fields(&out);
    fields
        .remove(0)
        .map(|value| String::from_utf8(value).unwrap())
}

#[test]
fn the_session_style_shapes_the_text() {
    let plain = OutputStyle::default();
    let style = OutputStyle {
        zone: TimeZone::parse("Asia/Kathmandu").unwrap(),
        bytea_escape: true,
        extra_float_digits: 0,
    };
    let at: ArrayRef =
        Arc::new(TimestampMicrosecondArray::from(vec![1_767_571_200_500_000]).with_timezone("UTC"));
    let show = |style| shown(SqlType::Timestamptz(None), Arc::clone(&at), style).unwrap();
    assert_eq!(show(&plain), "2026-01-05 00:00:00.5+00");
    assert_eq!(show(&style), "2026-01-05 05:45:00.5+05:45");
    let bytes: ArrayRef = Arc::new(BinaryViewArray::from_iter_values([b"a\\\xff"]));
    let show = |style| shown(SqlType::Bytea, Arc::clone(&bytes), style).unwrap();
    assert_eq!(show(&plain), "\\x615cff");
    assert_eq!(show(&style), "a\\\\\\377");
    let sum: ArrayRef = Arc::new(Float64Array::from(vec![0.1 + 0.2]));
    let show = |style| shown(SqlType::Float8, Arc::clone(&sum), style).unwrap();
    assert_eq!(show(&plain), "0.30000000000000004");
    assert_eq!(show(&style), "0.3");
}

#[test]
fn nulls_arrays_and_padding_are_as_postgresql_sends_them() {
    let style = OutputStyle::default();
    let null: ArrayRef = Arc::new(Int32Array::from(vec![None::<i32>]));
    assert_eq!(shown(SqlType::Int4, null, &style), None);
    let of_nothing = arrow::array::new_null_array(&arrow::datatypes::DataType::Null, 1);
    assert_eq!(shown(SqlType::Text, of_nothing, &style), None);
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None])]);
    let list: ArrayRef = Arc::new(list);
    let ints = SqlType::Array(Box::new(SqlType::Int4));
    assert_eq!(shown(ints, list, &style).unwrap(), "{1,NULL}");
    let padded: ArrayRef = Arc::new(StringViewArray::from(vec!["ab"]));
    assert_eq!(
        shown(SqlType::Char(Some(4)), padded, &style).unwrap(),
        "ab  "
    );
}

#[test]
fn formats_are_of_each_column_its_own() {
    let columns = [
        column(SqlType::Int8),
        column(SqlType::Int8),
        column(SqlType::Jsonb),
    ];
    let n: ArrayRef = Arc::new(Int64Array::from(vec![258]));
    let j: ArrayRef = Arc::new(StringViewArray::from(vec!["{}"]));
    let one = batch(&columns, vec![Arc::clone(&n), n, j]);
    let mut out = Vec::new();
    let binary = [false, true, true];
    rows(
        &mut out,
        &one,
        0..1,
        &columns,
        &binary,
        &OutputStyle::default(),
    )
    .unwrap();
    let expected: [&[u8]; 3] = [b"258", &[0, 0, 0, 0, 0, 0, 1, 2], b"\x01{}"];
    let got: Vec<Vec<u8>> = fields(&out).into_iter().flatten().collect();
    assert_eq!(got, expected);
    let announced = u32::from_be_bytes(out[1..5].try_into().unwrap());
    assert_eq!(usize::try_from(announced).unwrap(), out.len() - 1);
}

/// `cargo test --release -p chronolith-server rows_a_second -- --ignored --nocapture`
#[test]
#[ignore = "a stopwatch; docs/performance.md has its figures"]
fn rows_a_second() {
    const ROWS: i32 = 1_000_000;
    let count = || 0..i64::from(ROWS);
    let columns = [
        column(SqlType::Timestamptz(None)),
        column(SqlType::Text),
        column(SqlType::Numeric(Some((20, 8)))),
        column(SqlType::Float8),
        column(SqlType::Int8),
    ];
    let ts = TimestampMicrosecondArray::from_iter_values(
        count().map(|i| 1_767_571_200_000_000 + i * 86_123),
    );
    let symbol =
        StringViewArray::from_iter_values(count().map(|i| format!("SYM{:03}USDT", i % 50)));
    let price = Decimal128Array::from_iter_values(
        count().map(|i| 4_000_000_000_000 + i128::from(i * 1_000_003)),
    )
    .with_data_type(SqlType::Numeric(Some((20, 8))).arrow());
    let volume = Float64Array::from_iter_values((0..ROWS).map(|i| f64::from(i) * 0.125));
    let size = Int64Array::from_iter_values(count().map(|i| i % 997));
    let one = batch(
        &columns,
        vec![
            Arc::new(ts.with_timezone("UTC")),
            Arc::new(symbol),
            Arc::new(price),
            Arc::new(volume),
            Arc::new(size),
        ],
    );
    for (name, binary) in [("text", [false; 5]), ("binary", [true; 5])] {
        for zone in ["UTC", "Europe/Zurich"] {
            let style = OutputStyle {
                zone: TimeZone::parse(zone).unwrap(),
                ..OutputStyle::default()
            };
            let mut out = Vec::new();
            let mut best = f64::MAX;
            for _ in 0..5 {
                #[expect(clippy::disallowed_methods, reason = "a stopwatch")]
                let start = std::time::Instant::now();
                for from in (0..one.num_rows()).step_by(8192) {
                    out.clear();
                    let to = (from + 8192).min(one.num_rows());
                    rows(&mut out, &one, from..to, &columns, &binary, &style).unwrap();
                }
                best = best.min(start.elapsed().as_secs_f64());
            }
            let rate = f64::from(ROWS) / best / 1e6;
            eprintln!("{name}, {zone}: {rate:.2} million rows/s");
        }
    }
}
