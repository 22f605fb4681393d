//! What is shown of an expression, and where it needs parentheses: `ruleutils.c`'s rules.

use chronolith_types::SqlType;

use super::layout::Writer;
use super::query::Query;
use crate::catalogs::quoted;

/// An expression with its types settled.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shown {
    /// A keyword that stands for a value.
    Word(String),
    /// A column: the alias of its relation and its name.
    Column(Option<String>, String),
    /// A constant: its text, none for NULL, and its type.
    Constant(Option<String>, SqlType),
    Cast(Box<Shown>, SqlType, Way),
    Operation(Box<Shown>, String, Box<Shown>),
    Prefixed(String, Box<Shown>),
    And(Vec<Shown>),
    Or(Vec<Shown>),
    Not(Box<Shown>),
    /// `… IS NULL` and its kin.
    Test(Box<Shown>, &'static str),
    /// `left op ANY (right)`.
    Quantified(Box<Shown>, String, &'static str, Box<Shown>),
    Call(String, Vec<Shown>),
    /// A call in the spelling of the standard: `EXTRACT(epoch FROM x)`.
    Spelled(Vec<Piece>),
    /// `name => value`.
    Named(String, Box<Shown>),
    Variadic(Box<Shown>),
    Aggregate(Box<Aggregate>),
    Array(Vec<Shown>),
    /// An array of a type that has no items.
    NoItems(SqlType),
    Row(Vec<Shown>),
    Subscript(Box<Shown>, Vec<Subscript>),
    Collate(Box<Shown>, String),
    Case(Option<Box<Shown>>, Vec<(Shown, Shown)>, Option<Box<Shown>>),
    /// A query as a value: what is compared with it, and how.
    Sublink(Option<Box<Shown>>, Sublink, Box<Query>),
}

/// How one type becomes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// By a function, which is as simple as a call.
    Function,
    /// By its text, or as it is.
    Text,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Text(&'static str),
    /// What stands within parentheses or between keywords.
    Plain(Shown),
    /// What gets parentheses where it is not simple.
    Operand(Shown),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Subscript {
    Index(Shown),
    Slice(Option<Shown>, Option<Shown>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Sublink {
    Value,
    Array,
    Exists,
    /// `IN`, `op ANY`, `op ALL`, or an operator alone for a row.
    Compared(String),
}

/// An aggregate or a window function.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Aggregate {
    pub name: String,
    pub distinct: bool,
    pub star: bool,
    pub args: Vec<Shown>,
    pub order: Vec<Sorted>,
    /// The order stands in WITHIN GROUP.
    pub within: bool,
    pub filter: Option<Shown>,
    pub over: Option<Over>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Over {
    Name(String),
    Window(Box<Window>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window {
    pub base: Option<String>,
    pub partition: Vec<Shown>,
    pub order: Vec<Sorted>,
    pub frame: Option<Frame>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Frame {
    pub units: &'static str,
    pub start: Bound,
    pub end: Option<Bound>,
    pub exclusion: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Bound {
    Word(&'static str),
    Offset(Shown, &'static str),
}

/// A key of ORDER BY and what follows it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sorted {
    pub key: Shown,
    pub options: &'static str,
    /// The key is the number of a column.
    pub number: bool,
}

impl Shown {
    pub(super) fn text(&self, pretty: bool) -> String {
        let mut writer = Writer::new(pretty, Some(0));
        writer.value(self);
        writer.finish()
    }

    /// The name that its column has unless another is said.
    pub(super) fn natural_name(&self) -> Option<&str> {
        match self {
            Self::Column(_, name) => Some(name),
            _ => None,
        }
    }

    /// Whether it needs no parentheses as an operand: `isSimpleNode`.
    fn is_simple(&self, parent: &Self) -> bool {
        match self {
            Self::Word(_)
            | Self::Column(..)
            | Self::Constant(..)
            | Self::Call(..)
            | Self::Spelled(_)
            | Self::Named(..)
            | Self::Variadic(_)
            | Self::Aggregate(_)
            | Self::Array(_)
            | Self::NoItems(_)
            | Self::Row(_)
            | Self::Subscript(..)
            | Self::Cast(_, _, Way::Function)
            | Self::Case(..) => true,
            Self::Cast(inner, _, Way::Text) => inner.is_simple(self),
            Self::Operation(_, symbol, _) => match (priority(symbol), parent) {
                (Some(own), Self::Operation(left, around, _)) => match priority(around) {
                    Some(around) if own != around => own > around,
                    // a - b - c, but a - (b - c).
                    Some(_) => std::ptr::eq(left.as_ref(), self),
                    None => false,
                },
                _ => parent.is_boolean(),
            },
            Self::And(_) | Self::Not(_) => matches!(parent, Self::And(_) | Self::Or(_)),
            Self::Or(_) => matches!(parent, Self::Or(_)),
            Self::Prefixed(..) | Self::Test(..) | Self::Sublink(..) => parent.is_boolean(),
            Self::Quantified(..) | Self::Collate(..) => false,
        }
    }

    fn is_boolean(&self) -> bool {
        matches!(self, Self::And(_) | Self::Or(_) | Self::Not(_))
    }

    /// Whether it could be read as `cube(…)` or the like where a key is expected.
    fn is_call(&self) -> bool {
        match self {
            // COALESCE and its kin are no functions.
            Self::Call(name, _) => name.chars().any(|c| c.is_lowercase()),
            Self::Cast(_, _, Way::Function) | Self::Spelled(_) | Self::Aggregate(_) => true,
            _ => false,
        }
    }
}

/// How tightly the operators bind whose order everybody knows.
fn priority(symbol: &str) -> Option<u8> {
    match symbol {
        "+" | "-" => Some(0),
        "*" | "/" | "%" => Some(1),
        _ => None,
    }
}

impl Writer {
    /// Without prettiness, whatever has operands stands in parentheses.
    fn open(&mut self) {
        if !self.pretty {
            self.out.push('(');
        }
    }

    fn close(&mut self) {
        if !self.pretty {
            self.out.push(')');
        }
    }

    #[expect(clippy::too_many_lines, reason = "a table of the forms")]
    pub(super) fn value(&mut self, shown: &Shown) {
        match shown {
            Shown::Word(word) => self.out.push_str(word),
            Shown::Column(table, name) => {
                if let Some(table) = table {
                    self.out.push_str(&quoted(table));
                    self.out.push('.');
                }
                self.out.push_str(&quoted(name));
            }
            Shown::Constant(text, ty) => write_constant(text.as_deref(), ty, true, &mut self.out),
            Shown::Cast(inner, ty, _) => {
                match inner.as_ref() {
                    Shown::Constant(text, own) if own.without_typmod() == ty.without_typmod() => {
                        write_constant(text.as_deref(), own, false, &mut self.out);
                    }
                    _ => {
                        self.open();
                        self.operand(inner, shown);
                        self.close();
                    }
                }
                self.out.push_str("::");
                self.out.push_str(&type_name(ty));
            }
            Shown::Operation(left, symbol, right) => {
                self.open();
                self.operand(left, shown);
                self.words(symbol);
                self.operand(right, shown);
                self.close();
            }
            Shown::Prefixed(symbol, operand) => {
                self.open();
                self.out.push_str(symbol);
                self.out.push(' ');
                self.operand(operand, shown);
                self.close();
            }
            Shown::And(parts) => self.joined(parts, "AND", shown),
            Shown::Or(parts) => self.joined(parts, "OR", shown),
            Shown::Not(inner) => {
                self.open();
                self.out.push_str("NOT ");
                self.operand(inner, shown);
                self.close();
            }
            Shown::Test(inner, test) => {
                self.open();
                self.operand(inner, shown);
                self.out.push(' ');
                self.out.push_str(test);
                self.close();
            }
            Shown::Quantified(left, symbol, quantifier, right) => {
                self.open();
                self.operand(left, shown);
                self.words(symbol);
                self.out.push_str(quantifier);
                self.out.push_str(" (");
                self.operand(right, shown);
                self.out.push(')');
                self.close();
            }
            Shown::Call(name, args) => {
                self.out.push_str(name);
                self.out.push('(');
                self.listed(args);
                self.out.push(')');
            }
            Shown::Spelled(pieces) => {
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => self.out.push_str(text),
                        Piece::Plain(inner) => self.value(inner),
                        Piece::Operand(inner) => self.operand(inner, shown),
                    }
                }
            }
            Shown::Named(name, inner) => {
                self.out.push_str(&quoted(name));
                self.out.push_str(" => ");
                self.value(inner);
            }
            Shown::Variadic(inner) => {
                self.out.push_str("VARIADIC ");
                self.value(inner);
            }
            Shown::Aggregate(aggregate) => self.aggregate(aggregate),
            Shown::Array(items) => {
                self.out.push_str("ARRAY[");
                self.listed(items);
                self.out.push(']');
            }
            Shown::NoItems(ty) => {
                self.out.push_str("ARRAY[]::");
                self.out.push_str(&ty.to_string());
            }
            Shown::Row(items) => {
                self.out.push_str("ROW(");
                self.listed(items);
                self.out.push(')');
            }
            Shown::Subscript(inner, subscripts) => self.subscripts(inner, subscripts),
            Shown::Collate(inner, name) => {
                self.open();
                self.operand(inner, shown);
                self.out.push_str(" COLLATE ");
                self.out.push_str(name);
                self.close();
            }
            Shown::Case(operand, branches, otherwise) => {
                self.case(operand.as_deref(), branches, otherwise.as_deref());
            }
            Shown::Sublink(left, kind, query) => self.sublink(left.as_deref(), kind, query),
        }
    }

    fn words(&mut self, words: &str) {
        self.out.push(' ');
        self.out.push_str(words);
        self.out.push(' ');
    }

    /// An operand of an expression, in parentheses where it would be read otherwise.
    fn operand(&mut self, operand: &Shown, parent: &Shown) {
        if self.pretty && !operand.is_simple(parent) {
            self.out.push('(');
            self.value(operand);
            self.out.push(')');
        } else {
            self.value(operand);
        }
    }

    fn joined(&mut self, parts: &[Shown], word: &str, parent: &Shown) {
        self.open();
        for (place, part) in parts.iter().enumerate() {
            if place > 0 {
                self.words(word);
            }
            self.operand(part, parent);
        }
        self.close();
    }

    pub(super) fn listed(&mut self, items: &[Shown]) {
        for (place, item) in items.iter().enumerate() {
            if place > 0 {
                self.out.push_str(", ");
            }
            self.value(item);
        }
    }

    fn case(
        &mut self,
        operand: Option<&Shown>,
        branches: &[(Shown, Shown)],
        otherwise: Option<&Shown>,
    ) {
        self.keyword("CASE", 0, 4, 0);
        if let Some(operand) = operand {
            self.out.push(' ');
            self.value(operand);
        }
        for (when, then) in branches {
            self.keyword("WHEN ", 0, 0, 0);
            self.value(when);
            self.out.push_str(" THEN ");
            self.value(then);
        }
        self.keyword("ELSE ", 0, 0, 0);
        match otherwise {
            Some(otherwise) => self.value(otherwise),
            None => self.out.push_str("NULL"),
        }
        self.keyword("END", -4, 0, 0);
    }

    fn subscripts(&mut self, inner: &Shown, subscripts: &[Subscript]) {
        let bare = matches!(inner, Shown::Column(..) | Shown::Subscript(..));
        if !bare {
            self.out.push('(');
        }
        self.value(inner);
        if !bare {
            self.out.push(')');
        }
        for subscript in subscripts {
            self.out.push('[');
            match subscript {
                Subscript::Index(index) => self.value(index),
                Subscript::Slice(from, to) => {
                    if let Some(from) = from {
                        self.value(from);
                    }
                    self.out.push(':');
                    if let Some(to) = to {
                        self.value(to);
                    }
                }
            }
            self.out.push(']');
        }
    }

    fn sublink(&mut self, left: Option<&Shown>, kind: &Sublink, query: &Query) {
        self.out.push_str(match kind {
            Sublink::Array => "ARRAY(",
            _ => "(",
        });
        if let Some(left) = left {
            match left {
                Shown::Row(items) => {
                    self.out.push('(');
                    self.listed(items);
                    self.out.push(')');
                }
                other => self.value(other),
            }
        }
        let wrapped = match kind {
            Sublink::Value | Sublink::Array => false,
            Sublink::Exists => {
                self.out.push_str("EXISTS (");
                true
            }
            Sublink::Compared(words) => {
                self.words(words);
                self.out.push('(');
                true
            }
        };
        self.nested(query, false);
        self.out.push_str(if wrapped { "))" } else { ")" });
    }

    fn aggregate(&mut self, aggregate: &Aggregate) {
        self.out.push_str(&aggregate.name);
        self.out.push('(');
        if aggregate.distinct {
            self.out.push_str("DISTINCT ");
        }
        if aggregate.star {
            self.out.push('*');
        }
        self.listed(&aggregate.args);
        if !aggregate.order.is_empty() {
            self.out.push_str(match aggregate.within {
                true => ") WITHIN GROUP (ORDER BY ",
                false => " ORDER BY ",
            });
            self.order(&aggregate.order);
        }
        if let Some(filter) = &aggregate.filter {
            self.out.push_str(") FILTER (WHERE ");
            self.value(filter);
        }
        self.out.push(')');
        match &aggregate.over {
            None => {}
            Some(Over::Name(name)) => {
                self.out.push_str(" OVER ");
                self.out.push_str(&quoted(name));
            }
            Some(Over::Window(window)) => {
                self.out.push_str(" OVER ");
                self.window(window);
            }
        }
    }

    pub(super) fn window(&mut self, window: &Window) {
        let mut space = "";
        self.out.push('(');
        if let Some(base) = &window.base {
            self.out.push_str(&quoted(base));
            space = " ";
        }
        if !window.partition.is_empty() {
            self.out.push_str(space);
            self.out.push_str("PARTITION BY ");
            self.keys(&window.partition);
            space = " ";
        }
        if !window.order.is_empty() {
            self.out.push_str(space);
            self.out.push_str("ORDER BY ");
            self.order(&window.order);
            space = " ";
        }
        if let Some(frame) = &window.frame {
            self.out.push_str(space);
            self.out.push_str(frame.units);
            self.out.push(' ');
            if frame.end.is_some() {
                self.out.push_str("BETWEEN ");
            }
            self.bound(&frame.start);
            if let Some(end) = &frame.end {
                self.out.push_str(" AND ");
                self.bound(end);
            }
            if let Some(exclusion) = frame.exclusion {
                self.out.push(' ');
                self.out.push_str(exclusion);
            }
        }
        self.out.push(')');
    }

    fn bound(&mut self, bound: &Bound) {
        match bound {
            Bound::Word(word) => self.out.push_str(word),
            Bound::Offset(offset, side) => {
                self.value(offset);
                self.out.push_str(side);
            }
        }
    }

    pub(super) fn order(&mut self, order: &[Sorted]) {
        for (place, sorted) in order.iter().enumerate() {
            if place > 0 {
                self.out.push_str(", ");
            }
            if sorted.number {
                self.value(&sorted.key);
            } else {
                self.key(&sorted.key);
            }
            self.out.push_str(sorted.options);
        }
    }

    pub(super) fn keys(&mut self, keys: &[Shown]) {
        for (place, key) in keys.iter().enumerate() {
            if place > 0 {
                self.out.push_str(", ");
            }
            self.key(key);
        }
    }

    /// A key of GROUP BY, ORDER BY or a window.
    pub(super) fn key(&mut self, key: &Shown) {
        match key {
            Shown::Column(..) => self.value(key),
            // A bare number would be that of a column.
            Shown::Constant(text, ty) => {
                write_constant(text.as_deref(), ty, false, &mut self.out);
                self.out.push_str("::");
                self.out.push_str(&type_name(ty));
            }
            _ if self.pretty || key.is_call() => {
                self.out.push('(');
                self.value(key);
                self.out.push(')');
            }
            _ => self.value(key),
        }
    }
}

/// Stands around the number and the name of a user's type until both are told apart; no text that
/// PostgreSQL takes has it.
pub(super) const TYPE_MARK: char = '\0';

/// A type as it can be written in a cast.
fn type_name(ty: &SqlType) -> String {
    match ty {
        // `character` alone would be one of length 1.
        SqlType::Char(None) => "bpchar".to_owned(),
        SqlType::Array(element) => format!("{}[]", type_name(element)),
        SqlType::User(user) => {
            let name = user.shown();
            format!("{TYPE_MARK}{}{TYPE_MARK}{name}{TYPE_MARK}", user.oid)
        }
        ty => ty.name(),
    }
}

/// A constant; its type is shown where the text alone would not be read as one of it.
fn write_constant(text: Option<&str>, ty: &SqlType, labelled: bool, out: &mut String) {
    let Some(text) = text else {
        out.push_str("NULL");
        if labelled && *ty != SqlType::Unknown {
            out.push_str("::");
            out.push_str(&type_name(ty));
        }
        return;
    };
    let bare = match ty {
        SqlType::Bool => {
            out.push_str(if text == "t" { "true" } else { "false" });
            return;
        }
        SqlType::Int4 => !text.starts_with('-'),
        SqlType::Numeric(_) => {
            text.starts_with(|c: char| c.is_ascii_digit()) && text.contains(['.', 'e', 'E'])
        }
        _ => false,
    };
    if bare {
        out.push_str(text);
        return;
    }
    out.push('\'');
    for c in text.chars() {
        if c == '\'' {
            out.push(c);
        }
        out.push(c);
    }
    out.push('\'');
    if labelled && *ty != SqlType::Unknown {
        out.push_str("::");
        out.push_str(&type_name(ty));
    }
}
