//! Words that stand for what only the session knows when its statement begins.

use super::lexer::{Token, TokenKind};

/// Functions that SQL calls without parentheses. CppComet knew none of them, but no backend means the word itself.
const WITHOUT_PARENTHESES: [&str; 9] = [
    "CURRENT_TIMESTAMP",
    "CURRENT_DATE",
    "CURRENT_TIME",
    "CURRENT_USER",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "UTC_DATE",
    "UTC_TIME",
    "UTC_TIMESTAMP",
];

/// What the statement before did.
const OF_THE_LAST_STATEMENT: [&str; 3] = ["ROW_COUNT", "LAST_INSERT_ID", "FOUND_ROWS"];

/// Whether a bare word is a variable or a function that is called without parentheses.
pub(super) fn is_session_word(word: &str) -> bool {
    word.starts_with('@') || WITHOUT_PARENTHESES.iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// Whether a statement of these tokens depends on what the statements before it did.
pub(super) fn depend_on_session(tokens: &[Token<'_>]) -> bool {
    tokens.iter().any(|token| {
        token.kind == TokenKind::Word && (is_session_word(&token.text) || token.is_any_word(&OF_THE_LAST_STATEMENT))
    })
}

/// Whether CppComet took this word for a text: a letter or `_`, then letters, digits and `_`.
pub(super) fn is_bare_value(word: &str) -> bool {
    let may_begin = word.bytes().next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_');
    may_begin && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && !is_session_word(word)
}
