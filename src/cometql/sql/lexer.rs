//! Lexical elements to tokens with their text decoded, within bounds that keep every later step cheap.

use std::borrow::Cow;

use super::SyntaxError;
use super::literal::decode;
use super::modes::Reading;
use super::scanner::{Element, Kind, Scanner};

/// Tokens of one statement. 1,000 rows of 20 values have 42,000.
pub(super) const TOKENS_MAX: usize = 100_000;

/// Parentheses within parentheses.
pub(super) const DEPTH_MAX: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    Word,
    /// In single or double quotes: a value, or in the old grammar a name.
    Text,
    /// In backticks; in double quotes where the session said so.
    Name,
    /// With its sign, if it has one.
    Number,
    Symbol,
    /// `?`; its text is its place, counted from 0.
    Placeholder,
}

/// One token; `text` is what it stands for, without quotes and escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: TokenKind,
    pub(super) text: Cow<'a, str>,
}

impl Token<'_> {
    pub(super) fn is_symbol(&self, symbol: &str) -> bool {
        self.kind == TokenKind::Symbol && self.text == symbol
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(word)
    }

    pub(super) fn is_any_word(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is_word(word))
    }

    /// Whether a minus after this token subtracts; after anything else it is a sign.
    fn is_operand(&self) -> bool {
        match self.kind {
            TokenKind::Symbol => self.text == ")",
            TokenKind::Word => false,
            _ => true,
        }
    }
}

/// All tokens of `query`.
pub(super) fn tokens(query: &str, reading: Reading) -> Result<Vec<Token<'_>>, SyntaxError> {
    let mut scanner = Scanner::new(query.as_bytes(), reading);
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let mut depth = 0_usize;
    let mut placeholders = 0_usize;
    let mut last_end = 0;
    while let Some(element) = scanner.next()? {
        if tokens.len() >= TOKENS_MAX {
            return Err(SyntaxError::TooManyTokens);
        }
        let mut token = token(query, element, reading);
        match token.text.as_ref() {
            _ if is_quoted(&token)
                && last_end == element.start
                && tokens.last().is_some_and(|sign| sign.is_word("@")) =>
            {
                tokens.pop();
                token = Token { kind: TokenKind::Word, text: format!("@{}", token.text).into() };
            }
            _ if token.kind == TokenKind::Text => {
                if last_end == element.start {
                    introduced(&mut tokens, &mut token)?;
                }
                drop_character_set(&mut tokens);
            }
            _ if token.kind == TokenKind::Number => signed(&mut tokens, &mut token),
            "(" if token.kind == TokenKind::Symbol => {
                depth = depth.saturating_add(1);
                if depth > DEPTH_MAX {
                    return Err(SyntaxError::TooDeep);
                }
            }
            ")" if token.kind == TokenKind::Symbol => depth = depth.saturating_sub(1),
            "?" if token.kind == TokenKind::Symbol => {
                drop_character_set(&mut tokens);
                token = Token { kind: TokenKind::Placeholder, text: placeholders.to_string().into() };
                placeholders = placeholders.saturating_add(1);
            }
            _ => {}
        }
        last_end = element.end;
        tokens.push(token);
    }
    Ok(tokens)
}

pub(super) fn placeholders(tokens: &[Token<'_>]) -> usize {
    tokens.iter().filter(|token| token.kind == TokenKind::Placeholder).count()
}

/// `@'name'` and the like name what `@name` names.
fn is_quoted(token: &Token<'_>) -> bool {
    matches!(token.kind, TokenKind::Text | TokenKind::Name)
}

fn token(query: &str, element: Element, reading: Reading) -> Token<'_> {
    let written = query.get(element.start..element.end).unwrap_or_default();
    let kind = match element.kind {
        Kind::Word => TokenKind::Word,
        Kind::Number => TokenKind::Number,
        Kind::Symbol => TokenKind::Symbol,
        Kind::Quoted { plain } => {
            let quote = written.bytes().next().unwrap_or_default();
            let inner = written.get(1..written.len().saturating_sub(1)).unwrap_or_default();
            let text = if plain { Cow::Borrowed(inner) } else { decode(inner, quote, reading) };
            let kind = if reading.is_name_quote(quote) { TokenKind::Name } else { TokenKind::Text };
            return Token { kind, text };
        }
    };
    Token { kind, text: Cow::Borrowed(written) }
}

/// A string right behind a word: `_utf8mb4'x'` and `N'x'` are the string, `x'41'` is hexadecimal. All text here is
/// UTF-8, so the named character set changes nothing; clients write it before binary parameters.
fn introduced(tokens: &mut Vec<Token<'_>>, text: &mut Token<'_>) -> Result<(), SyntaxError> {
    let Some(word) = tokens.last().filter(|token| token.kind == TokenKind::Word) else {
        return Ok(());
    };
    if word.is_word("x") {
        let bytes = hexadecimal(text.text.as_bytes()).ok_or(SyntaxError::BadHexadecimal)?;
        text.text = String::from_utf8(bytes).map_err(|_| SyntaxError::BadHexadecimal)?.into();
    } else if !word.is_word("n") && !word.text.starts_with('_') {
        return Ok(());
    }
    tokens.pop();
    Ok(())
}

/// The name of a character set, also with a blank between: `_binary 'x'`, `_utf8mb4 x'41'`, `_binary ?`. Other words
/// with an underscore are names there.
fn drop_character_set(tokens: &mut Vec<Token<'_>>) {
    const NAMES: [&str; 10] =
        ["_binary", "_utf8mb4", "_utf8mb3", "_utf8", "_latin1", "_ascii", "_ucs2", "_utf16", "_utf32", "_cp1251"];
    if tokens.last().is_some_and(|word| word.is_any_word(&NAMES)) {
        tokens.pop();
    }
}

fn hexadecimal(digits: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_chunks::<2>();
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let bytes = pairs.iter().map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?)).collect();
    rest.is_empty().then_some(bytes).flatten()
}

/// Joins a sign to its number, so that `-5` is one value.
fn signed<'a>(tokens: &mut Vec<Token<'a>>, number: &mut Token<'a>) {
    let (Some(sign), before) = (tokens.last(), tokens.len().checked_sub(2).and_then(|at| tokens.get(at))) else {
        return;
    };
    if sign.is_symbol("-") && !before.is_some_and(Token::is_operand) {
        number.text = format!("-{}", number.text).into();
        tokens.pop();
    }
}
