//! Sequences and identity columns.

use chronolith_types::SqlType;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use crate::cursor::Cursor;
use crate::{Name, Spelled, SqlError, Statement};

/// CREATE SEQUENCE.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateSequence {
    /// Its name.
    pub name: Name,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// TEMPORARY.
    pub temporary: bool,
    /// UNLOGGED.
    pub unlogged: bool,
    /// How it counts.
    pub options: SequenceOptions,
}

/// ALTER SEQUENCE, in the forms that sequences alone have.
#[derive(Debug, Clone, PartialEq)]
pub struct AlterSequence {
    /// Which one.
    pub name: Name,
    /// IF EXISTS.
    pub if_exists: bool,
    /// What changes.
    pub options: SequenceOptions,
}

/// How a sequence counts; None where nothing was said.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SequenceOptions {
    /// AS.
    pub ty: Option<SqlType>,
    /// INCREMENT BY.
    pub increment: Option<i64>,
    /// MINVALUE, NO MINVALUE (`Some(None)`).
    pub min: Option<Option<i64>>,
    /// MAXVALUE, NO MAXVALUE (`Some(None)`).
    pub max: Option<Option<i64>>,
    /// START WITH.
    pub start: Option<i64>,
    /// RESTART, perhaps WITH a number.
    pub restart: Option<Option<i64>>,
    /// CACHE.
    pub cache: Option<i64>,
    /// CYCLE, NO CYCLE.
    pub cycle: Option<bool>,
    /// OWNED BY a column, OWNED BY NONE (`Some(None)`).
    pub owned_by: Option<Option<Name>>,
    /// SEQUENCE NAME, of an identity column.
    pub name: Option<Name>,
}

/// GENERATED … AS IDENTITY.
#[derive(Debug, Clone, PartialEq)]
pub struct IdentityDef {
    /// ALWAYS rather than BY DEFAULT.
    pub always: bool,
    /// How its sequence counts.
    pub options: SequenceOptions,
}

/// What ALTER COLUMN does to an identity.
#[derive(Debug, Clone, PartialEq)]
pub enum IdentityChange {
    /// ADD GENERATED … AS IDENTITY.
    Add(IdentityDef),
    /// SET GENERATED …, SET of the sequence's options, RESTART.
    Set {
        /// ALWAYS or BY DEFAULT, if it was said.
        always: Option<bool>,
        /// How its sequence counts.
        options: SequenceOptions,
    },
    /// DROP IDENTITY.
    Drop {
        /// IF EXISTS.
        if_exists: bool,
    },
}

/// After CREATE … SEQUENCE.
pub(crate) fn create(
    c: &mut Cursor<'_>,
    temporary: bool,
    unlogged: bool,
) -> Result<Statement, SqlError> {
    let if_not_exists = c.accept(&["if", "not", "exists"]);
    let name = c.name()?;
    let mut options = SequenceOptions::default();
    // Within CREATE SCHEMA something else may follow.
    while !c.at_end() && option(c, &mut options)? {}
    Ok(Statement::CreateSequence(Box::new(CreateSequence {
        name,
        if_not_exists,
        temporary,
        unlogged,
        options,
    })))
}

/// After ALTER SEQUENCE … name: None when no option of a sequence begins there.
pub(crate) fn alter(
    c: &mut Cursor<'_>,
    name: &Name,
    if_exists: bool,
) -> Result<Option<Statement>, SqlError> {
    let mut options = SequenceOptions::default();
    let mut some = false;
    while !c.at_end() {
        if !option(c, &mut options)? {
            return if some { Err(c.unexpected()) } else { Ok(None) };
        }
        some = true;
    }
    if !some {
        return Err(c.unexpected());
    }
    Ok(Some(Statement::AlterSequence(Box::new(AlterSequence {
        name: name.clone(),
        if_exists,
        options,
    }))))
}

/// What follows GENERATED: `ALWAYS` or `BY DEFAULT`; whether it is the first.
pub(crate) fn always(c: &mut Cursor<'_>) -> Result<bool, SqlError> {
    let always = c.accept(&["always"]);
    if !always {
        c.expect(&["by", "default"])?;
    }
    Ok(always)
}

/// `(options)` after AS IDENTITY, if they are there.
pub(crate) fn identity_options(c: &mut Cursor<'_>) -> Result<SequenceOptions, SqlError> {
    let mut options = SequenceOptions::default();
    if c.take(&Token::LParen) {
        while !c.take(&Token::RParen) {
            if !option(c, &mut options)? {
                return Err(c.unexpected());
            }
        }
    }
    Ok(options)
}

/// What ALTER COLUMN does to an identity, if it does anything to it.
pub(crate) fn identity_change(c: &mut Cursor<'_>) -> Result<Option<IdentityChange>, SqlError> {
    if c.accept(&["add", "generated"]) {
        let always = always(c)?;
        c.expect(&["as", "identity"])?;
        let options = identity_options(c)?;
        return Ok(Some(IdentityChange::Add(IdentityDef { always, options })));
    }
    if c.accept(&["drop", "identity"]) {
        let if_exists = c.accept(&["if", "exists"]);
        return Ok(Some(IdentityChange::Drop { if_exists }));
    }
    let (mut kind, mut options, mut some) = (None, SequenceOptions::default(), false);
    loop {
        if c.sees(&["restart"]) {
            option(c, &mut options)?;
        } else if c.accept(&["set", "generated"]) {
            kind = Some(always(c)?);
        } else if c.sees(&["set"]) && sets_option(c) {
            c.next();
            option(c, &mut options)?;
        } else {
            break;
        }
        some = true;
    }
    Ok(some.then_some(IdentityChange::Set {
        always: kind,
        options,
    }))
}

/// Whether an option of a sequence follows SET.
fn sets_option(c: &Cursor<'_>) -> bool {
    let words = [
        "increment",
        "minvalue",
        "maxvalue",
        "start",
        "restart",
        "cache",
        "cycle",
        "no",
        "owned",
        "sequence",
    ];
    words.iter().any(|word| c.sees(&["set", word]))
}

/// Takes one option; false when none is next.
fn option(c: &mut Cursor<'_>, options: &mut SequenceOptions) -> Result<bool, SqlError> {
    let position = c.position();
    if c.accept(&["as"]) {
        once(options.ty.is_some(), position)?;
        options.ty = Some(c.data_type()?);
    } else if c.accept(&["increment"]) {
        once(options.increment.is_some(), position)?;
        c.accept(&["by"]);
        options.increment = Some(number(c)?);
    } else if c.accept(&["minvalue"]) {
        once(options.min.is_some(), position)?;
        options.min = Some(Some(number(c)?));
    } else if c.accept(&["no", "minvalue"]) {
        once(options.min.is_some(), position)?;
        options.min = Some(None);
    } else if c.accept(&["maxvalue"]) {
        once(options.max.is_some(), position)?;
        options.max = Some(Some(number(c)?));
    } else if c.accept(&["no", "maxvalue"]) {
        once(options.max.is_some(), position)?;
        options.max = Some(None);
    } else if c.accept(&["start"]) {
        once(options.start.is_some(), position)?;
        c.accept(&["with"]);
        options.start = Some(number(c)?);
    } else if c.accept(&["restart"]) {
        once(options.restart.is_some(), position)?;
        let with = c.accept(&["with"]);
        let given = with || matches!(c.nth(0), Token::Number(..) | Token::Minus | Token::Plus);
        options.restart = Some(if given { Some(number(c)?) } else { None });
    } else if c.accept(&["cache"]) {
        once(options.cache.is_some(), position)?;
        options.cache = Some(number(c)?);
    } else if c.accept(&["cycle"]) {
        once(options.cycle.is_some(), position)?;
        options.cycle = Some(true);
    } else if c.accept(&["no", "cycle"]) {
        once(options.cycle.is_some(), position)?;
        options.cycle = Some(false);
    } else if c.accept(&["owned", "by"]) {
        once(options.owned_by.is_some(), position)?;
        let name = c.name()?;
        let none = name.parts.len() == 1 && name.name() == "none";
        options.owned_by = Some((!none).then_some(name));
    } else if c.accept(&["sequence", "name"]) {
        once(options.name.is_some(), position)?;
        options.name = Some(c.name()?);
    } else {
        return Ok(false);
    }
    Ok(true)
}

fn once(there: bool, position: usize) -> Result<(), SqlError> {
    match there {
        true => Err(SqlError::syntax(
            "conflicting or redundant options".to_owned(),
            position,
        )),
        false => Ok(()),
    }
}

/// A whole number, also the least one there is.
fn number(c: &mut Cursor<'_>) -> Result<i64, SqlError> {
    let position = c.position();
    let negative = c.take(&Token::Minus);
    if !negative {
        c.take(&Token::Plus);
    }
    let Token::Number(digits, _) = c.nth(0) else {
        return Err(c.unexpected());
    };
    let text = format!("{}{digits}", if negative { "-" } else { "" });
    let value = text.parse::<i64>().map_err(|_| {
        SqlError::new(
            chronolith_types::SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            format!("value \"{text}\" is out of range for type bigint"),
            position,
        )
    })?;
    c.next();
    Ok(value)
}

/// `OVERRIDING SYSTEM VALUE`, which sqlparser does not know, becomes `PARTITION (system)`, which no
/// INSERT of PostgreSQL has.
pub(crate) fn overriding(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let word = |at: usize| match tokens.get(at).map(|token| &token.token) {
        Some(Token::Word(word)) if word.quote_style.is_none() => Some(word.value.as_str()),
        _ => None,
    };
    let starts = |at: usize| {
        word(at) == Some("overriding")
            && matches!(word(at + 1), Some("system" | "user"))
            && word(at + 2) == Some("value")
    };
    let Some(at) = (0..tokens.len()).find(|at| starts(*at)) else {
        return tokens;
    };
    let (Some(first), Some(which)) = (tokens.get(at), tokens.get(at + 1)) else {
        return tokens;
    };
    let (span, which) = (first.span, which.clone());
    let keyword = |word: &str, keyword| {
        let word = Word {
            value: word.to_owned(),
            quote_style: None,
            keyword,
        };
        TokenWithSpan::new(Token::Word(word), span)
    };
    let plain = |token: &TokenWithSpan| match &token.token {
        Token::Word(word) => TokenWithSpan::new(
            Token::Word(Word {
                keyword: Keyword::NoKeyword,
                ..word.clone()
            }),
            token.span,
        ),
        _ => token.clone(),
    };
    let mut made: Vec<TokenWithSpan> = tokens.get(..at).unwrap_or(&[]).to_vec();
    // Right after a table's name the word would be taken for its alias.
    let named = matches!(made.last().map(|token| &token.token), Some(Token::Word(_)));
    let before = at.checked_sub(2).and_then(word);
    if named && before != Some("as") {
        let alias = made.last().map(plain);
        made.push(keyword("as", Keyword::AS));
        made.extend(alias);
    }
    made.push(keyword("partition", Keyword::PARTITION));
    made.push(TokenWithSpan::new(Token::LParen, span));
    made.push(plain(&which));
    made.push(TokenWithSpan::new(Token::RParen, span));
    made.extend(tokens.into_iter().skip(at + 3));
    overriding(made)
}

/// A name after SEQUENCE NAME or in ALTER COLUMN.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnIdentity {
    /// The column.
    pub name: Spelled,
    /// What becomes of its identity.
    pub change: IdentityChange,
}
