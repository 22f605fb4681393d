//! A text to its statements.

use chronolith_types::SqlState;
use sqlparser::ast;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::alike::AlikeRows;
use crate::cursor::Cursor;
use crate::literals::Literals;
use crate::tokens::{character, readable, scan};
use crate::{AsSource, CreateTableAs, Granted, Name, SqlError, Statement};

/// A statement with its place in the text.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The statement.
    pub statement: Statement,
    /// Its bytes in the text, without the semicolon.
    pub range: std::ops::Range<usize>,
    /// The tag that its completion names: `SELECT`, `CREATE TABLE` … Counts are for the session to add.
    pub tag: String,
}

/// The statements of a text, in order. Empty statements count for nothing.
///
/// # Errors
/// For the first one that is wrong: as PostgreSQL, none is run then.
pub fn parse(text: &str) -> Result<Vec<Parsed>, SqlError> {
    if let Some((literals, range)) = Literals::read(text) {
        return Ok(vec![Parsed {
            statement: Statement::InsertLiterals(Box::new(literals)),
            range,
            tag: "INSERT".to_owned(),
        }]);
    }
    if let Some((rows, range)) = AlikeRows::read(text) {
        return Ok(vec![Parsed {
            statement: Statement::InsertAlike(Box::new(rows)),
            range,
            tag: "INSERT".to_owned(),
        }]);
    }
    parse_trees(text)
}

/// As [`parse`], without its short ways.
pub(crate) fn parse_trees(text: &str) -> Result<Vec<Parsed>, SqlError> {
    // sqlparser's joins in parentheses take 80 KiB of stack a level in a debug build, unguarded.
    let nested = |text: &str| {
        text.bytes().filter(|byte| *byte == b'(').count() > NESTED_MANY
            && deepest(text) > NESTED_MANY
    };
    if !nested(text) {
        return parse_here(text);
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("sql-parse".into())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || parse_here(text));
        match thread.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(parsed)) => parsed,
            _ => Err(SqlError::too_deep()),
        }
    })
}

/// Parentheses beyond which a text is parsed on a stack of its own.
const NESTED_MANY: usize = 10;
const STACK_BYTES: usize = 64 << 20;

/// An upper bound of how deep parentheses nest, strings not told apart.
fn deepest(text: &str) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' => open += 1,
            b')' => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most
}

fn parse_here(text: &str) -> Result<Vec<Parsed>, SqlError> {
    if let Some(nul) = text.find('\0') {
        return Err(SqlError::new(
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            "invalid byte sequence for encoding \"UTF8\": 0x00",
            text.get(..nul).unwrap_or("").chars().count() + 1,
        ));
    }
    let tokens = scan(text)?;
    let refused = crate::refused::first(text, &tokens);
    match (statements(text, tokens), refused) {
        // Whichever stands first.
        (Err(wrong), Some((from, _))) if wrong.position.is_some_and(|at| at < from) => Err(wrong),
        (_, Some((_, refused))) => Err(refused),
        (read, None) => read,
    }
}

fn statements(text: &str, tokens: Vec<TokenWithSpan>) -> Result<Vec<Parsed>, SqlError> {
    let mut found = Vec::new();
    let mut tokens = readable(text, tokens).into_iter();
    loop {
        let mut ended = true;
        let mut atomic = Atomic::default();
        let one = tokens
            .by_ref()
            .take_while(|token| {
                ended = !atomic.holds(&token.token) && token.token == Token::SemiColon;
                !ended
            })
            .collect::<Vec<_>>();
        if one.is_empty() && !ended || one.is_empty() && tokens.len() == 0 {
            return Ok(found);
        }
        if let (Some(first), Some(last)) = (one.first(), one.last()) {
            let range = byte_of(text, first)..byte_after(text, last);
            depth(&one)?;
            let mut cursor = Cursor::new(text, one);
            let statement = statement(&mut cursor)?;
            cursor.finish()?;
            let tag = tag(&statement);
            found.push(Parsed {
                statement,
                range,
                tag,
            });
        }
        if tokens.len() == 0 {
            return Ok(found);
        }
    }
}

/// Whether semicolons stand in a BEGIN ATOMIC, and end no statement.
#[derive(Default)]
struct Atomic {
    begun: bool,
    /// Ends that are to come.
    open: usize,
}

impl Atomic {
    fn holds(&mut self, token: &Token) -> bool {
        if let Token::Word(word) = token {
            let begun = std::mem::replace(&mut self.begun, word.value == "begin");
            match word.value.as_str() {
                "atomic" if begun => self.open = 1,
                "case" if self.open > 0 => self.open += 1,
                "end" => self.open = self.open.saturating_sub(1),
                _ => {}
            }
        }
        self.open > 0
    }
}

fn byte_of(text: &str, token: &TokenWithSpan) -> usize {
    byte(text, character(token.span.start))
}

fn byte_after(text: &str, token: &TokenWithSpan) -> usize {
    byte(text, character(token.span.end))
}

fn byte(text: &str, character: usize) -> usize {
    let index = character.saturating_sub(1);
    if text.is_ascii() {
        return index.min(text.len());
    }
    text.char_indices()
        .nth(index)
        .map_or(text.len(), |(at, _)| at)
}

/// Chains of operators nest the tree as parentheses do, only to the left: this keeps both small
/// enough for those who walk and drop the tree.
fn depth(tokens: &[TokenWithSpan]) -> Result<(), SqlError> {
    const OPERATORS_MAX: usize = 6000;
    const OPEN_MAX: usize = 150;
    // sqlparser reads what stands in `position(…)` twice where it is not `a IN b`.
    const TWICE_MAX: usize = 8;
    let mut chain = 0_usize;
    let mut open = 0_usize;
    // How deep each `position(` is.
    let mut twice: Vec<usize> = Vec::new();
    let mut position = false;
    for token in tokens {
        let after_position = std::mem::replace(
            &mut position,
            matches!(&token.token, Token::Word(word) if word.keyword == Keyword::POSITION),
        );
        match &token.token {
            // Rows and lists start afresh.
            Token::Comma => chain = 0,
            Token::LParen | Token::LBracket => {
                open += 1;
                if after_position {
                    twice.push(open);
                }
            }
            Token::RParen | Token::RBracket => {
                twice.pop_if(|depth| *depth == open);
                open = open.saturating_sub(1);
            }
            Token::Word(word) => {
                match word.keyword {
                    Keyword::CASE => open += 1,
                    Keyword::END => open = open.saturating_sub(1),
                    _ => {}
                }
                if matches!(
                    word.keyword,
                    Keyword::AND | Keyword::OR | Keyword::UNION | Keyword::NOT | Keyword::JOIN
                ) {
                    chain += 1;
                }
            }
            Token::SingleQuotedString(_) | Token::Number(..) | Token::Placeholder(_) => {}
            _ => chain += 1,
        }
        if chain > OPERATORS_MAX || open > OPEN_MAX || twice.len() > TWICE_MAX {
            return Err(SqlError::too_deep());
        }
    }
    Ok(())
}

/// One statement; the caller checks that nothing follows.
pub(crate) fn statement(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let first = match c.peek().token {
        Token::LParen => return selecting(c),
        Token::Word(word) if word.quote_style.is_none() => word.value,
        _ => return Err(c.unexpected()),
    };
    match first.as_str() {
        "select" | "values" | "table" | "with" => selecting(c),
        "insert" | "update" | "delete" | "merge" => changing(c),
        "create" => crate::create::create(c),
        "drop" => crate::alter::drop(c),
        "alter" => crate::alter::alter(c),
        "comment" => crate::alter::comment(c),
        "truncate" => truncate(c),
        "copy" => crate::copy::copy(c),
        "explain" => crate::copy::explain(c),
        "vacuum" => vacuum(c),
        "analyze" | "analyse" => analyze(c),
        "reindex" | "cluster" | "checkpoint" => maintain(c),
        "call" => call(c),
        "do" => do_block(c),
        "grant" | "revoke" => crate::grant::grant(c),
        "lock" => crate::lock::lock(c),
        "refresh" => crate::create::refresh(c),
        "security" => crate::alter::label(c),
        "reassign" => crate::grant::reassign(c),
        "import" | "load" => {
            let tag = match first.as_str() {
                "import" => "IMPORT FOREIGN SCHEMA",
                _ => "LOAD",
            };
            c.rest();
            Ok(Statement::Other(tag.to_owned()))
        }
        _ => match crate::session::session(c)? {
            Some(statement) => Ok(statement),
            None => Err(c.unexpected()),
        },
    }
}

fn selecting(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let query = c.query()?;
    if query.with.is_some() {
        // WITH … INSERT and its kin come as a query whose body is the statement.
        match *query.body {
            ast::SetExpr::Insert(ast::Statement::Insert(_))
            | ast::SetExpr::Update(ast::Statement::Update(_))
            | ast::SetExpr::Delete(ast::Statement::Delete(_))
            | ast::SetExpr::Merge(ast::Statement::Merge(_)) => return with_changing(*query, c),
            _ => {}
        }
    }
    let mut query = query;
    if let Some(into) = into(&mut query.body).and_then(Option::take) {
        return Ok(Statement::CreateTableAs(Box::new(CreateTableAs {
            name: name_of(&into.name),
            columns: Vec::new(),
            if_not_exists: false,
            temporary: into.temporary,
            unlogged: into.unlogged,
            on_commit: None,
            options: Vec::new(),
            source: AsSource::Query(query),
            with_data: true,
        })));
    }
    Ok(Statement::Query(query))
}

/// Where the INTO of a query stands: in its first SELECT.
pub(crate) fn into(body: &mut ast::SetExpr) -> Option<&mut Option<ast::SelectInto>> {
    match body {
        ast::SetExpr::Select(select) => Some(&mut select.into),
        ast::SetExpr::SetOperation { left, .. } => into(left),
        _ => None,
    }
}

/// `WITH a AS (…) UPDATE t …`.
fn with_changing(query: ast::Query, c: &Cursor<'_>) -> Result<Statement, SqlError> {
    let inner = match *query.body {
        ast::SetExpr::Insert(statement)
        | ast::SetExpr::Update(statement)
        | ast::SetExpr::Delete(statement)
        | ast::SetExpr::Merge(statement) => changed(statement),
        _ => None,
    };
    match (query.with, inner) {
        (Some(with), Some(inner)) => Ok(Statement::With {
            with: Box::new(with),
            inner: Box::new(inner),
        }),
        _ => Err(c.unexpected()),
    }
}

fn changed(statement: ast::Statement) -> Option<Statement> {
    Some(match statement {
        ast::Statement::Insert(insert) => Statement::Insert(Box::new(insert)),
        ast::Statement::Update(update) => Statement::Update(Box::new(update)),
        ast::Statement::Delete(delete) => Statement::Delete(Box::new(delete)),
        ast::Statement::Merge(merge) => Statement::Merge(Box::new(merge)),
        _ => return None,
    })
}

fn changing(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let statement = c.statement()?;
    changed(statement).ok_or_else(|| c.unexpected())
}

/// A name of sqlparser's tree, folded as all of ours are.
pub(crate) fn name_of(name: &ast::ObjectName) -> Name {
    let idents = name.0.iter().filter_map(|part| part.as_ident());
    let position = idents
        .clone()
        .next()
        .map_or(1, |ident| character(ident.span.start));
    Name {
        parts: idents.map(|ident| ident.value.clone()).collect(),
        position,
    }
}

fn truncate(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    c.expect(&["truncate"])?;
    c.accept(&["table"]);
    let mut only = true;
    let tables = c.list(|c| {
        only &= c.accept(&["only"]);
        let name = c.name()?;
        c.take(&Token::Mul);
        Ok(name)
    })?;
    let restart_identity = c.accept(&["restart", "identity"]);
    if !restart_identity {
        c.accept(&["continue", "identity"]);
    }
    let cascade = c.accept_any(&["cascade", "restrict"]) == Some("cascade");
    Ok(Statement::Truncate {
        tables,
        only,
        cascade,
        restart_identity,
    })
}

fn vacuum(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    c.expect(&["vacuum"])?;
    let mut options = Vec::new();
    if c.peek().token == Token::LParen {
        options = c.options()?;
    } else {
        while let Some(word) = c.accept_any(&["full", "freeze", "verbose", "analyze", "analyse"]) {
            options.push(crate::Opt {
                name: word.to_owned(),
                value: None,
                position: c.position(),
            });
        }
    }
    let tables = tables_with_columns(c)?;
    Ok(Statement::Vacuum { options, tables })
}

fn analyze(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    c.next();
    if c.peek().token == Token::LParen {
        c.options()?;
    } else {
        c.accept(&["verbose"]);
    }
    let tables = tables_with_columns(c)?;
    Ok(Statement::Analyze { tables })
}

fn tables_with_columns(c: &mut Cursor<'_>) -> Result<Vec<Name>, SqlError> {
    if c.at_end() {
        return Ok(Vec::new());
    }
    c.list(|c| {
        let name = c.name()?;
        c.optional_columns()?;
        Ok(name)
    })
}

fn maintain(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let word = c.accept_any(&["reindex", "cluster", "checkpoint"]);
    let tag = match word {
        Some("reindex") => "REINDEX",
        Some("cluster") => "CLUSTER",
        _ => "CHECKPOINT",
    };
    if c.peek().token == Token::LParen {
        c.options()?;
    }
    let kind = c.accept_any(&["index", "table", "schema", "database", "system"]);
    if (tag == "REINDEX") != kind.is_some() {
        return Err(c.unexpected());
    }
    c.accept_any(&["concurrently", "verbose"]);
    let name = if c.at_end() { None } else { Some(c.name()?) };
    // Only tables are looked for.
    let name = name.filter(|_| matches!(kind, None | Some("table")));
    let index = match name.is_some() && c.accept(&["using"]) {
        true => Some(c.ident()?),
        false => None,
    };
    Ok(Statement::Maintain { tag, name, index })
}

fn call(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    c.expect(&["call"])?;
    match c.expr()? {
        ast::Expr::Function(function) => Ok(Statement::Call(Box::new(function))),
        _ => Err(c.unexpected()),
    }
}

fn do_block(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    c.expect(&["do"])?;
    let mut language = "plpgsql".to_owned();
    let mut body = None;
    while !c.at_end() {
        if c.accept(&["language"]) {
            language = c.value()?;
        } else {
            body = Some(c.string()?);
        }
    }
    match body {
        Some(body) => Ok(Statement::Do { language, body }),
        None => Err(c.unexpected()),
    }
}

/// The words of `CommandComplete`.
fn tag(statement: &Statement) -> String {
    use crate::ObjectKind;
    let kind = |kind: ObjectKind| match kind {
        ObjectKind::Table | ObjectKind::Column | ObjectKind::Constraint => "TABLE",
        ObjectKind::View => "VIEW",
        ObjectKind::MaterializedView => "MATERIALIZED VIEW",
        ObjectKind::Index => "INDEX",
        ObjectKind::Schema => "SCHEMA",
        ObjectKind::Database => "DATABASE",
        ObjectKind::Role => "ROLE",
        ObjectKind::Extension => "EXTENSION",
        ObjectKind::Sequence => "SEQUENCE",
        ObjectKind::Function => "FUNCTION",
        ObjectKind::Procedure => "PROCEDURE",
        ObjectKind::Routine => "ROUTINE",
        ObjectKind::Aggregate => "AGGREGATE",
        ObjectKind::Trigger => "TRIGGER",
        ObjectKind::Type => "TYPE",
        ObjectKind::Language => "LANGUAGE",
        ObjectKind::Domain => "DOMAIN",
        ObjectKind::Publication => "PUBLICATION",
        ObjectKind::Other => "OBJECT",
    };
    match statement {
        Statement::Query(_) => "SELECT",
        Statement::Insert(_) | Statement::InsertLiterals(_) | Statement::InsertAlike(_) => "INSERT",
        Statement::Update(_) => "UPDATE",
        Statement::Delete(_) => "DELETE",
        Statement::Merge(_) => "MERGE",
        Statement::With { inner, .. } => return self::tag(inner),
        Statement::CreateTable(_) => "CREATE TABLE",
        Statement::CreateTableAs(_) => "CREATE TABLE AS",
        Statement::CreateView(view) if view.materialized => "CREATE MATERIALIZED VIEW",
        Statement::CreateView(_) => "CREATE VIEW",
        Statement::Refresh { .. } => "REFRESH MATERIALIZED VIEW",
        Statement::CreateIndex(_) => "CREATE INDEX",
        Statement::CreateRoutine(of) if of.procedure => "CREATE PROCEDURE",
        Statement::CreateRoutine(_) => "CREATE FUNCTION",
        Statement::CreateSequence(_) => "CREATE SEQUENCE",
        Statement::AlterSequence(_) => "ALTER SEQUENCE",
        Statement::CreatePublication(_) => "CREATE PUBLICATION",
        Statement::AlterPublication(_) => "ALTER PUBLICATION",
        Statement::CreateTrigger(_) => "CREATE TRIGGER",
        Statement::DropTrigger { .. } => "DROP TRIGGER",
        Statement::AlterTrigger { .. } => "ALTER TRIGGER",
        Statement::Policy(policy) if policy.alter => "ALTER POLICY",
        Statement::Policy(_) => "CREATE POLICY",
        Statement::DropPolicy { .. } => "DROP POLICY",
        Statement::AlterRoutine(of) => return format!("ALTER {}", kind(of.kind)),
        Statement::CreateSchema(_) => "CREATE SCHEMA",
        Statement::CreateDatabase { .. } => "CREATE DATABASE",
        Statement::CreateExtension { .. } => "CREATE EXTENSION",
        Statement::CreateRole { .. } => "CREATE ROLE",
        Statement::AlterRole { .. } => "ALTER ROLE",
        Statement::AlterDatabase { .. } => "ALTER DATABASE",
        Statement::AlterSystem(_) => "ALTER SYSTEM",
        Statement::AlterSchema { .. } => "ALTER SCHEMA",
        Statement::CreateType(_) => "CREATE TYPE",
        Statement::CreateDomain(_) => "CREATE DOMAIN",
        Statement::AlterType(alter) if alter.domain => "ALTER DOMAIN",
        Statement::AlterType(_) => "ALTER TYPE",
        Statement::AlterExtension { .. } => "ALTER EXTENSION",
        Statement::AlterTable(alter) => return format!("ALTER {}", kind(alter.kind)),
        Statement::Drop(drop) => return format!("DROP {}", kind(drop.kind)),
        Statement::Truncate { .. } => "TRUNCATE TABLE",
        Statement::Copy(_) => "COPY",
        Statement::Explain(_) => "EXPLAIN",
        Statement::Set { .. } | Statement::SetTransaction { .. } | Statement::SetSnapshot(_) => {
            "SET"
        }
        Statement::SetConstraints { .. } => "SET CONSTRAINTS",
        Statement::Reset(_) => "RESET",
        Statement::Show(_) => "SHOW",
        Statement::Begin(_) => "BEGIN",
        Statement::Start(_) => "START TRANSACTION",
        Statement::Commit { .. } => "COMMIT",
        Statement::Rollback { .. } | Statement::RollbackTo(_) => "ROLLBACK",
        Statement::PrepareTransaction(_) => "PREPARE TRANSACTION",
        Statement::EndPrepared { commit: true, .. } => "COMMIT PREPARED",
        Statement::EndPrepared { commit: false, .. } => "ROLLBACK PREPARED",
        Statement::Savepoint(_) => "SAVEPOINT",
        Statement::ReleaseSavepoint(_) => "RELEASE",
        Statement::Prepare { .. } => "PREPARE",
        Statement::Execute { .. } => "EXECUTE",
        Statement::Deallocate(Some(_)) => "DEALLOCATE",
        Statement::Deallocate(None) => "DEALLOCATE ALL",
        Statement::Declare(_) => "DECLARE CURSOR",
        Statement::Fetch {
            only_move: true, ..
        } => "MOVE",
        Statement::Fetch { .. } => "FETCH",
        Statement::Close(Some(_)) => "CLOSE CURSOR",
        Statement::Close(None) => "CLOSE CURSOR ALL",
        Statement::Discard(crate::Discard::All) => "DISCARD ALL",
        Statement::Discard(crate::Discard::Plans) => "DISCARD PLANS",
        Statement::Discard(crate::Discard::Sequences) => "DISCARD SEQUENCES",
        Statement::Discard(crate::Discard::Temp) => "DISCARD TEMP",
        Statement::Listen(_) => "LISTEN",
        Statement::Unlisten(_) => "UNLISTEN",
        Statement::Notify { .. } => "NOTIFY",
        Statement::Call(_) => "CALL",
        Statement::Do { .. } => "DO",
        Statement::Comment { .. } => "COMMENT",
        Statement::Label(_) => "SECURITY LABEL",
        Statement::Vacuum { .. } => "VACUUM",
        Statement::Analyze { .. } => "ANALYZE",
        Statement::Maintain { tag, .. } => tag,
        Statement::Lock(_) => "LOCK TABLE",
        Statement::Grant(grant) => match (&grant.granted, grant.revoke) {
            (Granted::Rights { .. }, false) => "GRANT",
            (Granted::Rights { .. }, true) => "REVOKE",
            (Granted::Roles(_), false) => "GRANT ROLE",
            (Granted::Roles(_), true) => "REVOKE ROLE",
        },
        Statement::Owned { to: Some(_), .. } => "REASSIGN OWNED",
        Statement::Owned { .. } => "DROP OWNED",
        Statement::DefaultPrivileges(_) => "ALTER DEFAULT PRIVILEGES",
        Statement::Other(tag) => tag,
    }
    .to_owned()
}

#[cfg(test)]
mod tests;
