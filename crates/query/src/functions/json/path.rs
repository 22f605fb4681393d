//! What a jsonpath finds in a document.

use std::cmp::Ordering;

use chronolith_types::SqlState;
use serde_json::Value as Json;

use super::super::error::FunctionError;
use super::super::num::{self, Numeric};
use super::super::patterns;
use super::super::value::Value;
use super::path_parse::{Compare, LAST, Method, Node, Path, Predicate, Step};
use super::{canonical, parse, path_parse};

/// Refuses a text that is no jsonpath.
pub(in super::super) fn check(text: &str) -> Result<(), FunctionError> {
    path_parse::parse(text).map(|_| ())
}

fn missing_member(key: &str) -> FunctionError {
    FunctionError::new(
        SqlState::new(b"2203A"),
        format!("JSON object does not contain key \"{key}\""),
    )
}

fn no_variable(name: &str) -> FunctionError {
    FunctionError::new(
        SqlState::UNDEFINED_OBJECT,
        format!("could not find jsonpath variable \"{name}\""),
    )
}

fn subscript_error(message: &str) -> FunctionError {
    FunctionError::new(SqlState::new(b"22033"), message)
}

fn array_error(what: &str) -> FunctionError {
    FunctionError::new(
        SqlState::new(b"22039"),
        format!("jsonpath {what} can only be applied to an array"),
    )
}

fn singleton_error(message: String) -> FunctionError {
    FunctionError::new(SqlState::new(b"22038"), message)
}

fn number_error(message: String) -> FunctionError {
    FunctionError::new(SqlState::new(b"22036"), message)
}

/// What is in reach while a path is followed.
struct Reach<'a> {
    strict: bool,
    root: &'a Json,
    current: &'a Json,
    variables: &'a Json,
    /// The length of the array that a subscript is of.
    length: Option<usize>,
}

type Items = Result<Vec<Json>, FunctionError>;

fn number(value: &Numeric) -> Result<Json, FunctionError> {
    let mut out = Vec::new();
    value.write(&mut out);
    parse(&String::from_utf8_lossy(&out))
}

fn numeric(json: &Json) -> Option<Numeric> {
    match json {
        Json::Number(number) => num::parse(&number.to_string()).ok(),
        _ => None,
    }
}

impl<'a> Reach<'a> {
    fn at<'b>(&'b self, current: &'b Json) -> Reach<'b> {
        Reach {
            strict: self.strict,
            root: self.root,
            current,
            variables: self.variables,
            length: self.length,
        }
    }

    fn eval(&self, node: &Node) -> Items {
        Ok(match node {
            Node::Root => vec![self.root.clone()],
            Node::Current => vec![self.current.clone()],
            Node::Literal(value) => vec![value.clone()],
            Node::Variable(name) if name == LAST => {
                let length = self.length.ok_or_else(|| {
                    FunctionError::new(
                        SqlState::SYNTAX_ERROR,
                        "LAST is allowed only in array subscripts",
                    )
                })?;
                let last = i64::try_from(length).unwrap_or(i64::MAX) - 1;
                vec![Json::from(last)]
            }
            Node::Variable(name) => {
                let found = self.variables.get(name);
                vec![found.ok_or_else(|| no_variable(name))?.clone()]
            }
            Node::Steps(start, steps) => {
                let mut items = self.eval(start)?;
                for step in steps {
                    let mut next = Vec::new();
                    for item in &items {
                        self.step(item, step, true, &mut next)?;
                    }
                    items = next;
                }
                items
            }
            Node::Negate(inner) => self.signs(inner, '-')?,
            Node::Plus(inner) => self.signs(inner, '+')?,
            Node::Arithmetic(op, left, right) => vec![self.arithmetic(*op, left, right)?],
            Node::Predicate(predicate) => {
                vec![self.test(predicate).map_or(Json::Null, Json::Bool)]
            }
        })
    }

    /// The items of an expression, arrays taken apart where the mode is lax.
    fn unwrapped(&self, node: &Node) -> Items {
        let items = self.eval(node)?;
        if self.strict {
            return Ok(items);
        }
        let mut out = Vec::new();
        for item in items {
            match item {
                Json::Array(inner) => out.extend(inner),
                other => out.push(other),
            }
        }
        Ok(out)
    }

    fn signs(&self, node: &Node, sign: char) -> Items {
        let mut out = Vec::new();
        for item in self.unwrapped(node)? {
            let value = numeric(&item).ok_or_else(|| {
                number_error(format!(
                    "operand of unary jsonpath operator {sign} is not a numeric value"
                ))
            })?;
            out.push(number(&if sign == '-' { num::neg(&value) } else { value })?);
        }
        Ok(out)
    }

    fn arithmetic(&self, op: char, left: &Node, right: &Node) -> Result<Json, FunctionError> {
        let operand = |node: &Node, side: &str| {
            let items = self.unwrapped(node)?;
            match items.as_slice() {
                [only] => numeric(only),
                _ => None,
            }
            .ok_or_else(|| {
                singleton_error(format!(
                    "{side} operand of jsonpath operator {op} is not a single numeric value"
                ))
            })
        };
        let (a, b) = (operand(left, "left")?, operand(right, "right")?);
        number(&match op {
            '+' => num::add(&a, &b)?,
            '-' => num::sub(&a, &b)?,
            '*' => num::mul(&a, &b)?,
            '/' => num::div(&a, &b)?,
            _ => num::rem(&a, &b)?,
        })
    }

    /// Takes a step from an item; arrays are taken apart once where the mode is lax.
    fn step(
        &self,
        item: &Json,
        step: &Step,
        unwrap: bool,
        out: &mut Vec<Json>,
    ) -> Result<(), FunctionError> {
        let apart = |out: &mut Vec<Json>| -> Result<bool, FunctionError> {
            match item {
                Json::Array(inner) if unwrap && !self.strict => {
                    for item in inner {
                        self.step(item, step, false, out)?;
                    }
                    Ok(true)
                }
                _ => Ok(false),
            }
        };
        match step {
            Step::Member(key) => {
                if let Json::Object(fields) = item {
                    match fields.get(key) {
                        Some(value) => out.push(value.clone()),
                        None if self.strict => return Err(missing_member(key)),
                        None => {}
                    }
                } else if !apart(out)? && self.strict {
                    return Err(FunctionError::new(
                        SqlState::new(b"2203A"),
                        "jsonpath member accessor can only be applied to an object",
                    ));
                }
            }
            Step::AnyMember => {
                if let Json::Object(fields) = item {
                    out.extend(super::sorted(fields).into_iter().map(|(_, v)| v.clone()));
                } else if !apart(out)? && self.strict {
                    return Err(FunctionError::new(
                        SqlState::new(b"2203C"),
                        "jsonpath wildcard member accessor can only be applied to an object",
                    ));
                }
            }
            Step::Descend(from, to) => descend(item, 0, *from, *to, out),
            Step::AnyElement => match item {
                Json::Array(items) => out.extend(items.iter().cloned()),
                _ if self.strict => return Err(array_error("wildcard array accessor")),
                other => out.push(other.clone()),
            },
            Step::Elements(subscripts) => self.elements(item, subscripts, out)?,
            Step::Filter(predicate) => {
                if !apart(out)? && self.at(item).test(predicate) == Some(true) {
                    out.push(item.clone());
                }
            }
            Step::Method(method) => {
                if matches!(method, Method::Type | Method::Size) || !apart(out)? {
                    out.push(self.method(item, *method)?);
                }
            }
        }
        Ok(())
    }

    fn elements(
        &self,
        item: &Json,
        subscripts: &[(Node, Option<Node>)],
        out: &mut Vec<Json>,
    ) -> Result<(), FunctionError> {
        let one = std::slice::from_ref(item);
        let items = match item {
            Json::Array(items) => items.as_slice(),
            _ if self.strict => return Err(array_error("array accessor")),
            _ => one,
        };
        let reach = Reach {
            length: Some(items.len()),
            ..self.at(self.current)
        };
        let index = |node: &Node| -> Result<i64, FunctionError> {
            let found = reach.eval(node)?;
            let value = match found.as_slice() {
                [only] => numeric(only),
                _ => None,
            };
            let value = value.ok_or_else(|| {
                subscript_error("jsonpath array subscript is not a single numeric value")
            })?;
            num::to_i64(&num::trunc(&value, 0)?, "integer")
                .map_err(|_| subscript_error("jsonpath array subscript is out of integer range"))
        };
        let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
        for (from, to) in subscripts {
            let from = index(from)?;
            let to = to.as_ref().map_or(Ok(from), index)?;
            if self.strict && (from < 0 || from > to || to >= length) {
                return Err(subscript_error("jsonpath array subscript is out of bounds"));
            }
            for at in from.max(0)..=to.min(length - 1) {
                let at = usize::try_from(at).unwrap_or(usize::MAX);
                out.extend(items.get(at).cloned());
            }
        }
        Ok(())
    }

    fn method(&self, item: &Json, method: Method) -> Result<Json, FunctionError> {
        let of_number = |name: &str, round: fn(&Numeric) -> Result<Numeric, FunctionError>| {
            let value = numeric(item).ok_or_else(|| {
                number_error(format!(
                    "jsonpath item method .{name}() can only be applied to a numeric value"
                ))
            })?;
            number(&round(&value)?)
        };
        match method {
            Method::Type => Ok(Json::String(super::read::kind(item).to_owned())),
            Method::Size => match item {
                Json::Array(items) => Ok(Json::from(items.len())),
                _ if self.strict => Err(array_error("item method .size()")),
                _ => Ok(Json::from(1)),
            },
            Method::Ceiling => of_number("ceiling", num::ceil),
            Method::Floor => of_number("floor", num::floor),
            Method::Abs => of_number("abs", |value| Ok(num::abs(value))),
            Method::Double => {
                let text = match item {
                    Json::Number(number) => number.to_string(),
                    Json::String(text) => text.clone(),
                    _ => {
                        return Err(number_error(
                            "jsonpath item method .double() can only be applied to a string or \
                             numeric value"
                                .to_owned(),
                        ));
                    }
                };
                let wrong = || {
                    number_error(
                        "string argument of jsonpath item method .double() is not a valid \
                         representation of a double precision number"
                            .to_owned(),
                    )
                };
                let value: f64 = text.trim().parse().map_err(|_| wrong())?;
                if !value.is_finite() {
                    return Err(wrong());
                }
                number(&num::from_f64(value)?)
            }
        }
    }

    /// Whether a predicate holds; none is unknown, as where it fails.
    fn test(&self, predicate: &Predicate) -> Option<bool> {
        match predicate {
            Predicate::And(left, right) => match (self.test(left), self.test(right)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Predicate::Or(left, right) => match (self.test(left), self.test(right)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
            Predicate::Not(inner) => self.test(inner).map(|holds| !holds),
            Predicate::IsUnknown(inner) => Some(self.test(inner).is_none()),
            Predicate::Exists(node) => self.eval(node).ok().map(|items| !items.is_empty()),
            Predicate::Compare(compare, left, right) => {
                self.pairs(left, Some(right), |a, b| compared(*compare, a, b))
            }
            Predicate::StartsWith(left, right) => {
                self.pairs(left, Some(right), |a, b| match (a, b) {
                    (Json::String(a), Json::String(b)) => Some(a.starts_with(b.as_str())),
                    _ => None,
                })
            }
            Predicate::LikeRegex(node, pattern, flags) => {
                let regex = patterns::of_path(pattern, flags).ok()?;
                self.pairs(node, None, |a, _| match a {
                    Json::String(text) => Some(regex.is_match(text)),
                    _ => None,
                })
            }
        }
    }

    /// Whether a test holds of any pair of two operands' items.
    fn pairs(
        &self,
        left: &Node,
        right: Option<&Node>,
        test: impl Fn(&Json, &Json) -> Option<bool>,
    ) -> Option<bool> {
        let left = self.unwrapped(left).ok()?;
        let right = match right {
            Some(right) => self.unwrapped(right).ok()?,
            None => vec![Json::Null],
        };
        let (mut found, mut unknown) = (false, false);
        for a in &left {
            for b in &right {
                match test(a, b) {
                    None if self.strict => return None,
                    None => unknown = true,
                    Some(true) if !self.strict => return Some(true),
                    Some(true) => found = true,
                    Some(false) => {}
                }
            }
        }
        if found {
            Some(true)
        } else if unknown {
            None
        } else {
            Some(false)
        }
    }
}

fn descend(item: &Json, level: u32, from: u32, to: u32, out: &mut Vec<Json>) {
    let inner: Vec<&Json> = match item {
        Json::Array(items) => items.iter().collect(),
        Json::Object(fields) => super::sorted(fields).into_iter().map(|(_, v)| v).collect(),
        _ => Vec::new(),
    };
    // `last` asks for the leaves.
    if (level >= from && level <= to) || (from == u32::MAX && inner.is_empty()) {
        out.push(item.clone());
    }
    if level < to {
        for item in inner {
            descend(item, level + 1, from, to, out);
        }
    }
}

fn compared(compare: Compare, a: &Json, b: &Json) -> Option<bool> {
    let order = match (a, b) {
        (Json::Null, Json::Null) => Ordering::Equal,
        (Json::Null, _) | (_, Json::Null) => return Some(compare == Compare::NotEqual),
        (Json::Bool(a), Json::Bool(b)) => a.cmp(b),
        (Json::String(a), Json::String(b)) => a.cmp(b),
        (Json::Number(_), Json::Number(_)) => num::compare(&numeric(a)?, &numeric(b)?),
        _ => return None,
    };
    Some(match compare {
        Compare::Equal => order.is_eq(),
        Compare::NotEqual => order.is_ne(),
        Compare::Less => order.is_lt(),
        Compare::LessOrEqual => order.is_le(),
        Compare::Greater => order.is_gt(),
        Compare::GreaterOrEqual => order.is_ge(),
    })
}

/// What a path finds; errors are none when silent.
fn found(args: &[Value], silent: bool) -> Result<Option<Vec<Json>>, FunctionError> {
    let Some(([document, path], rest)) = args.split_first_chunk::<2>() else {
        return Ok(None);
    };
    let document = parse(document.as_str())?;
    let variables = parse(rest.first().map_or("{}", Value::as_str))?;
    if !variables.is_object() {
        return Err(
            FunctionError::invalid_parameter("\"vars\" argument is not an object").with_detail(
                "Jsonpath parameters should be encoded as key-value pairs of \"vars\" object.",
            ),
        );
    }
    let silent = silent || rest.get(1).is_some_and(Value::as_bool);
    let Path {
        strict,
        variables: names,
        root,
    } = path_parse::parse(path.as_str())?;
    if let Some(name) = names.iter().find(|name| variables.get(name).is_none()) {
        return Err(no_variable(name));
    }
    let reach = Reach {
        strict,
        root: &document,
        current: &document,
        variables: &variables,
        length: None,
    };
    match reach.eval(&root) {
        Ok(items) => Ok(Some(items)),
        Err(_) if silent => Ok(None),
        Err(error) => Err(error),
    }
}

fn text(json: &Json) -> Value {
    Value::Text(canonical(json))
}

pub(super) fn query(args: &[Value]) -> Result<Value, FunctionError> {
    let items = found(args, false)?.unwrap_or_default();
    Ok(Value::List(items.iter().map(text).collect()))
}

pub(super) fn query_array(args: &[Value]) -> Result<Value, FunctionError> {
    Ok(text(&Json::Array(found(args, false)?.unwrap_or_default())))
}

pub(super) fn query_first(args: &[Value]) -> Result<Value, FunctionError> {
    let items = found(args, false)?.unwrap_or_default();
    Ok(items.first().map_or(Value::Null, text))
}

pub(in super::super) fn exists(args: &[Value], silent: bool) -> Result<Value, FunctionError> {
    Ok(match found(args, silent)? {
        Some(items) => Value::Bool(!items.is_empty()),
        None => Value::Null,
    })
}

pub(in super::super) fn matches(args: &[Value], silent: bool) -> Result<Value, FunctionError> {
    let asked = silent || args.get(3).is_some_and(Value::as_bool);
    match found(args, silent)?.as_deref() {
        Some([Json::Bool(holds)]) => Ok(Value::Bool(*holds)),
        Some([Json::Null]) | None => Ok(Value::Null),
        Some(_) if asked => Ok(Value::Null),
        Some(_) => Err(singleton_error(
            "single boolean result is expected".to_owned(),
        )),
    }
}
