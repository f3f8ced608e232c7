//! SET, parsed by hand: a list of assignments whose forms are MySQL's, and CppComet's, which has no equals sign.
//!
//! Every word is understood or refused. What a variable means, and whether it may have that value, is for whoever
//! plans it.

use super::lexer::{Token, TokenKind};
use super::meter::Meter;
use super::session::{Cursor, unexpected};
use super::statement::{Assigned, Assignment, Statement, Target};
use super::{Reading, SyntaxError, tree};

/// Assignments of one SET.
const ASSIGNMENTS_MAX: usize = 256;

/// The statement that these tokens are; the first is SET.
pub(super) fn statement(tokens: &[Token<'_>], reading: Reading, meter: &Meter) -> Result<Statement, SyntaxError> {
    let rest = tokens.get(1..).unwrap_or_default();
    let mut assignments = Vec::new();
    for part in parts(rest) {
        if assignments.len() >= ASSIGNMENTS_MAX {
            return Err(SyntaxError::TooManyTokens);
        }
        let mut cursor = Cursor { tokens: part, reading };
        // The one form whose parts are not assignments of their own.
        if is_transaction(part) {
            return transaction(rest, reading).map(Statement::Set);
        }
        assignments.push(assignment(&mut cursor, meter)?);
        cursor.end()?;
    }
    Ok(Statement::Set(assignments))
}

/// What stands between the commas outside of parentheses.
fn parts<'t, 'q>(tokens: &'t [Token<'q>]) -> impl Iterator<Item = &'t [Token<'q>]> {
    let mut depth = 0_usize;
    tokens.split(move |token| {
        if token.is_symbol("(") {
            depth = depth.saturating_add(1);
        } else if token.is_symbol(")") {
            depth = depth.saturating_sub(1);
        }
        depth == 0 && token.is_symbol(",")
    })
}

fn assignment(cursor: &mut Cursor<'_, '_>, meter: &Meter) -> Result<Assignment, SyntaxError> {
    let first = cursor.next().ok_or_else(|| unexpected(None))?;
    if first.is_word("NAMES") && !is_assigned(cursor) {
        let value = character_set(cursor)?;
        if cursor.take("COLLATE") {
            cursor.name()?;
        }
        return Ok(Assignment { target: Target::CharacterSet, value });
    }
    if first.is_word("CHARSET") && !is_assigned(cursor)
        || first.is_any_word(&["CHARACTER", "CHAR"]) && cursor.take("SET")
    {
        return Ok(Assignment { target: Target::CharacterSet, value: character_set(cursor)? });
    }
    let target = target(first, cursor)?;
    if !cursor.take_symbol("=") && !cursor.take_symbol(":=") && cursor.tokens.len() != 1 {
        // CppComet's form has one word as its value.
        return Err(unexpected(cursor.peek()));
    }
    Ok(Assignment { target, value: value(cursor, meter)? })
}

fn is_assigned(cursor: &Cursor<'_, '_>) -> bool {
    cursor.peek().is_some_and(|token| token.is_symbol("=") || token.is_symbol(":="))
}

/// Its name, bare or in quotes, or DEFAULT.
fn character_set(cursor: &mut Cursor<'_, '_>) -> Result<Assigned, SyntaxError> {
    cursor.name().map(Assigned::Word)
}

/// `@name`, `[@@][scope.]name` or `scope name`.
fn target(first: &Token<'_>, cursor: &mut Cursor<'_, '_>) -> Result<Target, SyntaxError> {
    if !matches!(first.kind, TokenKind::Word | TokenKind::Name) {
        return Err(unexpected(Some(first)));
    }
    let written = first.text.to_ascii_lowercase();
    let Some(system) = written.strip_prefix("@@") else {
        if written.starts_with('@') {
            let named = written.len() > 1;
            return if named { Ok(Target::User(written.into())) } else { Err(unexpected(cursor.peek())) };
        }
        if first.is_any_word(&["STATEMENT", "PASSWORD", "ROLE", "DEFAULT", "RESOURCE", "TRANSACTION"]) {
            return Err(SyntaxError::Unsupported("this form of SET"));
        }
        let scoped = first.kind == TokenKind::Word && !is_assigned(cursor) && cursor.tokens.len() > 1;
        if scoped && let Some(scope) = scope(&written) {
            let name = cursor.next().filter(|token| matches!(token.kind, TokenKind::Word | TokenKind::Name));
            let name = name.filter(|name| !name.text.starts_with('@')).ok_or_else(|| unexpected(None))?;
            return scoped_target(scope, name.text.to_ascii_lowercase());
        }
        return Ok(Target::System(written.into()));
    };
    // `@@` before a name in backticks is a word of its own.
    let name = if system.is_empty() { cursor.name()?.to_ascii_lowercase() } else { system.to_owned() };
    match scope(&name) {
        Some(scope) if cursor.take_symbol(".") => {
            let variable = cursor.name()?.to_ascii_lowercase();
            scoped_target(scope, variable)
        }
        // Of these variables, what is set by a name with signs and without a scope counts for the next transaction only.
        _ if matches!(&*name, "transaction_isolation" | "tx_isolation" | "transaction_read_only" | "tx_read_only") => {
            Ok(Target::NextTransaction(name.into()))
        }
        _ => Ok(Target::System(name.into())),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Session,
    Server,
    /// Of the server, and kept.
    File,
}

/// `None` if the word is no scope.
fn scope(word: &str) -> Option<Scope> {
    match word {
        "session" | "local" => Some(Scope::Session),
        "global" => Some(Scope::Server),
        "persist" | "persist_only" => Some(Scope::File),
        _ => None,
    }
}

fn scoped_target(scope: Scope, name: String) -> Result<Target, SyntaxError> {
    match scope {
        Scope::Session => Ok(Target::System(name.into())),
        Scope::Server => Ok(Target::Server(name.into())),
        Scope::File => Err(SyntaxError::Unsupported("SET that writes comet.ini")),
    }
}

fn value(cursor: &mut Cursor<'_, '_>, meter: &Meter) -> Result<Assigned, SyntaxError> {
    if let [word] = cursor.tokens
        && word.kind == TokenKind::Word
        && !word.text.starts_with('@')
    {
        cursor.next();
        return Ok(if word.is_word("DEFAULT") {
            Assigned::Default
        } else if word.is_word("NULL") {
            computed(std::slice::from_ref(word), cursor.reading, meter)?
        } else {
            Assigned::Word(word.text.as_ref().into())
        });
    }
    let rest = std::mem::take(&mut cursor.tokens);
    if rest.is_empty() {
        return Err(unexpected(None));
    }
    computed(rest, cursor.reading, meter)
}

/// A value that is computed as SELECT would. In parentheses, for behind a value without them stands an alias.
fn computed(value: &[Token<'_>], reading: Reading, meter: &Meter) -> Result<Assigned, SyntaxError> {
    let token = |kind, text: &'static str| Token { kind, text: text.into() };
    let mut tokens = vec![token(TokenKind::Word, "SELECT"), token(TokenKind::Symbol, "(")];
    tokens.extend(value.iter().cloned());
    tokens.push(token(TokenKind::Symbol, ")"));
    let mut query = tree::computed(&tokens, reading, meter)?;
    if !query.is_one_value() {
        return Err(unexpected(value.first()));
    }
    query.drop_headings();
    Ok(Assigned::Query(query))
}

fn is_transaction(part: &[Token<'_>]) -> bool {
    let scoped = part.first().is_some_and(|first| scope(&first.text.to_ascii_lowercase()).is_some());
    let word = part.get(usize::from(scoped));
    let assigned = part.get(usize::from(scoped).saturating_add(1)).is_some_and(|token| token.is_symbol("="));
    word.is_some_and(|word| word.is_word("TRANSACTION")) && !assigned
}

/// `[SESSION] TRANSACTION {ISOLATION LEVEL ... | READ ONLY | READ WRITE} {, ...}`
fn transaction(tokens: &[Token<'_>], reading: Reading) -> Result<Vec<Assignment>, SyntaxError> {
    let mut cursor = Cursor { tokens, reading };
    let mut session = false;
    if !cursor.take("TRANSACTION") {
        let word = cursor.next().map(|word| word.text.to_ascii_lowercase()).unwrap_or_default();
        session = scope(&word) == Some(Scope::Session);
        if !session {
            return Err(SyntaxError::Unsupported("SET GLOBAL TRANSACTION"));
        }
        cursor.expect("TRANSACTION")?;
    }
    let mut assignments = Vec::new();
    loop {
        let (name, word) = if cursor.take("ISOLATION") {
            cursor.expect("LEVEL")?;
            ("transaction_isolation", isolation(&mut cursor)?)
        } else {
            ("transaction_read_only", if cursor.read_only()? { "ON" } else { "OFF" })
        };
        let target = if session { Target::System(name.into()) } else { Target::NextTransaction(name.into()) };
        assignments.push(Assignment { target, value: Assigned::Word(word.into()) });
        if !cursor.take_symbol(",") {
            cursor.end()?;
            return Ok(assignments);
        }
        if assignments.len() > 1 {
            return Err(unexpected(cursor.peek()));
        }
    }
}

fn isolation(cursor: &mut Cursor<'_, '_>) -> Result<&'static str, SyntaxError> {
    if cursor.take("SERIALIZABLE") {
        return Ok("SERIALIZABLE");
    }
    if cursor.take("REPEATABLE") {
        return cursor.expect("READ").map(|()| "REPEATABLE-READ");
    }
    cursor.expect("READ")?;
    if cursor.take("UNCOMMITTED") {
        return Ok("READ-UNCOMMITTED");
    }
    cursor.expect("COMMITTED").map(|()| "READ-COMMITTED")
}
