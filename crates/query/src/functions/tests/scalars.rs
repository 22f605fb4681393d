//! Operators, functions and casts of literals and of columns, against what PostgreSQL 15 answered.
//!
//! A line of `scalars.tsv` is `kind name (text type)… answer`: `op`, `fn`, `set` (its rows as an
//! array) or `cast` (the name is the target); an error is its SQLSTATE and message.

use datafusion::common::DFSchema;
use datafusion::logical_expr::ColumnarValue;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::create_physical_expr;

use super::*;

struct Case {
    kind: &'static str,
    name: &'static str,
    args: Vec<(&'static str, SqlType)>,
    answer: String,
}

fn cases() -> Vec<Case> {
    include_str!("scalars.tsv")
        .lines()
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [kind, name, args @ .., answer] = fields.as_slice() else {
                panic!("{line}");
            };
            Case {
                kind,
                name,
                args: args.chunks(2).map(|pair| (pair[0], ty(pair[1]))).collect(),
                answer: answer.replace("\\n", "\n"),
            }
        })
        .collect()
}

/// The function of a name for arguments of these very types.
fn found(name: &str, args: &[Typed]) -> Option<&'static Proc> {
    let exact = procs(name).iter().find(|p| {
        p.variadic.is_none()
            && p.args.len() - p.defaults <= args.len()
            && p.args.len() >= args.len()
            && p.args.iter().zip(args).all(|(w, a)| fits(w, &a.ty))
    });
    exact.or_else(|| procs(name).iter().find(|p| p.variadic.is_some()))
}

fn bound(case: &Case, args: Vec<Typed>) -> Option<Result<Typed, FunctionError>> {
    let polymorphic = |result: &SqlType| match result {
        SqlType::AnyElement | SqlType::AnyCompatible => args[0]
            .ty
            .element()
            .cloned()
            .unwrap_or_else(|| args[0].ty.without_typmod()),
        SqlType::AnyArray | SqlType::AnyCompatibleArray => args
            .iter()
            .find(|arg| matches!(arg.ty, SqlType::Array(_)))
            .map_or(SqlType::Text, |arg| arg.ty.clone()),
        other => other.clone(),
    };
    match case.kind {
        "op" => {
            let found = operators(case.name).iter().find(|o| {
                o.left.as_ref().is_some_and(|left| fits(left, &args[0].ty))
                    && fits(&o.right, &args[1].ty)
            })?;
            let result = polymorphic(&found.result);
            Some(found.apply(args, &result))
        }
        "cast" => Some(apply_cast(args.into_iter().next()?, &ty(case.name), true)),
        _ => {
            let found = found(case.name, &args)?;
            let result = polymorphic(&found.result);
            Some(found.scalar(args, &result))
        }
    }
}

fn shown_as_recorded(column: &ArrayRef, typed: &Typed) -> String {
    match (&typed.ty, shown(column, &typed.ty)) {
        (SqlType::Bool, text) if text == "t" => "true".into(),
        (SqlType::Bool, text) if text == "f" => "false".into(),
        (_, text) => text,
    }
}

fn evaluated(context: &SessionContext, batch: &RecordBatch, typed: &Typed) -> (String, bool) {
    let schema = DFSchema::try_from(batch.schema().as_ref().clone()).unwrap();
    let mut props = ExecutionProps::new();
    props.mark_start_execution(Arc::new(context.copied_config().options().as_ref().clone()));
    let answer = create_physical_expr(
        &typed.expr,
        &schema,
        &props,
        &PhysicalPlanningContext::default(),
    )
    .and_then(|expr| expr.evaluate(batch));
    let value = match answer {
        Ok(ColumnarValue::Array(array)) => array,
        Ok(ColumnarValue::Scalar(scalar)) => scalar.to_array_of_size(batch.num_rows()).unwrap(),
        Err(error) => {
            let error = FunctionError::from(error);
            return (format!("{}: {}", error.code.as_str(), error.message), true);
        }
    };
    if value.data_type() != &typed.arrow {
        return (
            format!("a column of {} and not {}", value.data_type(), typed.arrow),
            false,
        );
    }
    let null = value.len() < 2 || value.is_null(1);
    (shown_as_recorded(&value, typed), null)
}

fn differences(columns: bool) -> Vec<String> {
    let context = context();
    let mut wrong = Vec::new();
    for case in cases() {
        let told = || {
            let args: Vec<String> = case
                .args
                .iter()
                .map(|(text, ty)| format!("'{text}'::{ty}"))
                .collect();
            format!("{} {}({})", case.kind, case.name, args.join(", "))
        };
        let mut fields = Vec::new();
        let mut arrays = Vec::new();
        let mut args = Vec::new();
        for (index, (text, ty)) in case.args.iter().enumerate() {
            let value = literal_from_text(text, ty, &vars())
                .unwrap_or_else(|error| panic!("{}: {error}", told()));
            if !columns {
                args.push(Typed::literal(value, ty.clone()));
                continue;
            }
            let name = format!("c{index}");
            fields.push(Field::new(&name, ty.arrow(), true));
            let null = ScalarValue::try_from(&ty.arrow()).unwrap();
            arrays.push(ScalarValue::iter_to_array([value, null]).unwrap());
            args.push(Typed::new(col(name), ty.clone()));
        }
        if !columns {
            fields.push(Field::new("n", DataType::Int32, true));
            arrays.push(Arc::new(arrow::array::Int32Array::from(vec![1])));
        }
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
        let strict = case.kind == "op" || case.kind == "cast";
        let (have, null) = match bound(&case, args) {
            None => ("no such function".to_owned(), true),
            Some(Err(error)) => (format!("{}: {}", error.code.as_str(), error.message), true),
            Some(Ok(typed)) => evaluated(&context, &batch, &typed),
        };
        let want = if case.answer == "NULL" || !case.answer.is_empty() {
            case.answer.clone()
        } else {
            String::new()
        };
        if have != want {
            wrong.push(format!("{}: {have} where PostgreSQL has {want}", told()));
        } else if columns && strict && !null {
            wrong.push(format!("{}: not null of null", told()));
        }
    }
    wrong
}

#[test]
fn literals_answer_as_in_postgresql() {
    let wrong = differences(false);
    assert!(
        wrong.is_empty(),
        "{} differ\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn columns_answer_as_in_postgresql() {
    let wrong = differences(true);
    assert!(
        wrong.is_empty(),
        "{} differ\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
