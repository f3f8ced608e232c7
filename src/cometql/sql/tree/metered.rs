//! MySQL's dialect for sqlparser, with a bound on how often it may begin to read an expression.
//!
//! At several places sqlparser tries one reading, and another one if the first fails: `POSITION(`, `IN (`, a word that
//! may be a keyword, a parenthesis in FROM. Where such places are nested, what is within is read twice at each level,
//! so a short text could take hours. What has failed is remembered by sqlparser only in part, and each release has
//! other such places. So none of them is refused by name: the readings are counted, and beyond a number that no
//! statement needs which is read once or twice the whole attempt ends.
//!
//! The parser asks its dialect before each expression and each operator. [`ParserError::RecursionLimitExceeded`] is the
//! one error that it does not take for "try the other reading".

use std::any::TypeId;
use std::cell::Cell;

use sqlparser::ast::Expr;
use sqlparser::dialect::{Dialect, MySqlDialect};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use crate::cometql::sql::meter::Meter;

/// Readings beyond one for each token: a token begins an expression or is an operator once. What clients send needs less
/// than that; so this is for what is read again, and of long statements not much is.
const AGAIN_PER_TOKEN: u32 = 3;
const AGAIN_MAX: u32 = 4_000;
const AGAIN_LEAST: u32 = 400;

#[derive(Debug)]
pub(in crate::cometql::sql) struct Metered {
    pub(super) meter: Meter,
    left: Cell<u32>,
}

impl Metered {
    /// For a statement of so many tokens.
    pub(in crate::cometql::sql) fn new(tokens: usize) -> Self {
        let once = u32::try_from(tokens).unwrap_or(u32::MAX);
        let again = once.saturating_mul(AGAIN_PER_TOKEN).clamp(AGAIN_LEAST, AGAIN_MAX);
        Self { meter: Meter::default(), left: Cell::new(once.saturating_add(again)) }
    }

    /// Whether the attempt was ended. The parser may have made something of the text all the same, which is then not what
    /// was written.
    pub(super) fn is_used_up(&self) -> bool {
        self.left.get() == 0
    }

    fn reads(&self, parser: &Parser<'_>) -> Result<(), ParserError> {
        let bytes = match &parser.peek_token_ref().token {
            Token::Word(word) => word.value.len(),
            Token::SingleQuotedString(text) | Token::Number(text, _) => text.len(),
            _ => 0,
        };
        self.meter.expression(bytes);
        self.left.set(self.left.get().saturating_sub(1));
        if self.is_used_up() { Err(ParserError::RecursionLimitExceeded) } else { Ok(()) }
    }
}

macro_rules! as_mysql {
    ($($flag:ident)*) => { $(fn $flag(&self) -> bool { MYSQL.$flag() })* };
}

/// What differs from any dialect is what [`MySqlDialect`] says; a test compares the two.
impl Dialect for Metered {
    fn dialect(&self) -> TypeId {
        TypeId::of::<MySqlDialect>()
    }

    fn parse_prefix(&self, parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        self.reads(parser).err().map(Err)
    }

    /// MySQL's own operator DIV is not part of CometQL; to read it the parser would copy all that stands before it.
    fn parse_infix(&self, parser: &mut Parser<'_>, _: &Expr, _: u8) -> Option<Result<Expr, ParserError>> {
        if let Err(error) = self.reads(parser) {
            return Some(Err(error));
        }
        let next = &parser.peek_token_ref().token;
        let divides = matches!(next, Token::Word(word) if word.keyword == Keyword::DIV);
        divides.then(|| Err(ParserError::ParserError("DIV is not part of CometQL: use / and FLOOR".to_owned())))
    }

    fn is_identifier_start(&self, character: char) -> bool {
        MYSQL.is_identifier_start(character)
    }

    fn is_identifier_part(&self, character: char) -> bool {
        MYSQL.is_identifier_part(character)
    }

    fn is_delimited_identifier_start(&self, character: char) -> bool {
        MYSQL.is_delimited_identifier_start(character)
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        MYSQL.identifier_quote_style(identifier)
    }

    fn is_table_factor_alias(&self, explicit: bool, keyword: &Keyword, parser: &mut Parser<'_>) -> bool {
        MYSQL.is_table_factor_alias(explicit, keyword, parser)
    }

    as_mysql! {
        supports_string_literal_backslash_escape
        supports_string_literal_concatenation
        ignores_wildcard_escapes
        supports_numeric_prefix
        supports_bitwise_shift_operators
        supports_multiline_comment_hints
        require_interval_qualifier
        supports_limit_comma
        supports_create_table_select
        supports_insert_set
        supports_user_host_grantee
        supports_table_hints
        requires_single_line_comment_whitespace
        supports_match_against
        supports_select_modifiers
        supports_set_names
        supports_comma_separated_set_assignments
        supports_update_order_by
        supports_data_type_signed_suffix
        supports_cross_join_constraint
        supports_double_ampersand_operator
        supports_binary_kw_as_cast
        supports_comment_optimizer_hint
        supports_constraint_keyword_without_name
        supports_key_column_option
        supports_group_by_with_modifier
        supports_left_associative_joins_without_parens
    }
}

const MYSQL: MySqlDialect = MySqlDialect {};
