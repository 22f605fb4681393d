//! Answers recorded from PostgreSQL 15.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Decimal128Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use chronolith_types::SqlType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::prelude::{SessionConfig, SessionContext, col};

use super::io::{self, Zone};
use super::*;

mod aggregates;
mod scalars;

fn vars() -> SessionVars {
    SessionVars {
        time_zone: "America/New_York".into(),
        transaction_us: 1_700_000_000_000_000,
        ..SessionVars::default()
    }
}

fn ty(name: &str) -> SqlType {
    SqlType::parse_name(name).unwrap()
}

/// `'text'::type`
fn lit(text: &str, name: &str) -> Typed {
    let ty = ty(name);
    Typed::literal(literal_from_text(text, &ty, &vars()).unwrap(), ty)
}

fn context() -> SessionContext {
    let mut config = SessionConfig::new();
    config.options_mut().extensions.insert(vars());
    SessionContext::new_with_config(config)
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// The text of what an expression answers, or its SQLSTATE and message.
fn answer(typed: Result<Typed, FunctionError>) -> String {
    let typed = match typed {
        Ok(typed) => typed,
        Err(error) => return format!("{}: {}", error.code.as_str(), error.message),
    };
    let frame = context()
        .read_empty()
        .unwrap()
        .select(vec![typed.expr.alias("a")])
        .unwrap();
    match wait(frame.collect()) {
        Ok(batches) => {
            let column = batches[0].column(0);
            assert_eq!(
                column.data_type(),
                &typed.arrow,
                "the Arrow type is the one promised"
            );
            shown(column, &typed.ty)
        }
        Err(error) => {
            let error = FunctionError::from(error);
            format!("{}: {}", error.code.as_str(), error.message)
        }
    }
}

fn shown(column: &ArrayRef, ty: &SqlType) -> String {
    let value = value::read(column, 0).unwrap();
    if value.is_null() {
        return "NULL".into();
    }
    io::write(&value, ty, &Zone::of(&vars())).unwrap()
}

fn op(left: Typed, name: &str, right: Typed) -> String {
    let found = operators(name)
        .iter()
        .find(|o| o.left.as_ref().is_some_and(|l| fits(l, &left.ty)) && fits(&o.right, &right.ty))
        .unwrap_or_else(|| panic!("{} {name} {}", left.ty, right.ty));
    let result = if found.result.is_pseudo() {
        left.ty.clone()
    } else {
        found.result.clone()
    };
    answer(found.apply(vec![left, right], &result))
}

fn fits(want: &SqlType, have: &SqlType) -> bool {
    *want == have.without_typmod()
        || match want {
            SqlType::AnyArray | SqlType::AnyCompatibleArray => matches!(have, SqlType::Array(_)),
            SqlType::Any | SqlType::AnyElement | SqlType::AnyCompatible | SqlType::AnyNonArray => {
                !matches!(have, SqlType::Array(_))
            }
            _ => false,
        }
}

fn call(name: &str, args: Vec<Typed>) -> String {
    let found = procs(name)
        .iter()
        .find(|p| {
            p.variadic.is_some()
                || (p.args.len() == args.len()
                    && p.args.iter().zip(&args).all(|(w, a)| fits(w, &a.ty)))
        })
        .unwrap_or_else(|| {
            panic!(
                "{name}({:?})",
                args.iter().map(|a| a.ty.name()).collect::<Vec<_>>()
            )
        });
    let result = match &found.result {
        SqlType::AnyElement => args[0]
            .ty
            .element()
            .cloned()
            .unwrap_or_else(|| args[0].ty.clone()),
        ty if ty.is_pseudo() && *ty != SqlType::Void && found.columns.is_empty() => {
            args[0].ty.clone()
        }
        ty => ty.clone(),
    };
    answer(found.scalar(args, &result))
}

#[test]
fn integer_arithmetic_is_checked() {
    assert_eq!(
        op(lit("2147483647", "int4"), "+", lit("1", "int4")),
        "22003: integer out of range"
    );
    assert_eq!(
        op(lit("9223372036854775807", "int8"), "*", lit("2", "int4")),
        "22003: bigint out of range"
    );
    assert_eq!(
        op(lit("1", "int4"), "/", lit("0", "int4")),
        "22012: division by zero"
    );
    assert_eq!(op(lit("-7", "int4"), "/", lit("2", "int4")), "-3");
    assert_eq!(op(lit("-7", "int4"), "%", lit("2", "int4")), "-1");
    assert_eq!(
        op(lit("1", "float8"), "/", lit("0", "float8")),
        "22012: division by zero"
    );
    assert_eq!(
        op(lit("1e308", "float8"), "*", lit("10", "float8")),
        "22003: value out of range: overflow"
    );
}

#[test]
fn numerics_keep_postgresql_scales() {
    assert_eq!(
        op(lit("1.50", "numeric"), "+", lit("2.125", "numeric")),
        "3.625"
    );
    assert_eq!(
        op(lit("1.50", "numeric"), "*", lit("2.10", "numeric")),
        "3.1500"
    );
    assert_eq!(
        op(lit("1", "numeric"), "/", lit("3", "numeric")),
        "0.33333333333333333333"
    );
    assert_eq!(
        op(lit("10.5", "numeric"), "/", lit("0", "numeric")),
        "22012: division by zero"
    );
    assert_eq!(
        op(
            lit("42000.12345678", "numeric(20,8)"),
            "*",
            lit("0.00120000", "numeric(20,8)")
        ),
        "50.4001481481360000"
    );
    assert_eq!(op(lit("1.10", "numeric"), "=", lit("1.1", "numeric")), "t");
    assert_eq!(op(lit("NaN", "numeric"), ">", lit("1", "numeric")), "t");
    assert_eq!(call("round", vec![lit("2.5", "numeric")]), "3");
    assert_eq!(
        call("round", vec![lit("2.345", "numeric"), lit("2", "int4")]),
        "2.35"
    );
    assert_eq!(call("sqrt", vec![lit("2", "numeric")]), "1.414213562373095");
    assert_eq!(call("ln", vec![lit("2", "numeric")]), "0.6931471805599453");
    assert_eq!(call("exp", vec![lit("1", "numeric")]), "2.7182818284590452");
    assert_eq!(
        call("power", vec![lit("2", "numeric"), lit("10", "numeric")]),
        "1024.0000000000000000"
    );
    assert_eq!(
        call("log", vec![lit("100", "numeric")]),
        "2.0000000000000000"
    );
    assert_eq!(
        call("mod", vec![lit("10.5", "numeric"), lit("3", "numeric")]),
        "1.5"
    );
}

#[test]
fn casts_apply_modifiers() {
    let cast =
        |text, from, to: &str, explicit| answer(apply_cast(lit(text, from), &ty(to), explicit));
    assert_eq!(cast("123.456", "numeric", "numeric(5,2)", false), "123.46");
    assert_eq!(
        cast("1234.5", "numeric", "numeric(5,2)", false),
        "22003: numeric field overflow"
    );
    assert_eq!(cast("abcdef", "text", "varchar(3)", true), "abc");
    assert_eq!(
        cast("abcdef", "text", "varchar(3)", false),
        "22001: value too long for type character varying(3)"
    );
    assert_eq!(cast("2.5", "float8", "int4", true), "2");
    assert_eq!(cast("2.5", "numeric", "int4", true), "3");
    assert_eq!(
        cast("3000000000", "int8", "int4", false),
        "22003: integer out of range"
    );
    assert_eq!(cast("42", "int4", "numeric", false), "42");
    assert_eq!(cast("t", "bool", "text", true), "true");
    assert_eq!(
        cast("x", "text", "int4", true),
        "22P02: invalid input syntax for type integer: \"x\""
    );
    assert_eq!(cast("0.1", "float4", "numeric", false), "0.1");
    assert_eq!(cast("{1,2}", "int4[]", "text[]", false), "{1,2}");
    assert_eq!(
        cast("2024-03-10", "date", "timestamptz", false),
        "2024-03-10 00:00:00-05"
    );
}

#[test]
fn time_arithmetic_follows_the_calendar_and_the_zone() {
    assert_eq!(
        op(
            lit("2024-01-31", "timestamp"),
            "+",
            lit("1 month", "interval")
        ),
        "2024-02-29 00:00:00"
    );
    assert_eq!(
        op(
            lit("2024-03-09 12:00", "timestamptz"),
            "+",
            lit("1 day", "interval")
        ),
        "2024-03-10 12:00:00-04"
    );
    assert_eq!(
        op(
            lit("2024-03-09 12:00", "timestamptz"),
            "+",
            lit("24 hours", "interval")
        ),
        "2024-03-10 13:00:00-04"
    );
    assert_eq!(
        op(
            lit("2024-03-10", "timestamp"),
            "-",
            lit("2024-03-08 12:00", "timestamp")
        ),
        "1 day 12:00:00"
    );
    assert_eq!(
        op(lit("2024-03-10", "date"), "-", lit("2024-03-01", "date")),
        "9"
    );
    assert_eq!(
        op(lit("1 month", "interval"), "*", lit("1.5", "float8")),
        "1 mon 15 days"
    );
    assert_eq!(
        op(lit("1 day", "interval"), "/", lit("7", "float8")),
        "03:25:42.857143"
    );
    assert_eq!(
        op(
            lit("2024-03-10", "date"),
            "<",
            lit("2024-03-10 00:00-05", "timestamptz")
        ),
        "f"
    );
    assert_eq!(
        call(
            "age",
            vec![
                lit("2024-03-01", "timestamp"),
                lit("2023-01-31", "timestamp")
            ]
        ),
        "1 year 1 mon 1 day"
    );
    assert_eq!(
        call(
            "date_trunc",
            vec![
                lit("day", "text"),
                lit("2024-03-10 15:00-04", "timestamptz")
            ]
        ),
        "2024-03-10 00:00:00-05"
    );
    assert_eq!(
        call(
            "date_trunc",
            vec![lit("week", "text"), lit("2024-03-10 15:00", "timestamp")]
        ),
        "2024-03-04 00:00:00"
    );
    assert_eq!(
        call(
            "extract",
            vec![
                lit("epoch", "text"),
                lit("2024-03-10 15:00:00.5", "timestamp")
            ]
        ),
        "1710082800.500000"
    );
    assert_eq!(
        call(
            "extract",
            vec![lit("week", "text"), lit("2021-01-03", "date")]
        ),
        "53"
    );
    assert_eq!(
        call(
            "date_part",
            vec![lit("dow", "text"), lit("2024-03-10", "timestamp")]
        ),
        "0"
    );
    assert_eq!(
        call(
            "timezone",
            vec![lit("UTC", "text"), lit("2024-03-10 15:00", "timestamp")]
        ),
        "2024-03-10 11:00:00-04"
    );
    assert_eq!(call("now", vec![]), "2023-11-14 17:13:20-05");
}

#[test]
fn buckets_are_timescaledbs() {
    let bucket = |args| call("time_bucket", args);
    assert_eq!(
        bucket(vec![
            lit("1 hour", "interval"),
            lit("2024-03-10 15:42-04", "timestamptz")
        ]),
        "2024-03-10 15:00:00-04"
    );
    assert_eq!(
        bucket(vec![
            lit("7 days", "interval"),
            lit("2024-03-10 15:42", "timestamp")
        ]),
        "2024-03-04 00:00:00"
    );
    assert_eq!(
        bucket(vec![lit("1 month", "interval"), lit("2024-03-10", "date")]),
        "2024-03-01"
    );
    assert_eq!(bucket(vec![lit("5", "int4"), lit("-3", "int4")]), "-5");
    assert_eq!(
        bucket(vec![
            lit("1 day", "interval"),
            lit("2024-03-10 15:42", "timestamp"),
            lit("6 hours", "interval")
        ]),
        "2024-03-10 06:00:00"
    );
    assert_eq!(
        bucket(vec![
            lit("0 hours", "interval"),
            lit("2024-03-10 15:42", "timestamp")
        ]),
        "22023: period must be greater than 0"
    );
}

#[test]
fn strings_answer_as_in_postgresql() {
    let t = |s| lit(s, "text");
    assert_eq!(
        call("split_part", vec![t("a,b,c"), t(","), lit("-1", "int4")]),
        "c"
    );
    assert_eq!(call("lpad", vec![t("7"), lit("3", "int4"), t("0")]), "007");
    assert_eq!(
        call("md5", vec![t("abc")]),
        "900150983cd24fb0d6963f7d28e17f72"
    );
    assert_eq!(
        call("encode", vec![lit("\\x616263ff", "bytea"), t("base64")]),
        "YWJj/w=="
    );
    assert_eq!(call("initcap", vec![t("hi THOMAS")]), "Hi Thomas");
    assert_eq!(
        call("translate", vec![t("12345"), t("143"), t("ax")]),
        "a2x5"
    );
    assert_eq!(
        call("regexp_replace", vec![t("Thomas"), t(".[mN]a."), t("M")]),
        "ThM"
    );
    assert_eq!(
        call("regexp_match", vec![t("foobarbequebaz"), t("(bar)(beque)")]),
        "{bar,beque}"
    );
    assert_eq!(
        call("format", vec![t("%s %I %L"), t("a"), t("B c"), t("d'e")]),
        "a \"B c\" 'd''e'"
    );
    assert_eq!(
        call("concat_ws", vec![t(","), lit("1", "int4"), t("x")]),
        "1,x"
    );
    assert_eq!(
        call(
            "substr",
            vec![t("alphabet"), lit("0", "int4"), lit("3", "int4")]
        ),
        "al"
    );
    assert_eq!(op(t("abc"), "~~", t("a%")), "t");
    assert_eq!(op(t("ABC"), "~*", t("^a")), "t");
    assert_eq!(
        call("pg_size_pretty", vec![lit("123456789", "int8")]),
        "118 MB"
    );
    assert_eq!(call("quote_ident", vec![t("select")]), "\"select\"");
}

#[test]
fn json_operators_answer_as_in_postgresql() {
    let j = |s| lit(s, "jsonb");
    assert_eq!(
        op(j("{\"a\": {\"b\": 1}}"), "->", lit("a", "text")),
        "{\"b\": 1}"
    );
    assert_eq!(op(j("[1,\"x\"]"), "->>", lit("-1", "int4")), "x");
    assert_eq!(op(j("{\"a\": 1, \"b\": 2}"), "@>", j("{\"b\": 2}")), "t");
    assert_eq!(
        op(j("{\"a\": 1}"), "||", j("{\"bb\": 1.50, \"c\": null}")),
        "{\"a\": 1, \"c\": null, \"bb\": 1.50}"
    );
    assert_eq!(
        call(
            "jsonb_build_object",
            vec![lit("k", "text"), lit("1.5", "numeric")]
        ),
        "{\"k\": 1.5}"
    );
    assert_eq!(
        call(
            "json_build_object",
            vec![lit("k", "text"), lit("2024-01-01", "date")]
        ),
        "{\"k\" : \"2024-01-01\"}"
    );
}

#[test]
fn arrays_and_sets() {
    assert_eq!(
        op(lit("{1,2,3}", "int4[]"), "@>", lit("{2}", "int4[]")),
        "t"
    );
    assert_eq!(op(lit("{1,2}", "int4[]"), "&&", lit("{3}", "int4[]")), "f");
    assert_eq!(
        call(
            "array_length",
            vec![lit("{1,2,3}", "int4[]"), lit("1", "int4")]
        ),
        "3"
    );
    assert_eq!(
        call("generate_series", vec![lit("1", "int4"), lit("4", "int4")]),
        "{1,2,3,4}"
    );
    assert_eq!(
        call(
            "generate_series",
            vec![lit("1", "int4"), lit("4", "int4"), lit("0", "int4")]
        ),
        "22023: step size cannot equal zero"
    );
    assert_eq!(
        call(
            "string_to_array",
            vec![lit("a,b", "text"), lit(",", "text")]
        ),
        "{a,b}"
    );
}

/// What an aggregate answers over a numeric(20,8) column of 1.5, 2.25, null and 4.
fn over(name: &str, more: Vec<Typed>) -> String {
    let form = DataType::Decimal128(20, 8);
    let column = Decimal128Array::from(vec![
        Some(150_000_000),
        Some(225_000_000),
        None,
        Some(400_000_000),
    ])
    .with_precision_and_scale(20, 8)
    .unwrap();
    let schema = Arc::new(Schema::new(vec![Field::new("x", form.clone(), true)]));
    let batch = RecordBatch::try_new(schema, vec![Arc::new(column)]).unwrap();
    let x = Typed {
        expr: col("x"),
        ty: ty("numeric(20,8)"),
        arrow: form,
    };
    let mut args = vec![x];
    args.extend(more);
    let found = procs(name)
        .iter()
        .find(|p| {
            p.args.len() == args.len() && p.args.iter().zip(&args).all(|(w, a)| fits(w, &a.ty))
        })
        .unwrap_or_else(|| panic!("no aggregate {name}"));
    let result = if found.result.is_pseudo() {
        SqlType::Numeric(None)
    } else {
        found.result.clone()
    };
    let used = found.aggregate(&args, &result).unwrap();
    let expr = Expr::AggregateFunction(AggregateFunction::new_udf(
        used.udf,
        used.args,
        false,
        None,
        vec![],
        None,
    ));
    let frame = context()
        .read_batch(batch)
        .unwrap()
        .aggregate(vec![], vec![expr.alias("a")])
        .unwrap();
    let batches = wait(frame.collect()).unwrap();
    assert_eq!(batches[0].column(0).data_type(), &used.arrow);
    shown(batches[0].column(0), &used.ty)
}

#[test]
fn aggregates_answer_as_in_postgresql() {
    assert_eq!(over("sum", vec![]), "7.75000000");
    assert_eq!(over("avg", vec![]), "2.5833333333333333");
    assert_eq!(over("min", vec![]), "1.50000000");
    assert_eq!(over("count", vec![]), "3");
    assert_eq!(over("stddev", vec![]), "1.2829003598617210");
    assert_eq!(over("var_pop", vec![]), "1.09722222222222222222");
    let by = Typed {
        expr: col("x"),
        ty: ty("numeric(20,8)"),
        arrow: DataType::Decimal128(20, 8),
    };
    assert_eq!(over("first", vec![by.clone()]), "1.50000000");
    assert_eq!(over("last", vec![by]), "4.00000000");
}

#[test]
fn literals_of_casts_fold() {
    let folded = apply_cast(lit("42", "int4"), &ty("numeric(10,2)"), false).unwrap();
    assert_eq!(
        folded.as_literal(),
        Some(&ScalarValue::Decimal128(Some(4200), 10, 2))
    );
}

/// A column of one value, and what an expression over it answers.
fn of_columns(columns: &[(&str, &str)], build: impl Fn(&[Typed]) -> Typed) -> String {
    let mut fields = Vec::new();
    let mut arrays = Vec::new();
    let mut typed = Vec::new();
    for (index, (text, name)) in columns.iter().enumerate() {
        let ty = ty(name);
        let value = literal_from_text(text, &ty, &vars()).unwrap();
        fields.push(Field::new(format!("c{index}"), ty.arrow(), true));
        arrays.push(value.to_array().unwrap());
        typed.push(Typed::new(col(format!("c{index}")), ty));
    }
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
    let built = build(&typed);
    let frame = context().read_batch(batch).unwrap();
    let frame = frame.select(vec![built.expr.alias("a")]).unwrap();
    let batches = wait(frame.collect()).unwrap();
    assert_eq!(batches[0].column(0).data_type(), &built.arrow);
    shown(batches[0].column(0), &built.ty)
}

fn apply(left: &Typed, name: &str, right: &Typed) -> Typed {
    let found = operators(name)
        .iter()
        .find(|o| o.left.as_ref().is_some_and(|l| fits(l, &left.ty)) && fits(&o.right, &right.ty))
        .unwrap();
    found
        .apply(vec![left.clone(), right.clone()], &found.result)
        .unwrap()
}

fn rounded(value: Typed, digits: &str) -> Typed {
    let round = procs("round").iter().find(|p| p.args.len() == 2).unwrap();
    round
        .scalar(vec![value, lit(digits, "int4")], &SqlType::Numeric(None))
        .unwrap()
}

#[test]
fn products_that_need_256_bits_keep_their_digits() {
    let wide = [
        ("123456789012.12345678", "numeric(20,8)"),
        ("-987654321098.87654321", "numeric(20,8)"),
    ];
    let product = "-121932631136816034007548.8245681622374638";
    assert_eq!(of_columns(&wide, |c| apply(&c[0], "*", &c[1])), product);
    // select 123456789012.12345678 * -987654321098.87654321 / 123456789012.12345678
    assert_eq!(
        of_columns(&wide, |c| apply(&apply(&c[0], "*", &c[1]), "/", &c[0])),
        "-987654321098.8765432100000000"
    );
    assert_eq!(
        of_columns(&wide, |c| apply(&apply(&c[0], "*", &c[1]), "-", &c[0])),
        "-121932631136939490796560.9480249422374638"
    );
    assert_eq!(
        of_columns(&wide, |c| rounded(apply(&c[0], "*", &c[1]), "4")),
        "-121932631136816034007548.8246"
    );
    assert_eq!(
        of_columns(&wide, |c| {
            apply_cast(apply(&c[0], "*", &c[1]), &SqlType::Float8, true).unwrap()
        }),
        "-1.2193263113681603e+23"
    );
    assert_eq!(
        of_columns(&wide, |c| apply(
            &apply(&c[0], "*", &c[1]),
            "<",
            &lit("0.5", "numeric")
        )),
        "t"
    );
}

#[test]
fn a_change_in_percent_is_rounded_as_in_postgresql() {
    let prices = [
        ("42000.12345678", "numeric(20,8)"),
        ("41234.5", "numeric(20,8)"),
    ];
    let change = |c: &[Typed]| {
        let gap = apply(&c[0], "-", &c[1]);
        let hundred = apply_cast(lit("100", "int4"), &SqlType::Numeric(None), false).unwrap();
        rounded(apply(&apply(&hundred, "*", &gap), "/", &c[1]), "4")
    };
    assert_eq!(of_columns(&prices, change), "1.8568");
}

#[test]
fn buckets_of_a_column_are_those_of_its_values() {
    use chronolith_rollup::bucket::{BucketOptions, Bucketer};
    use chronolith_types::{Interval, TimeZone};
    // Hours around both changes of the clocks and the ends of months, in no order.
    let start = 1_709_000_000_000_000_i64;
    let mut times: Vec<i64> = (0..20_000)
        .map(|n: i64| start + n * 7_919 % 20_000 * 1_800_000_000)
        .collect();
    times.extend([i64::MAX, i64::MIN, -1]);
    let form = ty("timestamptz").arrow();
    let column = arrow::array::TimestampMicrosecondArray::from(times.clone());
    let column: ArrayRef = Arc::new(column.with_data_type(form.clone()));
    let schema = Arc::new(Schema::new(vec![Field::new("t", form, true)]));
    let batch = RecordBatch::try_new(schema, vec![column]).unwrap();
    for (width, zone) in [
        ("5 minutes", None),
        ("1 week", None),
        ("1 month", None),
        ("1 hour", Some("America/New_York")),
        ("1 day", Some("America/New_York")),
        ("1 month", Some("Asia/Kathmandu")),
        ("1 year", None),
    ] {
        let mut args = vec![
            lit(width, "interval"),
            Typed::new(col("t"), ty("timestamptz")),
        ];
        args.extend(zone.map(|zone| lit(zone, "text")));
        let found = procs("time_bucket")
            .iter()
            .find(|p| {
                p.args.len() - p.defaults == args.len()
                    && p.args.iter().zip(&args).all(|(w, a)| fits(w, &a.ty))
            })
            .unwrap();
        let built = found.scalar(args, &SqlType::Timestamptz(None)).unwrap();
        let frame = context().read_batch(batch.clone()).unwrap();
        let frame = frame.select(vec![built.expr.alias("a")]).unwrap();
        let batches = wait(frame.collect()).unwrap();
        let bucketer = Bucketer::new(
            Interval::parse(width.as_bytes()).unwrap(),
            BucketOptions {
                zone: zone.and_then(TimeZone::parse),
                ..BucketOptions::default()
            },
        )
        .unwrap();
        let have: Vec<i64> = batches
            .iter()
            .flat_map(|batch| {
                use arrow::array::AsArray;
                let column = batch.column(0);
                column
                    .as_primitive::<arrow::datatypes::TimestampMicrosecondType>()
                    .values()
                    .to_vec()
            })
            .collect();
        let want: Vec<i64> = times.iter().map(|t| bucketer.bucket(*t).unwrap()).collect();
        assert_eq!(have, want, "{width} in {zone:?}");
    }
}
