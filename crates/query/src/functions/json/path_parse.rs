//! The text of a jsonpath, read into a tree.

use chronolith_types::SqlState;
use serde_json::{Number, Value as Json};

use super::super::error::FunctionError;

/// A path with its mode.
#[derive(Debug, Clone)]
pub(super) struct Path {
    pub(super) strict: bool,
    /// The names of its variables.
    pub(super) variables: Vec<String>,
    pub(super) root: Node,
}

#[derive(Debug, Clone)]
pub(super) enum Node {
    /// `$`
    Root,
    /// `@`
    Current,
    /// `$name`
    Variable(String),
    Literal(Json),
    Steps(Box<Node>, Vec<Step>),
    Negate(Box<Node>),
    Plus(Box<Node>),
    Arithmetic(char, Box<Node>, Box<Node>),
    Predicate(Box<Predicate>),
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Member(String),
    AnyMember,
    /// `.**` of levels, the last of which may be open.
    Descend(u32, u32),
    AnyElement,
    /// Subscripts, each an index or a range.
    Elements(Vec<(Node, Option<Node>)>),
    Filter(Predicate),
    Method(Method),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Type,
    Size,
    Double,
    Ceiling,
    Floor,
    Abs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone)]
pub(super) enum Predicate {
    And(Box<Predicate>, Box<Predicate>),
    Or(Box<Predicate>, Box<Predicate>),
    Not(Box<Predicate>),
    IsUnknown(Box<Predicate>),
    Exists(Node),
    Compare(Compare, Node, Node),
    StartsWith(Node, Node),
    /// With the pattern and its flags.
    LikeRegex(Node, String, String),
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Number(String),
    Variable(String),
    Mark(&'static str),
    End,
}

/// `last`, within a subscript.
pub(super) const LAST: &str = "\0last";

fn syntax(near: &str) -> FunctionError {
    FunctionError::new(
        SqlState::SYNTAX_ERROR,
        if near.is_empty() {
            "syntax error at end of jsonpath input".to_owned()
        } else {
            format!("syntax error at or near \"{near}\" of jsonpath input")
        },
    )
}

const MARKS: [&str; 31] = [
    "**", "==", "!=", "<>", "<=", ">=", "&&", "||", "<", ">", "!", "$", "@", ".", "[", "]", "(",
    ")", "?", "*", "/", "%", "+", "-", ",", "{", "}", "=", ":", ";", "~",
];

fn tokens(text: &str) -> Result<Vec<Token>, FunctionError> {
    let mut out = Vec::new();
    let mut rest = text;
    let name_goes_on = |c: char| c.is_alphanumeric() || c == '_' || c == '$' || !c.is_ascii();
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else {
            out.push(Token::End);
            return Ok(out);
        };
        if let Some(comment) = rest.strip_prefix("/*") {
            let end = comment.find("*/").ok_or_else(|| syntax(rest))?;
            rest = comment.get(end + 2..).unwrap_or_default();
        } else if first == '"' {
            let (value, tail) = quoted(rest)?;
            out.push(Token::Text(value));
            rest = tail;
        } else if let Some(named) = rest.strip_prefix('$')
            && named.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '"')
        {
            if named.starts_with('"') {
                let (value, tail) = quoted(named)?;
                out.push(Token::Variable(value));
                rest = tail;
            } else {
                let end = named.find(|c| !name_goes_on(c)).unwrap_or(named.len());
                let (name, tail) = named.split_at(end);
                out.push(Token::Variable(name.to_owned()));
                rest = tail;
            }
        } else if first.is_ascii_digit()
            || (first == '.'
                && rest.chars().nth(1).is_some_and(|c| c.is_ascii_digit())
                && !matches!(
                    out.last(),
                    Some(Token::Word(_) | Token::Mark("$" | "@" | ")" | "]"))
                ))
        {
            let bytes = rest.as_bytes();
            let mut end = 0;
            while let Some(byte) = bytes.get(end) {
                let exponent = matches!(byte, b'+' | b'-')
                    && end > 0
                    && matches!(bytes.get(end - 1), Some(b'e' | b'E'));
                if !(byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E') || exponent) {
                    break;
                }
                end += 1;
            }
            let (number, tail) = rest.split_at(end);
            out.push(Token::Number(number.to_owned()));
            rest = tail;
        } else if first.is_alphabetic() || first == '_' || !first.is_ascii() {
            let end = rest.find(|c| !name_goes_on(c)).unwrap_or(rest.len());
            let (word, tail) = rest.split_at(end);
            out.push(Token::Word(word.to_owned()));
            rest = tail;
        } else {
            let mark = MARKS.iter().find(|mark| rest.starts_with(**mark));
            let mark = mark.ok_or_else(|| syntax(rest))?;
            out.push(Token::Mark(mark));
            rest = rest.get(mark.len()..).unwrap_or_default();
        }
    }
}

/// A string in double quotes and what follows it.
fn quoted(text: &str) -> Result<(String, &str), FunctionError> {
    let bytes = text.as_bytes();
    let mut end = 1;
    loop {
        match bytes.get(end) {
            None => return Err(syntax(text)),
            Some(b'\\') => end += 2,
            Some(b'"') => break,
            Some(_) => end += 1,
        }
    }
    let (string, rest) = text.split_at(end + 1);
    let value = serde_json::from_str(string).map_err(|_| syntax(string))?;
    Ok((value, rest))
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

/// Reads a jsonpath.
pub(super) fn parse(text: &str) -> Result<Path, FunctionError> {
    if text.trim().is_empty() {
        return Err(FunctionError::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!("invalid input syntax for type jsonpath: \"{text}\""),
        ));
    }
    let tokens = tokens(text)?;
    let variables = tokens.iter().filter_map(|token| match token {
        Token::Variable(name) => Some(name.clone()),
        _ => None,
    });
    let variables = variables.collect();
    let mut parser = Parser {
        tokens,
        at: 0,
        depth: 0,
    };
    let strict = parser.take_word("strict");
    if !strict {
        parser.take_word("lax");
    }
    let root = parser.any()?;
    match parser.peek() {
        Token::End => Ok(Path {
            strict,
            variables,
            root,
        }),
        _ => Err(parser.wrong()),
    }
}

impl Parser {
    fn peek(&self) -> Token {
        self.tokens.get(self.at).cloned().unwrap_or(Token::End)
    }

    fn wrong(&self) -> FunctionError {
        syntax(&match self.peek() {
            Token::Word(word) | Token::Number(word) | Token::Text(word) => word,
            Token::Variable(name) => format!("${name}"),
            Token::Mark(mark) => mark.to_owned(),
            Token::End => String::new(),
        })
    }

    fn take(&mut self, mark: &'static str) -> bool {
        let found = self.peek() == Token::Mark(mark);
        self.at += usize::from(found);
        found
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Token::Word(found) if found == word);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, mark: &'static str) -> Result<(), FunctionError> {
        if self.take(mark) {
            Ok(())
        } else {
            Err(self.wrong())
        }
    }

    fn deeper(&mut self) -> Result<(), FunctionError> {
        self.depth += 1;
        if self.depth > 200 {
            return Err(FunctionError::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                "a jsonpath is nested too deeply",
            ));
        }
        Ok(())
    }

    /// A predicate or an expression.
    fn any(&mut self) -> Result<Node, FunctionError> {
        self.deeper()?;
        let start = self.at;
        let node = match self.disjunction() {
            Ok(predicate) => Node::Predicate(Box::new(predicate)),
            Err(_) => {
                self.at = start;
                self.sum()?
            }
        };
        self.depth -= 1;
        Ok(node)
    }

    fn disjunction(&mut self) -> Result<Predicate, FunctionError> {
        let mut left = self.conjunction()?;
        while self.take("||") {
            left = Predicate::Or(Box::new(left), Box::new(self.conjunction()?));
        }
        Ok(left)
    }

    fn conjunction(&mut self) -> Result<Predicate, FunctionError> {
        let mut left = self.condition()?;
        while self.take("&&") {
            left = Predicate::And(Box::new(left), Box::new(self.condition()?));
        }
        Ok(left)
    }

    fn condition(&mut self) -> Result<Predicate, FunctionError> {
        self.deeper()?;
        let found = self.condition_within();
        self.depth -= 1;
        found
    }

    fn condition_within(&mut self) -> Result<Predicate, FunctionError> {
        if self.take("!") {
            return Ok(Predicate::Not(Box::new(self.delimited()?)));
        }
        let start = self.at;
        if let Ok(predicate) = self.delimited() {
            if self.take_word("is") {
                if !self.take_word("unknown") {
                    return Err(self.wrong());
                }
                return Ok(Predicate::IsUnknown(Box::new(predicate)));
            }
            // What looked like a predicate in parentheses may begin an expression.
            if matches!(
                self.peek(),
                Token::End | Token::Mark(")" | "&&" | "||" | "]" | "," | ".")
            ) {
                return Ok(predicate);
            }
        }
        self.at = start;
        let left = self.sum()?;
        let compare = match self.peek() {
            Token::Mark("==") => Compare::Equal,
            Token::Mark("!=" | "<>") => Compare::NotEqual,
            Token::Mark("<") => Compare::Less,
            Token::Mark("<=") => Compare::LessOrEqual,
            Token::Mark(">") => Compare::Greater,
            Token::Mark(">=") => Compare::GreaterOrEqual,
            Token::Word(word) if word == "starts" => {
                self.at += 1;
                if !self.take_word("with") {
                    return Err(self.wrong());
                }
                return Ok(Predicate::StartsWith(left, self.factor()?));
            }
            Token::Word(word) if word == "like_regex" => {
                self.at += 1;
                let Token::Text(pattern) = self.peek() else {
                    return Err(self.wrong());
                };
                self.at += 1;
                let mut flags = String::new();
                if self.take_word("flag") {
                    let Token::Text(found) = self.peek() else {
                        return Err(self.wrong());
                    };
                    self.at += 1;
                    flags = found;
                }
                return Ok(Predicate::LikeRegex(left, pattern, flags));
            }
            _ => return Err(self.wrong()),
        };
        self.at += 1;
        Ok(Predicate::Compare(compare, left, self.sum()?))
    }

    /// A predicate in parentheses, or `exists`.
    fn delimited(&mut self) -> Result<Predicate, FunctionError> {
        if self.take_word("exists") {
            self.expect("(")?;
            let node = self.sum()?;
            self.expect(")")?;
            return Ok(Predicate::Exists(node));
        }
        self.expect("(")?;
        let predicate = self.disjunction()?;
        self.expect(")")?;
        Ok(predicate)
    }

    fn sum(&mut self) -> Result<Node, FunctionError> {
        let mut left = self.product()?;
        loop {
            let op = match self.peek() {
                Token::Mark("+") => '+',
                Token::Mark("-") => '-',
                _ => return Ok(left),
            };
            self.at += 1;
            left = Node::Arithmetic(op, Box::new(left), Box::new(self.product()?));
        }
    }

    fn product(&mut self) -> Result<Node, FunctionError> {
        let mut left = self.signed()?;
        loop {
            let op = match self.peek() {
                Token::Mark("*") => '*',
                Token::Mark("/") => '/',
                Token::Mark("%") => '%',
                _ => return Ok(left),
            };
            self.at += 1;
            left = Node::Arithmetic(op, Box::new(left), Box::new(self.signed()?));
        }
    }

    fn signed(&mut self) -> Result<Node, FunctionError> {
        self.deeper()?;
        let found = if self.take("-") {
            Node::Negate(Box::new(self.signed()?))
        } else if self.take("+") {
            Node::Plus(Box::new(self.signed()?))
        } else {
            self.factor()?
        };
        self.depth -= 1;
        Ok(found)
    }

    /// A value and the steps behind it.
    fn factor(&mut self) -> Result<Node, FunctionError> {
        let token = self.peek();
        self.at += 1;
        let start = match token {
            Token::Mark("$") => Node::Root,
            Token::Mark("@") => Node::Current,
            Token::Variable(name) => Node::Variable(name),
            Token::Text(text) => Node::Literal(Json::String(text)),
            Token::Number(digits) => {
                let number: Number = serde_json::from_str(&digits)
                    .or_else(|_| serde_json::from_str(&format!("0{digits}")))
                    .or_else(|_| serde_json::from_str(digits.trim_end_matches('.')))
                    .map_err(|_| syntax(&digits))?;
                Node::Literal(Json::Number(number))
            }
            Token::Word(word) => match word.as_str() {
                "true" => Node::Literal(Json::Bool(true)),
                "false" => Node::Literal(Json::Bool(false)),
                "null" => Node::Literal(Json::Null),
                "last" => Node::Variable(LAST.to_owned()),
                _ => {
                    self.at -= 1;
                    return Err(self.wrong());
                }
            },
            Token::Mark("(") => {
                let inner = self.any()?;
                self.expect(")")?;
                inner
            }
            _ => {
                self.at -= 1;
                return Err(self.wrong());
            }
        };
        let mut steps = Vec::new();
        while let Some(step) = self.step()? {
            steps.push(step);
        }
        Ok(if steps.is_empty() {
            start
        } else {
            Node::Steps(Box::new(start), steps)
        })
    }

    fn step(&mut self) -> Result<Option<Step>, FunctionError> {
        if self.take("[") {
            if self.take("*") {
                self.expect("]")?;
                return Ok(Some(Step::AnyElement));
            }
            let mut subscripts = Vec::new();
            loop {
                let from = self.sum()?;
                let to = if self.take_word("to") {
                    Some(self.sum()?)
                } else {
                    None
                };
                subscripts.push((from, to));
                if !self.take(",") {
                    break;
                }
            }
            self.expect("]")?;
            return Ok(Some(Step::Elements(subscripts)));
        }
        if self.take("?") {
            self.expect("(")?;
            let predicate = self.disjunction()?;
            self.expect(")")?;
            return Ok(Some(Step::Filter(predicate)));
        }
        if !self.take(".") {
            return Ok(None);
        }
        let token = self.peek();
        self.at += 1;
        Ok(Some(match token {
            Token::Mark("*") => Step::AnyMember,
            Token::Mark("**") => {
                let mut levels = (0, u32::MAX);
                if self.take("{") {
                    levels.0 = self.level()?;
                    levels.1 = if self.take_word("to") {
                        self.level()?
                    } else {
                        levels.0
                    };
                    self.expect("}")?;
                }
                Step::Descend(levels.0, levels.1)
            }
            Token::Text(key) => Step::Member(key),
            Token::Variable(name) => Step::Member(format!("${name}")),
            Token::Word(word) => {
                if self.peek() == Token::Mark("(") {
                    let method = match word.as_str() {
                        "type" => Method::Type,
                        "size" => Method::Size,
                        "double" => Method::Double,
                        "ceiling" => Method::Ceiling,
                        "floor" => Method::Floor,
                        "abs" => Method::Abs,
                        "datetime" | "keyvalue" => {
                            return Err(FunctionError::unsupported(format!(
                                "the jsonpath method .{word}() is not supported"
                            )));
                        }
                        _ => return Err(self.wrong()),
                    };
                    self.at += 1;
                    self.expect(")")?;
                    Step::Method(method)
                } else {
                    Step::Member(word)
                }
            }
            _ => {
                self.at -= 1;
                return Err(self.wrong());
            }
        }))
    }

    fn level(&mut self) -> Result<u32, FunctionError> {
        if self.take_word("last") {
            return Ok(u32::MAX);
        }
        match self.peek() {
            Token::Number(digits) => {
                self.at += 1;
                digits.parse().map_err(|_| syntax(&digits))
            }
            _ => Err(self.wrong()),
        }
    }
}
