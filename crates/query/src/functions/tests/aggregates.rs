//! Aggregates by group, alone, in parts and over frames, against what PostgreSQL 15 answered.

use arrow::array::Int32Array;
use datafusion::common::Column;
use datafusion::datasource::MemTable;
use datafusion::logical_expr::WindowFunctionDefinition;
use datafusion::logical_expr::expr::{Sort, WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{ExprFunctionExt, WindowFrame, WindowFrameBound, WindowFrameUnits};

use super::*;

/// One line of the record: `name types rows answer answers-over-frames`.
struct Case {
    name: &'static str,
    types: Vec<SqlType>,
    rows: Vec<Vec<Option<&'static str>>>,
    answer: &'static str,
    frames: Vec<&'static str>,
}

fn cases() -> Vec<Case> {
    include_str!("aggregates.tsv")
        .lines()
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [name, types, rows, answer, frames] = fields[..] else {
                panic!("{line}");
            };
            Case {
                name,
                types: types
                    .split(',')
                    .map(|name| ty(&name.replace(';', ",")))
                    .collect(),
                rows: rows
                    .split(';')
                    .map(|row| row.split('~').map(|v| (v != "\\N").then_some(v)).collect())
                    .collect(),
                answer,
                frames: frames.split('|').collect(),
            }
        })
        .collect()
}

/// Rows as a column of a type.
fn column_of(values: &[Option<&str>], ty: &SqlType) -> ArrayRef {
    let zone = Zone::of(&vars());
    let values = values.iter().map(|value| match value {
        Some(text) if ty.is_text() => value::Value::text(*text),
        Some(text) => io::read(text, ty, &zone, &vars()).unwrap(),
        None => value::Value::Null,
    });
    value::write(&ty.arrow(), values.collect()).unwrap()
}

impl Case {
    /// Columns n, g and c0, c1 …: every row once in each of two groups.
    fn batches(&self) -> Vec<RecordBatch> {
        let mut fields = vec![
            Field::new("n", DataType::Int32, false),
            Field::new("g", DataType::Int32, false),
        ];
        for (index, ty) in self.types.iter().enumerate() {
            fields.push(Field::new(format!("c{index}"), ty.arrow(), true));
        }
        let schema = Arc::new(Schema::new(fields));
        let batch = |number: usize| {
            let row = &self.rows[number];
            let number = i32::try_from(number).unwrap();
            let mut columns: Vec<ArrayRef> = vec![
                Arc::new(Int32Array::from(vec![number, number])),
                Arc::new(Int32Array::from(vec![1, 2])),
            ];
            for (value, ty) in row.iter().zip(&self.types) {
                columns.push(column_of(&[*value, *value], ty));
            }
            RecordBatch::try_new(Arc::clone(&schema), columns).unwrap()
        };
        (0..self.rows.len()).map(batch).collect()
    }

    fn used(&self) -> AggregateUse {
        let args: Vec<Typed> = self
            .types
            .iter()
            .enumerate()
            .map(|(index, ty)| Typed::new(col(format!("c{index}")), ty.clone()))
            .collect();
        let found = procs(self.name)
            .iter()
            .find(|p| {
                p.args.len() == args.len()
                    && p.args
                        .iter()
                        .zip(&args)
                        .all(|(want, have)| fits(want, &have.ty))
            })
            .unwrap_or_else(|| panic!("no aggregate {} of {:?}", self.name, self.types));
        let result = match &found.result {
            SqlType::AnyElement | SqlType::AnyArray | SqlType::AnyCompatible => {
                args.last().unwrap().ty.without_typmod()
            }
            other => other.clone(),
        };
        found.aggregate(&args, &result).unwrap()
    }

    fn call(&self) -> (Expr, AggregateUse) {
        let used = self.used();
        let expr = Expr::AggregateFunction(AggregateFunction::new_udf(
            Arc::clone(&used.udf),
            used.args.clone(),
            false,
            None,
            vec![],
            None,
        ));
        (expr, used)
    }

    /// The answers by group, of rows spread over so many partitions.
    fn grouped(&self, partitions: usize, group: bool) -> Vec<String> {
        let batches = self.batches();
        let schema = batches[0].schema();
        let mut parts = vec![Vec::new(); partitions];
        for (index, batch) in batches.into_iter().enumerate() {
            parts[index % partitions].push(batch);
        }
        let context = context();
        context
            .register_table("t", Arc::new(MemTable::try_new(schema, parts).unwrap()))
            .unwrap();
        let (expr, used) = self.call();
        let by = if group { vec![col("g")] } else { vec![] };
        let mut frame = wait(context.table("t")).unwrap();
        if !group {
            frame = frame
                .filter(col("g").eq(datafusion::prelude::lit(1)))
                .unwrap();
        }
        let frame = frame.aggregate(by, vec![expr.alias("a")]).unwrap();
        match wait(frame.collect()) {
            Ok(batches) => texts(&batches, &used),
            Err(error) => vec![error.to_string()],
        }
    }

    fn framed(&self) -> Vec<String> {
        let used = self.used();
        let mut call = WindowFunction::new(
            WindowFunctionDefinition::AggregateUDF(Arc::clone(&used.udf)),
            used.args.clone(),
        );
        call.params = WindowFunctionParams {
            order_by: vec![Sort::new(col("n"), true, false)],
            window_frame: WindowFrame::new_bounds(
                WindowFrameUnits::Rows,
                WindowFrameBound::Preceding(ScalarValue::UInt64(Some(1))),
                WindowFrameBound::CurrentRow,
            ),
            ..call.params
        };
        let batches = self.batches().into_iter().map(|batch| batch.slice(0, 1));
        let frame = context()
            .read_batches(batches)
            .unwrap()
            .window(vec![Expr::WindowFunction(Box::new(call)).alias("a")])
            .unwrap()
            .sort(vec![Sort::new(col("n"), true, false)])
            .unwrap()
            .select(vec![Expr::Column(Column::from_name("a"))])
            .unwrap();
        match wait(frame.collect()) {
            Ok(batches) => texts(&batches, &used),
            Err(error) => vec![error.to_string()],
        }
    }
}

fn texts(batches: &[RecordBatch], used: &AggregateUse) -> Vec<String> {
    let mut answers = Vec::new();
    for batch in batches {
        let column = batch.columns().last().unwrap();
        assert_eq!(column.data_type(), &used.arrow, "the Arrow type promised");
        for row in 0..batch.num_rows() {
            let text = shown(&column.slice(row, 1), &used.ty);
            answers.push(match (&used.ty, text.as_str()) {
                (SqlType::Bool, "t") => "true".into(),
                (SqlType::Bool, "f") => "false".into(),
                _ => text,
            });
        }
    }
    answers
}

/// Whether an aggregate tells the order in which partitions came.
fn ordered(name: &str) -> bool {
    name.ends_with("_agg")
}

fn differences(answers: impl Fn(&Case) -> (Vec<String>, Vec<String>)) -> Vec<String> {
    let mut wrong = Vec::new();
    for case in cases() {
        let (have, want) = answers(&case);
        if have != want {
            wrong.push(format!(
                "{}({:?}): {have:?} where PostgreSQL has {want:?}",
                case.name, case.types
            ));
        }
    }
    wrong
}

#[test]
fn one_group_of_all_rows_answers_as_in_postgresql() {
    let wrong = differences(|case| (case.grouped(1, false), vec![case.answer.to_owned()]));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_group_answers_as_in_postgresql() {
    let wrong = differences(|case| (case.grouped(1, true), vec![case.answer.to_owned(); 2]));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn states_of_partitions_merge_to_the_same_answer() {
    let wrong = differences(|case| {
        if ordered(case.name) {
            return (Vec::new(), Vec::new());
        }
        let mut have = case.grouped(3, true);
        have.extend(case.grouped(3, false));
        // Floats differ by the order of summation alone.
        let near = |text: &String| match text.parse::<f64>() {
            Ok(value) if case.types[0].category() == 'N' && text.contains('.') => {
                format!("{value:.9e}")
            }
            _ => text.clone(),
        };
        let want = vec![case.answer.to_owned(); 3];
        (
            have.iter().map(near).collect(),
            want.iter().map(near).collect(),
        )
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn sliding_frames_answer_as_in_postgresql() {
    let wrong = differences(|case| {
        if matches!(case.name, "percentile_cont" | "percentile_disc" | "mode") {
            return (Vec::new(), Vec::new());
        }
        let want = case.frames.iter().map(|text| (*text).to_owned());
        (case.framed(), want.collect())
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `first` or `last` of values by times, over so many partitions.
fn end(name: &'static str, rows: &[(Option<&'static str>, Option<&'static str>)]) -> Vec<String> {
    let case = Case {
        name,
        types: vec![ty("text"), ty("timestamptz")],
        rows: rows
            .iter()
            .map(|(value, time)| vec![*value, *time])
            .collect(),
        answer: "",
        frames: Vec::new(),
    };
    let mut answers = case.grouped(1, true);
    answers.extend(case.grouped(1, false));
    answers
}

#[test]
fn of_equal_times_the_earlier_arrival_is_first_and_the_later_last() {
    let rows = [
        (Some("a"), Some("2024-01-01")),
        (Some("b"), Some("2024-01-01")),
        (Some("c"), None),
        (Some("d"), Some("2024-01-02")),
        (None, Some("2024-01-02")),
    ];
    assert_eq!(end("first", &rows), vec!["a"; 3]);
    assert_eq!(end("last", &rows), vec!["NULL"; 3]);
    assert_eq!(end("last", &rows[..4]), vec!["d"; 3]);
    assert_eq!(end("last", &rows[..3]), vec!["b"; 3]);
    assert_eq!(end("first", &rows[2..3]), vec!["NULL"; 3]);
}

#[test]
fn filters_and_distinct_apply_to_sums() {
    let case = Case {
        name: "sum",
        types: vec![ty("numeric(20,8)")],
        rows: vec![
            vec![Some("1.5")],
            vec![Some("1.50")],
            vec![None],
            vec![Some("4")],
        ],
        answer: "",
        frames: Vec::new(),
    };
    let (expr, used) = case.call();
    let Expr::AggregateFunction(call) = expr else {
        panic!("no aggregate");
    };
    let filtered = Expr::AggregateFunction(call.clone())
        .filter(col("n").gt(datafusion::prelude::lit(0)))
        .build()
        .unwrap();
    let distinct = Expr::AggregateFunction(call).distinct().build().unwrap();
    for (expr, want) in [(filtered, "5.50000000"), (distinct, "5.50000000")] {
        let frame = context()
            .read_batches(case.batches())
            .unwrap()
            .aggregate(vec![col("g")], vec![expr.alias("a")])
            .unwrap();
        let batches = wait(frame.collect()).unwrap();
        assert_eq!(texts(&batches, &used), vec![want; 2]);
    }
}

/// Relative to DataFusion's own sum of 64-bit integers: `cargo test … -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stdout, reason = "a measurement is printed")]
fn measure_a_million_rows_in_a_thousand_groups() {
    let rows: i64 = 1_000_000;
    let schema = Arc::new(Schema::new(vec![
        Field::new("g", DataType::Int64, false),
        Field::new("i", DataType::Int64, false),
        Field::new("f", DataType::Float64, false),
        Field::new("d", DataType::Decimal128(20, 8), false),
        Field::new("t", ty("timestamptz").arrow(), false),
    ]));
    let mut batches = Vec::new();
    for start in (0..rows).step_by(8192) {
        let numbers: Vec<i64> = (start..(start + 8192).min(rows)).collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(arrow::array::Int64Array::from_iter_values(
                numbers.iter().map(|n| n * 7919 % 1000),
            )),
            Arc::new(arrow::array::Int64Array::from(numbers.clone())),
            Arc::new(arrow::array::Float64Array::from_iter_values(
                numbers.iter().map(|n| *n as f64),
            )),
            Arc::new(
                Decimal128Array::from_iter_values(numbers.iter().map(|n| i128::from(*n) * 1000))
                    .with_precision_and_scale(20, 8)
                    .unwrap(),
            ),
            Arc::new(
                arrow::array::TimestampMicrosecondArray::from(numbers.clone())
                    .with_data_type(ty("timestamptz").arrow()),
            ),
        ];
        batches.push(RecordBatch::try_new(Arc::clone(&schema), columns).unwrap());
    }
    let run = |label: &str, expr: Expr| {
        let table = MemTable::try_new(Arc::clone(&schema), vec![batches.clone()]).unwrap();
        let mut config = SessionConfig::new().with_target_partitions(1);
        config.options_mut().extensions.insert(vars());
        let context = SessionContext::new_with_config(config);
        context.register_table("t", Arc::new(table)).unwrap();
        let frame = wait(context.table("t")).unwrap();
        let frame = frame
            .aggregate(vec![col("g")], vec![expr.alias("a")])
            .unwrap();
        let started = chrono::Utc::now();
        wait(frame.collect()).unwrap();
        let took = chrono::Utc::now() - started;
        println!("{label:<28} {:>6} ms", took.num_milliseconds());
    };
    run(
        "DataFusion sum(int8)",
        datafusion::functions_aggregate::expr_fn::sum(col("i")),
    );
    for (name, args) in [
        ("sum", vec![("i", "int8")]),
        ("sum", vec![("f", "float8")]),
        ("sum", vec![("d", "numeric(20,8)")]),
        ("avg", vec![("d", "numeric(20,8)")]),
        ("stddev_samp", vec![("d", "numeric(20,8)")]),
        ("stddev_samp", vec![("f", "float8")]),
        ("min", vec![("d", "numeric(20,8)")]),
        ("first", vec![("d", "numeric(20,8)"), ("t", "timestamptz")]),
        ("last", vec![("d", "numeric(20,8)"), ("t", "timestamptz")]),
        ("count", vec![("d", "numeric(20,8)")]),
    ] {
        let args: Vec<Typed> = args
            .into_iter()
            .map(|(name, of)| Typed::new(col(name), ty(of)))
            .collect();
        let found = procs(name)
            .iter()
            .find(|p| {
                p.args.len() == args.len()
                    && p.args
                        .iter()
                        .zip(&args)
                        .all(|(want, have)| fits(want, &have.ty))
            })
            .unwrap();
        let result = if found.result.is_pseudo() {
            args[0].ty.clone()
        } else {
            found.result.clone()
        };
        let used = found.aggregate(&args, &result).unwrap();
        let label = format!("{name}({})", args[0].ty);
        run(
            &label,
            Expr::AggregateFunction(AggregateFunction::new_udf(
                used.udf,
                used.args,
                false,
                None,
                vec![],
                None,
            )),
        );
    }
}
