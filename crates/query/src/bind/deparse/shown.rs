//! What is shown of an expression, and where it needs parentheses: `ruleutils.c`'s rules.

use chronolith_types::SqlType;

/// An expression with its types settled.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shown {
    /// A column, a function without arguments, a keyword.
    Word(String),
    /// A constant: its text, none for NULL, and its type.
    Constant(Option<String>, SqlType),
    Cast(Box<Shown>, SqlType),
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
    Array(Vec<Shown>),
    Case(Option<Box<Shown>>, Vec<(Shown, Shown)>, Option<Box<Shown>>),
}

impl Shown {
    pub(super) fn text(&self, pretty: bool) -> String {
        let mut out = String::new();
        self.write(pretty, &mut out);
        out
    }

    fn write(&self, pretty: bool, out: &mut String) {
        // Without prettiness, whatever has operands stands in parentheses.
        let open = |out: &mut String| {
            if !pretty {
                out.push('(');
            }
        };
        let close = |out: &mut String| {
            if !pretty {
                out.push(')');
            }
        };
        match self {
            Self::Word(word) => out.push_str(word),
            Self::Constant(text, ty) => write_constant(text.as_deref(), ty, true, out),
            Self::Cast(inner, ty) => {
                match inner.as_ref() {
                    Self::Constant(text, own) if own.without_typmod() == ty.without_typmod() => {
                        write_constant(text.as_deref(), own, false, out);
                    }
                    _ => {
                        open(out);
                        self.operand(inner, pretty, out);
                        close(out);
                    }
                }
                out.push_str("::");
                out.push_str(&ty.name());
            }
            Self::Operation(left, symbol, right) => {
                open(out);
                self.operand(left, pretty, out);
                out.push(' ');
                out.push_str(symbol);
                out.push(' ');
                self.operand(right, pretty, out);
                close(out);
            }
            Self::Prefixed(symbol, operand) => {
                open(out);
                out.push_str(symbol);
                out.push(' ');
                self.operand(operand, pretty, out);
                close(out);
            }
            Self::And(parts) => self.joined(parts, " AND ", pretty, out),
            Self::Or(parts) => self.joined(parts, " OR ", pretty, out),
            Self::Not(inner) => {
                open(out);
                out.push_str("NOT ");
                self.operand(inner, pretty, out);
                close(out);
            }
            Self::Test(inner, test) => {
                open(out);
                self.operand(inner, pretty, out);
                out.push(' ');
                out.push_str(test);
                close(out);
            }
            Self::Quantified(left, symbol, quantifier, right) => {
                open(out);
                self.operand(left, pretty, out);
                out.push(' ');
                out.push_str(symbol);
                out.push(' ');
                out.push_str(quantifier);
                out.push_str(" (");
                self.operand(right, pretty, out);
                out.push(')');
                close(out);
            }
            Self::Call(name, args) => {
                out.push_str(name);
                out.push('(');
                listed(args, pretty, out);
                out.push(')');
            }
            Self::Array(items) => {
                out.push_str("ARRAY[");
                listed(items, pretty, out);
                out.push(']');
            }
            Self::Case(operand, branches, otherwise) => {
                out.push_str("\nCASE");
                if let Some(operand) = operand {
                    out.push(' ');
                    operand.write(pretty, out);
                }
                for (when, then) in branches {
                    out.push_str("\n    WHEN ");
                    when.write(pretty, out);
                    out.push_str(" THEN ");
                    then.write(pretty, out);
                }
                out.push_str("\n    ELSE ");
                match otherwise {
                    Some(otherwise) => otherwise.write(pretty, out),
                    None => out.push_str("NULL"),
                }
                out.push_str("\nEND");
            }
        }
    }

    /// An operand of this expression, in parentheses where it would be read otherwise.
    fn operand(&self, operand: &Self, pretty: bool, out: &mut String) {
        if pretty && !operand.is_simple(self) {
            out.push('(');
            operand.write(pretty, out);
            out.push(')');
        } else {
            operand.write(pretty, out);
        }
    }

    fn joined(&self, parts: &[Self], word: &str, pretty: bool, out: &mut String) {
        if !pretty {
            out.push('(');
        }
        for (place, part) in parts.iter().enumerate() {
            if place > 0 {
                out.push_str(word);
            }
            self.operand(part, pretty, out);
        }
        if !pretty {
            out.push(')');
        }
    }

    /// Whether it needs no parentheses as an operand: `isSimpleNode`.
    fn is_simple(&self, parent: &Self) -> bool {
        match self {
            Self::Word(_)
            | Self::Constant(..)
            | Self::Call(..)
            | Self::Array(_)
            | Self::Case(..) => true,
            Self::Cast(inner, _) => inner.is_simple(self),
            Self::Operation(_, symbol, _) => match (priority(symbol), parent) {
                (Some(own), Self::Operation(left, around, _)) => match priority(around) {
                    Some(around) if own != around => own > around,
                    // a - b - c, but a - (b - c).
                    Some(_) => std::ptr::eq(left.as_ref(), self),
                    None => false,
                },
                _ => parent.is_boolean(),
            },
            Self::And(_) => matches!(parent, Self::And(_) | Self::Or(_)),
            Self::Or(_) => matches!(parent, Self::Or(_)),
            Self::Prefixed(..) | Self::Not(_) | Self::Test(..) | Self::Quantified(..) => {
                parent.is_boolean()
            }
        }
    }

    fn is_boolean(&self) -> bool {
        matches!(self, Self::And(_) | Self::Or(_) | Self::Not(_))
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

fn listed(items: &[Shown], pretty: bool, out: &mut String) {
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            out.push_str(", ");
        }
        item.write(pretty, out);
    }
}

/// A constant; its type is shown where the text alone would not be read as one of it.
fn write_constant(text: Option<&str>, ty: &SqlType, labelled: bool, out: &mut String) {
    let Some(text) = text else {
        out.push_str("NULL");
        if labelled {
            out.push_str("::");
            out.push_str(&ty.name());
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
    if labelled {
        out.push_str("::");
        out.push_str(&match ty {
            // `character` alone would be one of length 1.
            SqlType::Char(None) => "bpchar".to_owned(),
            ty => ty.name(),
        });
    }
}
