//! Text to statements. Nothing here knows tables, tenants or sessions: a statement says what was written.
//!
//! Every text passes the same scanner, so that all parts agree where a string literal or a comment ends: that
//! agreement is what keeps a correctly escaped value from ever becoming a part of the statement. A plain INSERT
//! takes the fast path ([`fast`]); session statements are parsed by hand (`session`); SELECT, INSERT, REPLACE,
//! DELETE and UPDATE go as tokens through sqlparser and its tree becomes our [`Statement`] (`tree`).

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

pub mod catalog;
pub mod fast;
mod lexer;
mod literal;
mod meter;
pub mod modes;
mod scanner;
mod session;
mod set;
mod split;
pub mod statement;
mod tree;
mod words;

use std::fmt;

pub use literal::StringEscapes;
pub use meter::Meter;
pub use modes::{Modes, Reading};
pub use split::{ClusterPrefix, Pieces, cluster_prefix, pieces, statements};
pub use statement::{
    Assigned, Assignment, Condition, Delete, Expression, Insert, Instruction, Item, Limit, Operator, Order, Prepared,
    Select, Show, ShowFilter, Statement, StatusFlag, Subject, Summary, TableName, Target, Transaction, Update, Value,
};

/// Why a text is no statement. Always the peer's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyntaxError {
    UnclosedQuote,
    UnclosedComment,
    /// A byte that cannot stand where it stands.
    UnexpectedByte(u8),
    /// A hexadecimal literal that is not UTF-8 text.
    BadHexadecimal,
    /// Parentheses or operators nested deeper than `lexer::DEPTH_MAX`.
    TooDeep,
    /// More than `lexer::TOKENS_MAX` tokens.
    TooManyTokens,
    /// What can be read in two ways is nested in what can be, until reading all of it takes too long.
    TooMuchToRead,
    SeveralStatements,
    /// `?` in a statement that is not prepared.
    Placeholder,
    /// A clause of SQL that this language does not have.
    Unsupported(&'static str),
    /// A statement that there is nothing for, and what there is instead.
    Fixed(&'static str),
    /// What the parser expected and found, shortened.
    Grammar(Box<str>),
    /// Placeholders and bound values differ in number.
    WrongParameters {
        given: usize,
        wanted: usize,
    },
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnclosedQuote => f.write_str("a quote is not closed"),
            Self::UnclosedComment => f.write_str("a comment is not closed"),
            Self::UnexpectedByte(byte) if byte.is_ascii_graphic() => {
                write!(f, "unexpected character `{}`", char::from(*byte))
            }
            Self::UnexpectedByte(byte) => write!(f, "unexpected byte 0x{byte:02x}"),
            Self::BadHexadecimal => f.write_str("a hexadecimal literal is malformed or not UTF-8"),
            Self::TooDeep => f.write_str("the statement is nested too deeply"),
            Self::TooManyTokens => f.write_str("the statement has too many parts"),
            Self::TooMuchToRead => f.write_str("reading the statement takes too long: nest less in it"),
            Self::SeveralStatements => {
                f.write_str("one statement per query, unless the client asks for multi-statements")
            }
            Self::Placeholder => f.write_str("`?` stands for a value in prepared statements only"),
            Self::Unsupported(clause) => write!(f, "{clause} is not part of CometQL"),
            Self::Fixed(text) => f.write_str(text),
            Self::Grammar(text) => f.write_str(text),
            Self::WrongParameters { given, wanted } => write!(f, "{given} values for {wanted} placeholders"),
        }
    }
}

impl std::error::Error for SyntaxError {}

/// Where a name without a database is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    CometQl,
    /// In `information_schema`: reading only, what is written stays without.
    Schema,
}

/// One query text to one statement. Blanks, comments and a trailing `;` are ignored; a text of nothing else is
/// [`Statement::Empty`]. A second statement is an error; see [`statements`] for clients that asked for several.
pub fn parse(query: &str, reading: impl Into<Reading>) -> Result<Statement, SyntaxError> {
    parse_among(query, reading, Names::CometQl, &Meter::default())
}

/// The same where names without a database may be others. The meter counts what it takes.
pub fn parse_among(
    query: &str,
    reading: impl Into<Reading>,
    names: Names,
    meter: &Meter,
) -> Result<Statement, SyntaxError> {
    let reading = reading.into();
    let tokens = tokens(query, reading, meter)?;
    if lexer::placeholders(&tokens) > 0 {
        return Err(SyntaxError::Placeholder);
    }
    statement_of(tokens, reading, names, meter)
}

fn tokens<'q>(query: &'q str, reading: Reading, meter: &Meter) -> Result<Vec<lexer::Token<'q>>, SyntaxError> {
    meter.scanned(query.len());
    let tokens = lexer::tokens(query, reading);
    meter.tokens(tokens.as_ref().map_or(lexer::TOKENS_MAX.min(query.len()), Vec::len));
    tokens
}

/// Most placeholders of one statement: the protocol counts them in 16 bits.
pub const PLACEHOLDERS_MAX: usize = 65_535;

/// The same for a statement with placeholders, to be given values later.
pub fn prepare(query: &str, reading: impl Into<Reading>) -> Result<Prepared, SyntaxError> {
    prepare_among(query, reading, Names::CometQl, &Meter::default())
}

/// The same where names without a database may be others. They are what they were when it is prepared. The meter counts
/// what it takes.
pub fn prepare_among(
    query: &str,
    reading: impl Into<Reading>,
    names: Names,
    meter: &Meter,
) -> Result<Prepared, SyntaxError> {
    let reading = reading.into();
    let tokens = tokens(query, reading, meter)?;
    let placeholders = lexer::placeholders(&tokens);
    if placeholders > PLACEHOLDERS_MAX {
        return Err(SyntaxError::TooManyTokens);
    }
    let count = tokens.len();
    Ok(Prepared::new(statement_of(tokens, reading, names, meter)?, placeholders, query.len(), count))
}

fn statement_of(
    mut tokens: Vec<lexer::Token<'_>>,
    reading: Reading,
    names: Names,
    meter: &Meter,
) -> Result<Statement, SyntaxError> {
    let end = tokens.iter().rposition(|token| !token.is_symbol(";")).map_or(0, |last| last.saturating_add(1));
    tokens.truncate(end);
    let begin = tokens.iter().position(|token| !token.is_symbol(";")).unwrap_or(0);
    tokens.drain(..begin);
    if tokens.iter().any(|token| token.is_symbol(";")) {
        return Err(SyntaxError::SeveralStatements);
    }
    match tokens.first() {
        None => Ok(Statement::Empty),
        Some(first)
            if first.is_any_word(&["SELECT", "INSERT", "REPLACE", "DELETE", "UPDATE"]) || first.is_symbol("(") =>
        {
            let statement = tree::statement(&tokens, reading, names, meter)?;
            let late = match &statement {
                Statement::Insert(insert) => insert.values.iter().any(|value| matches!(value, Value::Late(_))),
                _ => words::depend_on_session(&tokens),
            };
            Ok(if late { Statement::Late(Box::new(statement)) } else { statement })
        }
        Some(first) if first.is_word("SET") => set::statement(&tokens, reading, meter),
        Some(_) => {
            let mut statement = session::statement(&tokens, reading, meter)?;
            if names == Names::Schema {
                statement.complete_names(SCHEMA);
            }
            Ok(statement)
        }
    }
}

/// The database that describes the others.
pub const SCHEMA: &str = "information_schema";

#[cfg(test)]
mod tests;
