//! Our tokens to those of sqlparser, with the old grammar's liberties made plain to it.

use sqlparser::tokenizer::Token as Sql;

use crate::cometql::sql::lexer::{Token, TokenKind};
use crate::cometql::sql::session::unexpected;
use crate::cometql::sql::words::{is_bare_value, is_session_word};
use crate::cometql::sql::{Reading, SyntaxError};

/// Words and operators that are not alone between commas and parentheses. Each may add a level to the tree, which is
/// dropped recursively; what is listed side by side adds none to its neighbours.
const JOINTS_MAX: usize = 400;

/// The same in the whole statement: so many has no question that a client asks.
const JOINTS_TOTAL_MAX: usize = 8_000;

/// Each adds a level to the tree of queries.
const UNIONS_MAX: usize = 128;

/// How deep the tree may be at a token: the joints since the last comma, and those before each bracket that is open.
#[derive(Default)]
struct Levels {
    /// Before each open bracket.
    outer: Vec<usize>,
    /// The sum of these.
    outer_sum: usize,
    joints: usize,
    total: usize,
    unions: usize,
}

impl Levels {
    fn open(&mut self) {
        self.outer.push(self.joints);
        self.outer_sum = self.outer_sum.saturating_add(self.joints);
        self.joints = 0;
    }

    fn close(&mut self) {
        if let Some(joints) = self.outer.pop() {
            self.outer_sum = self.outer_sum.saturating_sub(joints);
            self.joints = joints;
        }
    }

    fn next_in_list(&mut self) {
        self.joints = 0;
    }

    /// A word or an operator; brackets and commas are told apart from it.
    fn joint(&mut self, token: &Token<'_>) -> Result<(), SyntaxError> {
        self.joints = self.joints.saturating_add(1);
        self.total = self.total.saturating_add(1);
        if token.is_word("UNION") {
            self.next_in_list();
            self.unions = self.unions.saturating_add(1);
        } else if token.is_word("CASE") {
            self.open();
        } else if token.is_word("END") {
            self.close();
        } else if token.is_any_word(&["WHEN", "THEN", "ELSE"]) {
            self.next_in_list();
        }
        let deep = self.outer_sum.saturating_add(self.joints) > JOINTS_MAX;
        if deep || self.total > JOINTS_TOTAL_MAX || self.unions > UNIONS_MAX {
            return Err(SyntaxError::TooDeep);
        }
        Ok(())
    }
}

/// How words in lists of values are meant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// They stand for themselves.
    CometQl,
    /// They are columns, NULL and the like.
    Sql,
}

/// The tokens as sqlparser wants them. In CometQL a bare word that is a whole value becomes a string, a name in the column list
/// of an INSERT a quoted name: so words that are keywords elsewhere may stand there.
pub(super) fn convert(tokens: &[Token<'_>], reading: Reading, dialect: Dialect) -> Result<Vec<Sql>, SyntaxError> {
    let inserts = tokens.first().is_some_and(|verb| verb.is_any_word(&["INSERT", "REPLACE"]));
    let asks = tokens.first().is_some_and(|verb| verb.is_word("SELECT") || verb.is_symbol("("));
    let mut converted = Vec::with_capacity(tokens.len());
    let mut part = if inserts { Part::Names } else { Part::Clauses };
    let mut depth = 0_usize;
    let mut levels = Levels::default();
    let mut passed_over = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        // All text is of one character set, and sqlparser knows no such type.
        if dialect == Dialect::Sql
            && token.is_word("CHARACTER")
            && tokens.get(at.saturating_add(1)).is_some_and(|word| word.is_word("SET"))
        {
            passed_over = 3;
        }
        // It locks nothing, like FOR UPDATE, and sqlparser does not know it.
        if asks && token.is_word("LOCK") && are_words(tokens.get(at..), &["LOCK", "IN", "SHARE", "MODE"]) {
            passed_over = 4;
        }
        if passed_over > 0 {
            passed_over = passed_over.saturating_sub(1);
            continue;
        }
        let before = at.checked_sub(1).and_then(|at| tokens.get(at));
        let after = tokens.get(at.saturating_add(1));
        match token.kind {
            TokenKind::Symbol if token.text == "(" => {
                depth = depth.saturating_add(1);
                levels.open();
                let list = before.is_some_and(|word| word.is_word("IN"));
                if part == Part::Clauses && list && dialect == Dialect::CometQl {
                    part = Part::InList { depth };
                }
            }
            TokenKind::Symbol if token.text == ")" => {
                if part == (Part::InList { depth }) {
                    part = Part::Clauses;
                }
                depth = depth.saturating_sub(1);
                levels.close();
            }
            TokenKind::Symbol if token.text == "," => levels.next_in_list(),
            TokenKind::Word if inserts && depth == 0 && token.is_any_word(&["VALUES", "VALUE"]) => part = Part::Values,
            TokenKind::Word if inserts && depth == 0 && token.is_word("SET") => part = Part::Clauses,
            _ => {}
        }
        let separates = |symbol: &Token<'_>| ["(", ")", ","].iter().any(|known| symbol.is_symbol(known));
        let alone = before.is_some_and(separates) && after.is_some_and(separates);
        if matches!(token.kind, TokenKind::Word | TokenKind::Name | TokenKind::Symbol) && !alone && !separates(token) {
            levels.joint(token)?;
        }
        let called = after.is_some_and(|next| next.is_symbol("("));
        converted.push(match token.kind {
            TokenKind::Word if alone && !called && depth > 0 => match part {
                Part::Values | Part::InList { .. } if is_bare_value(&token.text) => {
                    Sql::SingleQuotedString(token.text.to_string())
                }
                Part::Values | Part::InList { .. } if !is_session_word(&token.text) => {
                    return Err(unexpected(Some(token)));
                }
                Part::Names => Sql::make_word(&token.text, Some('`')),
                Part::Values | Part::InList { .. } | Part::Clauses => Sql::make_word(&token.text, None),
            },
            TokenKind::Word => Sql::make_word(&token.text, None),
            TokenKind::Name => Sql::make_word(&token.text, Some('`')),
            TokenKind::Text => Sql::SingleQuotedString(token.text.to_string()),
            TokenKind::Number => Sql::Number(token.text.to_string(), false),
            TokenKind::Placeholder => Sql::Placeholder(token.text.to_string()),
            TokenKind::Symbol => symbol(token, reading)?,
        });
    }
    Ok(converted)
}

/// Whether these come first.
fn are_words(tokens: Option<&[Token<'_>]>, words: &[&str]) -> bool {
    let begin = tokens.and_then(|tokens| tokens.get(..words.len()));
    begin.is_some_and(|begin| begin.iter().zip(words).all(|(token, word)| token.is_word(word)))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The table and columns of an INSERT.
    Names,
    /// What follows its VALUES.
    Values,
    /// A list of values behind IN, which began at this depth.
    InList {
        depth: usize,
    },
    Clauses,
}

fn symbol(token: &Token<'_>, reading: Reading) -> Result<Sql, SyntaxError> {
    Ok(match token.text.as_ref() {
        "(" => Sql::LParen,
        ")" => Sql::RParen,
        "," => Sql::Comma,
        "." => Sql::Period,
        "=" => Sql::Eq,
        "<>" | "!=" => Sql::Neq,
        "<" => Sql::Lt,
        "<=" => Sql::LtEq,
        ">" => Sql::Gt,
        ">=" => Sql::GtEq,
        "<=>" => Sql::Spaceship,
        "+" => Sql::Plus,
        "-" => Sql::Minus,
        "*" => Sql::Mul,
        "/" => Sql::Div,
        "%" => Sql::Mod,
        "!" => Sql::ExclamationMark,
        "||" if reading.pipes_join() => Sql::StringConcat,
        // As MySQL reads them; as operators of sqlparser they would bind more closely.
        "||" => Sql::make_keyword("OR"),
        "&&" => Sql::make_keyword("AND"),
        _ => return Err(unexpected(Some(token))),
    })
}
