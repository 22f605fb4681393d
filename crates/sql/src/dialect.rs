//! PostgreSQL's dialect of sqlparser, without the guesses that make it read a text again and again.

use std::any::TypeId;

use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator};
use sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

/// As [`PostgreSqlDialect`], which it says it is.
#[derive(Debug)]
pub(crate) struct Postgres;

static POSTGRES: PostgreSqlDialect = PostgreSqlDialect {};

/// Above a power's, below that of a cast and a subscript.
const SIGN: u8 = 120;

macro_rules! yes {
    ($($name:ident)*) => { $(fn $name(&self) -> bool { true })* };
}

impl Dialect for Postgres {
    fn dialect(&self) -> TypeId {
        POSTGRES.dialect()
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        POSTGRES.identifier_quote_style(identifier)
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        POSTGRES.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        POSTGRES.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        POSTGRES.is_identifier_part(ch)
    }

    /// Of these, a failure is final: trying each once more as a plain name takes time exponential
    /// in the nesting. Where they are plain names, the tokens already say so.
    fn is_reserved_for_identifier(&self, kw: Keyword) -> bool {
        matches!(
            kw,
            Keyword::ARRAY
                | Keyword::CASE
                | Keyword::CAST
                | Keyword::CEIL
                | Keyword::EXISTS
                | Keyword::EXTRACT
                | Keyword::FLOOR
                | Keyword::NOT
                | Keyword::OVERLAY
                | Keyword::POSITION
                | Keyword::STRUCT
                | Keyword::SUBSTR
                | Keyword::SUBSTRING
                | Keyword::TRIM
        )
    }

    fn is_custom_operator_part(&self, ch: char) -> bool {
        POSTGRES.is_custom_operator_part(ch)
    }

    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        POSTGRES.get_next_precedence(parser)
    }

    fn prec_value(&self, prec: Precedence) -> u8 {
        POSTGRES.prec_value(prec)
    }

    /// CREATE and GRANT are reserved: in CREATE SCHEMA they begin what comes next.
    fn is_table_alias(&self, kw: &Keyword, parser: &mut Parser<'_>) -> bool {
        !begins(kw) && POSTGRES.is_table_alias(kw, parser)
    }

    fn is_column_alias(&self, kw: &Keyword, parser: &mut Parser<'_>) -> bool {
        // `SELECT 1 FOR UPDATE`
        !begins(kw) && *kw != Keyword::FOR && POSTGRES.is_column_alias(kw, parser)
    }

    /// A sign, which holds what follows faster than a power does: `-2 ^ 2` is 4. VALUES in
    /// parentheses, which is a query there too.
    fn parse_prefix(&self, parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        if let Token::Word(word) = &parser.peek_token_ref().token
            && word.keyword == Keyword::VALUES
            && word.quote_style.is_none()
            && parser.peek_nth_token_ref(1).token == Token::LParen
        {
            return Some(parser.parse_query().map(Expr::Subquery));
        }
        let op = match parser.peek_token_ref().token {
            Token::Minus => UnaryOperator::Minus,
            Token::Plus => UnaryOperator::Plus,
            _ => return None,
        };
        parser.advance_token();
        let operand = parser.parse_subexpr(SIGN);
        Some(operand.map(|operand| Expr::UnaryOp {
            op,
            expr: Box::new(operand),
        }))
    }

    /// COLLATE after a cast; BETWEEN SYMMETRIC; LIKE with ANY and ALL; and what IS DISTINCT FROM compares with, which ends before AND, OR and
    /// other tests.
    fn parse_infix(
        &self,
        parser: &mut Parser<'_>,
        expr: &Expr,
        _precedence: u8,
    ) -> Option<Result<Expr, ParserError>> {
        use Keyword::{COLLATE, DISTINCT, FROM, IS, NOT};
        if parser.parse_keyword(COLLATE) {
            let collation = parser.parse_object_name(false);
            return Some(collation.map(|collation| Expr::Collate {
                expr: Box::new(expr.clone()),
                collation,
            }));
        }
        if let Some(found) = self.between_symmetric(parser, expr) {
            return Some(found);
        }
        if let Some(found) = self.like_each(parser, expr) {
            return Some(found);
        }
        let negated = parser.parse_keywords(&[IS, NOT, DISTINCT, FROM]);
        if !negated && !parser.parse_keywords(&[IS, DISTINCT, FROM]) {
            return None;
        }
        let left = Box::new(expr.clone());
        let right = parser.parse_subexpr(self.prec_value(Precedence::Is));
        Some(right.map(|right| match negated {
            true => Expr::IsNotDistinctFrom(left, Box::new(right)),
            false => Expr::IsDistinctFrom(left, Box::new(right)),
        }))
    }

    yes! {
        supports_unicode_string_literal supports_filter_during_aggregation supports_group_by_expr
        allow_extract_custom allow_extract_single_quotes supports_create_index_with_clause
        supports_bitwise_shift_operators supports_empty_projections supports_nested_comments
        supports_string_escape_constant supports_array_typedef_with_brackets
        supports_geometric_types supports_notnull_operator supports_interval_options
        supports_insert_table_alias supports_comma_separated_trim
        supports_named_fn_args_with_assignment_operator supports_from_first_insert
    }
}

fn begins(kw: &Keyword) -> bool {
    matches!(kw, Keyword::CREATE | Keyword::GRANT)
}

/// Whether words that are no keywords for sqlparser follow; then they are taken.
fn words(parser: &mut Parser<'_>, wanted: &[&str]) -> bool {
    let is = |at: usize, wanted: &str| {
        let token = &parser.peek_nth_token_ref(at).token;
        matches!(token, Token::Word(word)
            if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted))
    };
    let all = wanted.iter().enumerate().all(|(at, word)| is(at, word));
    if all {
        wanted.iter().for_each(|_| parser.advance_token());
    }
    all
}

impl Postgres {
    /// `x BETWEEN SYMMETRIC a AND b`: between both, whichever is the smaller.
    fn between_symmetric(
        &self,
        parser: &mut Parser<'_>,
        expr: &Expr,
    ) -> Option<Result<Expr, ParserError>> {
        // The other word says what is so without it.
        if words(parser, &["between", "asymmetric"]) {
            return Some(parser.parse_between(expr.clone(), false));
        }
        if words(parser, &["not", "between", "asymmetric"]) {
            return Some(parser.parse_between(expr.clone(), true));
        }
        let negated = words(parser, &["not", "between", "symmetric"]);
        if !negated && !words(parser, &["between", "symmetric"]) {
            return None;
        }
        Some(parser.parse_between(expr.clone(), negated).map(|one| {
            let Expr::Between {
                expr, low, high, ..
            } = &one
            else {
                return one;
            };
            let other = Expr::Between {
                expr: expr.clone(),
                negated,
                low: high.clone(),
                high: low.clone(),
            };
            Expr::Nested(Box::new(Expr::BinaryOp {
                left: Box::new(one),
                op: match negated {
                    true => BinaryOperator::And,
                    false => BinaryOperator::Or,
                },
                right: Box::new(other),
            }))
        }))
    }

    /// `x LIKE ANY (…)` and its kin: the operator with each of several patterns.
    fn like_each(&self, parser: &mut Parser<'_>, expr: &Expr) -> Option<Result<Expr, ParserError>> {
        let kinds = [
            (["like"].as_slice(), BinaryOperator::PGLikeMatch),
            (&["ilike"], BinaryOperator::PGILikeMatch),
            (&["not", "like"], BinaryOperator::PGNotLikeMatch),
            (&["not", "ilike"], BinaryOperator::PGNotILikeMatch),
        ];
        for (kind, op) in kinds {
            for quantifier in ["any", "some", "all"] {
                let mut wanted = kind.to_vec();
                wanted.push(quantifier);
                let behind = &parser.peek_nth_token_ref(wanted.len()).token;
                if *behind != Token::LParen || !words(parser, &wanted) {
                    continue;
                }
                let query = matches!(&parser.peek_nth_token_ref(1).token, Token::Word(word)
                    if matches!(word.keyword, Keyword::SELECT | Keyword::WITH));
                let right = match query {
                    true => parser.parse_subexpr(self.prec_value(Precedence::Like)),
                    false => {
                        parser.advance_token();
                        parser.parse_expr().and_then(|right| {
                            parser.expect_token(&Token::RParen)?;
                            Ok(right)
                        })
                    }
                };
                return Some(right.map(|right| {
                    let (left, right) = (Box::new(expr.clone()), Box::new(right));
                    match quantifier {
                        "all" => Expr::AllOp {
                            left,
                            compare_op: op,
                            right,
                        },
                        _ => Expr::AnyOp {
                            left,
                            compare_op: op,
                            right,
                            is_some: false,
                        },
                    }
                }));
            }
        }
        None
    }
}
