//! `@name := value` inside a query, made a call that sqlparser can read: its grammar for MySQL has no such operator.

use crate::cometql::sql::lexer::{Token, TokenKind};

/// The name of the call, which nobody can write without quotes.
pub(super) const ASSIGN: &str = ":=";

/// Where the value of an assignment ends, besides at a comma or a parenthesis: nothing binds less than `:=`.
const ENDS: [&str; 13] =
    ["FROM", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "UNION", "FOR", "AS", "WHEN", "THEN", "ELSE", "END"];

pub(super) fn assigns(tokens: &[Token<'_>]) -> bool {
    tokens.iter().any(|token| token.is_symbol(ASSIGN))
}

/// The same tokens with every `@name := value` written as a call of [`ASSIGN`].
pub(super) fn as_calls<'q>(tokens: &[Token<'q>]) -> Vec<Token<'q>> {
    let token = |kind, text: &'static str| Token { kind, text: text.into() };
    let symbol = |text| token(TokenKind::Symbol, text);
    let mut calls = Vec::with_capacity(tokens.len());
    // At which depth values are open, how many of them at each.
    let mut open: Vec<usize> = Vec::new();
    let mut depth = 0_usize;
    for (at, next) in tokens.iter().enumerate() {
        let ends = next.is_symbol(",") || next.is_symbol(")") || next.is_symbol(";") || next.is_any_word(&ENDS);
        while ends && open.last() == Some(&depth) {
            open.pop();
            calls.push(symbol(")"));
        }
        if next.is_symbol("(") {
            depth = depth.saturating_add(1);
        } else if next.is_symbol(")") {
            depth = depth.saturating_sub(1);
        }
        let assigned = tokens.get(at.saturating_add(1)).is_some_and(|after| after.is_symbol(ASSIGN));
        if assigned && next.kind == TokenKind::Word && next.text.starts_with('@') {
            calls.extend([token(TokenKind::Name, ASSIGN), symbol("("), next.clone()]);
        } else if next.is_symbol(ASSIGN) {
            open.push(depth);
            calls.push(symbol(","));
        } else {
            calls.push(next.clone());
        }
    }
    calls.extend(open.iter().map(|_| symbol(")")));
    calls
}
