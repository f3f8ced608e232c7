//! Expressions of the tree: entries of a SELECT list, conditions, plain values.

use sqlparser::ast::{self, BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident};

use super::catalog;
use crate::cometql::sql::SyntaxError;
use crate::cometql::sql::statement::{Condition, Expression, Item, Operator, Value};
use crate::cometql::sql::words::is_session_word;

/// Under which names a column may be qualified.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    /// The table's name and its alias; empty behind SHOW.
    pub(super) tables: Vec<Box<str>>,
}

const EXPRESSION: SyntaxError = SyntaxError::Unsupported("this expression");

impl Scope {
    /// A column from the parts of its name: `[[database.]table.]column`.
    pub(super) fn column(&self, parts: Vec<Ident>) -> Result<Box<str>, SyntaxError> {
        let mut parts = parts.into_iter().rev();
        let column = parts.next().ok_or(EXPRESSION)?;
        if parts.next().is_some_and(|table| !self.tables.iter().any(|known| known.eq_ignore_ascii_case(&table.value))) {
            return Err(SyntaxError::Unsupported("a column of another table"));
        }
        Ok(column.value.into())
    }

    /// A column where nothing else can stand; the old grammar allows single quotes around it.
    pub(super) fn column_of(&self, tree: Expr) -> Result<Box<str>, SyntaxError> {
        match tree {
            Expr::Identifier(name) => self.column(vec![name]),
            Expr::CompoundIdentifier(parts) => self.column(parts),
            Expr::Nested(inner) => self.column_of(*inner),
            Expr::Value(literal) => match literal_of(literal.value)? {
                Value::Text(name) => Ok(name.as_ref().into()),
                _ => Err(EXPRESSION),
            },
            _ => Err(EXPRESSION),
        }
    }
}

/// A plain value. A bare word stands for itself.
pub(super) fn value(tree: Expr) -> Result<Value<'static>, SyntaxError> {
    match tree {
        Expr::Value(literal) => literal_of(literal.value),
        Expr::Identifier(name) if name.quote_style.is_none() && is_session_word(&name.value) => {
            Ok(Value::Late(name.value.into()))
        }
        Expr::Identifier(name) => Ok(Value::Text(name.value.into())),
        Expr::CompoundIdentifier(parts) if parts.first().is_some_and(|first| first.value.starts_with("@@")) => {
            Ok(Value::Late(variable_name(&parts).into()))
        }
        // CURRENT_TIMESTAMP and the like, without parentheses.
        Expr::Function(ast::Function { name, args: FunctionArguments::None, .. }) => match name.to_string() {
            word if is_session_word(&word) => Ok(Value::Late(word.into())),
            _ => Err(EXPRESSION),
        },
        Expr::Nested(inner) => value(*inner),
        _ => Err(EXPRESSION),
    }
}

/// `@@[scope.]name` in lower case; without its scope, unless that is the server.
pub(super) fn variable_name(parts: &[Ident]) -> String {
    let name = parts.last().map_or_else(String::new, |name| name.value.to_ascii_lowercase());
    let first = parts.first().map_or("", |first| &first.value);
    if first.eq_ignore_ascii_case("@@global") { format!("@@global.{name}") } else { format!("@@{name}") }
}

/// What a column is compared to: a plain value, or what is computed from values alone.
fn operand(tree: Expr) -> Result<Value<'static>, SyntaxError> {
    match tree {
        Expr::Nested(inner) => operand(*inner),
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_) => value(tree),
        other => catalog::constant(other).map(|scalar| Value::Computed(Box::new(scalar))),
    }
}

fn operands(trees: Vec<Expr>) -> Result<Vec<Value<'static>>, SyntaxError> {
    trees.into_iter().map(operand).collect()
}

fn literal_of(literal: ast::Value) -> Result<Value<'static>, SyntaxError> {
    Ok(match literal {
        ast::Value::Number(digits, _) => Value::Number(digits.into()),
        ast::Value::SingleQuotedString(text) | ast::Value::DoubleQuotedString(text) => Value::Text(text.into()),
        ast::Value::Boolean(truth) => Value::Text(if truth { "true" } else { "false" }.into()),
        ast::Value::Null => Value::Text("null".into()),
        ast::Value::Placeholder(place) => Value::Placeholder(place.parse().map_err(|_| EXPRESSION)?),
        _ => return Err(EXPRESSION),
    })
}

/// One entry of a SELECT list.
pub(super) fn item(tree: ast::SelectItem, scope: &Scope, has_table: bool) -> Result<Item, SyntaxError> {
    match tree {
        ast::SelectItem::Wildcard(options) => plain(&options).map(|()| Item::All),
        ast::SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::ObjectName(table), options) => {
            plain(&options)?;
            let mut parts = super::identifiers(table.0)?;
            // The scope wants a column behind the table.
            parts.push(Ident::new("*"));
            scope.column(parts).map(|_| Item::All)
        }
        ast::SelectItem::UnnamedExpr(tree) => {
            let heading = heading(&tree);
            Ok(Item::One { expression: expression(tree, scope, has_table)?, heading })
        }
        ast::SelectItem::ExprWithAlias { expr, alias } => {
            let quoted = matches!(&expr, Expr::Value(_));
            let expression = match expression(expr, scope, has_table)? {
                // What has been given another name need not be a column.
                Expression::Column(name) if quoted => Expression::ColumnOrText(name),
                other => other,
            };
            Ok(Item::One { expression, heading: alias.value.into() })
        }
        _ => Err(EXPRESSION),
    }
}

fn plain(options: &ast::WildcardAdditionalOptions) -> Result<(), SyntaxError> {
    let ast::WildcardAdditionalOptions {
        wildcard_token: _,
        opt_ilike: None,
        opt_exclude: None,
        opt_except: None,
        opt_replace: None,
        opt_rename: None,
        opt_alias: None,
    } = options
    else {
        return Err(EXPRESSION);
    };
    Ok(())
}

/// The expression as written, near enough: MySQL shows literals without their quotes and columns without their table.
fn heading(tree: &Expr) -> Box<str> {
    match tree {
        Expr::Nested(inner) => heading(inner),
        _ => plain_heading(tree).unwrap_or_else(|| match tree {
            Expr::CompoundIdentifier(_) | Expr::Function(_) => tree.to_string().into(),
            // Nothing else is computed, and writing down a deep tree takes as much stack as reading it.
            _ => Box::default(),
        }),
    }
}

/// The heading of a column or of a literal.
pub(super) fn plain_heading(tree: &Expr) -> Option<Box<str>> {
    Some(match tree {
        Expr::Identifier(name) => name.value.as_str().into(),
        Expr::CompoundIdentifier(parts) if !parts.first().is_some_and(|first| first.value.starts_with('@')) => {
            parts.last().map_or_else(Box::default, |column| column.value.as_str().into())
        }
        Expr::Value(literal) => match &literal.value {
            ast::Value::SingleQuotedString(text) => text.as_str().into(),
            ast::Value::Placeholder(_) => "?".into(),
            other => other.to_string().into(),
        },
        _ => return None,
    })
}

fn expression(tree: Expr, scope: &Scope, has_table: bool) -> Result<Expression, SyntaxError> {
    Ok(match tree {
        Expr::Nested(inner) => expression(*inner, scope, has_table)?,
        Expr::Identifier(name) if name.quote_style.is_none() && name.value.starts_with('@') => {
            Expression::Variable(name.value.to_ascii_lowercase().into())
        }
        Expr::CompoundIdentifier(parts) if parts.first().is_some_and(|first| first.value.starts_with("@@")) => {
            Expression::Variable(variable_name(&parts).into())
        }
        // The one function that may be called without parentheses and that sqlparser takes for a name.
        Expr::Identifier(name) if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("CURRENT_USER") => {
            Expression::Function { name: "CURRENT_USER".into(), arguments: Vec::new() }
        }
        Expr::Identifier(name) => Expression::Column(scope.column(vec![name])?),
        Expr::CompoundIdentifier(parts) => Expression::Column(scope.column(parts)?),
        Expr::Value(literal) => match literal_of(literal.value)? {
            Value::Text(name) if has_table => Expression::Column(name.as_ref().into()),
            value => Expression::Value(value),
        },
        Expr::Function(function) => function_of(function, scope, has_table)?,
        _ => return Err(EXPRESSION),
    })
}

fn function_of(tree: ast::Function, scope: &Scope, has_table: bool) -> Result<Expression, SyntaxError> {
    const FUNCTION: SyntaxError = SyntaxError::Unsupported("this form of a function");
    let ast::Function { name, uses_odbc_syntax: _, parameters, args, within_group, filter, null_treatment, over } =
        tree;
    let parameters = !matches!(parameters, FunctionArguments::None);
    if parameters || !within_group.is_empty() || filter.is_some() || null_treatment.is_some() || over.is_some() {
        return Err(FUNCTION);
    }
    let mut parts = super::identifiers(name.0)?.into_iter();
    let (Some(name), None) = (parts.next(), parts.next()) else {
        return Err(FUNCTION);
    };
    let name = name.value.to_ascii_uppercase();
    let arguments = match args {
        FunctionArguments::None => Vec::new(),
        FunctionArguments::List(ast::FunctionArgumentList { duplicate_treatment: None, args, clauses })
            if clauses.is_empty() =>
        {
            args
        }
        _ => return Err(FUNCTION),
    };
    if name == "COUNT" {
        let mut arguments = arguments.into_iter();
        return match (arguments.next(), arguments.next()) {
            (Some(FunctionArg::Unnamed(FunctionArgExpr::Wildcard)), None) => Ok(Expression::CountRows),
            (Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(tree))), None) => {
                Ok(match expression(tree, scope, has_table)? {
                    Expression::Column(column) => Expression::CountColumn(column),
                    Expression::Value(_) => Expression::CountRows,
                    _ => return Err(FUNCTION),
                })
            }
            _ => Err(FUNCTION),
        };
    }
    let arguments = arguments
        .into_iter()
        .map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(tree)) => expression(tree, scope, has_table),
            _ => Err(FUNCTION),
        })
        .collect::<Result<_, _>>()?;
    Ok(Expression::Function { name: name.into(), arguments })
}

/// A condition. In the old grammar the left side is always a column and the right side always a value, whatever
/// the quotes; MySQL's `5 = id` is understood when the left side is a number or a placeholder.
pub(super) fn condition_of(tree: Expr, scope: &Scope) -> Result<Condition, SyntaxError> {
    Ok(match tree {
        Expr::Nested(inner) => condition_of(*inner, scope)?,
        Expr::UnaryOp { op: ast::UnaryOperator::Not | ast::UnaryOperator::BangNot, expr } => {
            Condition::Not(Box::new(condition_of(*expr, scope)?))
        }
        Expr::BinaryOp { op: BinaryOperator::And, .. } => Condition::All(chain(tree, Link::And, scope)?),
        Expr::BinaryOp { op: BinaryOperator::Or, .. } => Condition::Any(chain(tree, Link::Or, scope)?),
        Expr::BinaryOp { left, op, right } => compare(*left, comparison(&op)?, *right, scope)?,
        Expr::InList { expr, list, negated } => {
            let column = scope.column_of(*expr)?;
            not_if(negated, Condition::In { column, values: operands(list)? })
        }
        Expr::Between { expr, negated, low, high } => {
            let column = scope.column_of(*expr)?;
            let from = Condition::Compare {
                column: column.clone(),
                operator: Operator::GreaterOrEqual,
                value: operand(*low)?,
            };
            let to = Condition::Compare { column, operator: Operator::LessOrEqual, value: operand(*high)? };
            not_if(negated, Condition::All(vec![from, to]))
        }
        Expr::Like { negated, any: false, expr, pattern, escape_char: None } => {
            let condition = Condition::Like { column: scope.column_of(*expr)?, pattern: operand(*pattern)? };
            not_if(negated, condition)
        }
        Expr::IsNull(expr) => Condition::IsNull { column: scope.column_of(*expr)? },
        Expr::IsNotNull(expr) => not_if(true, Condition::IsNull { column: scope.column_of(*expr)? }),
        Expr::Value(literal) => match literal_of(literal.value)? {
            Value::Number(digits) => Condition::Constant(digits.bytes().any(|digit| matches!(digit, b'1'..=b'9'))),
            Value::Text(word) if word == "true" => Condition::Constant(true),
            Value::Text(word) if word == "false" => Condition::Constant(false),
            _ => return Err(EXPRESSION),
        },
        _ => return Err(SyntaxError::Unsupported("this condition")),
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Link {
    And,
    Or,
}

impl Link {
    fn of(operator: &BinaryOperator) -> Option<Self> {
        match operator {
            BinaryOperator::And => Some(Self::And),
            BinaryOperator::Or => Some(Self::Or),
            _ => None,
        }
    }
}

/// The parts of `a AND b AND c`, whose tree leans to the left: walked in a loop, for it may be deep.
fn chain(mut tree: Expr, link: Link, scope: &Scope) -> Result<Vec<Condition>, SyntaxError> {
    let mut parts = Vec::new();
    loop {
        match tree {
            Expr::BinaryOp { left, op, right } if Link::of(&op) == Some(link) => {
                parts.push(condition_of(*right, scope)?);
                tree = *left;
            }
            first => {
                parts.push(condition_of(first, scope)?);
                parts.reverse();
                return Ok(parts);
            }
        }
    }
}

fn not_if(negated: bool, condition: Condition) -> Condition {
    if negated { Condition::Not(Box::new(condition)) } else { condition }
}

fn comparison(operator: &BinaryOperator) -> Result<Operator, SyntaxError> {
    Ok(match operator {
        BinaryOperator::Eq | BinaryOperator::Spaceship => Operator::Equal,
        BinaryOperator::NotEq => Operator::NotEqual,
        BinaryOperator::Lt => Operator::Less,
        BinaryOperator::LtEq => Operator::LessOrEqual,
        BinaryOperator::Gt => Operator::Greater,
        BinaryOperator::GtEq => Operator::GreaterOrEqual,
        _ => return Err(SyntaxError::Unsupported("this operator")),
    })
}

fn compare(left: Expr, operator: Operator, right: Expr, scope: &Scope) -> Result<Condition, SyntaxError> {
    let swapped = match &left {
        Expr::Value(literal) => matches!(literal.value, ast::Value::Number(..) | ast::Value::Placeholder(_)),
        Expr::Function(_) | Expr::BinaryOp { .. } | Expr::Cast { .. } => true,
        _ => false,
    };
    if !swapped {
        return Ok(Condition::Compare { column: scope.column_of(left)?, operator, value: operand(right)? });
    }
    let left = operand(left)?;
    if let (Value::Number(left), Expr::Value(right)) = (&left, &right) {
        // `1 = 1`, by which clients ask for everything or nothing.
        return match (literal_of(right.value.clone())?, operator) {
            (Value::Number(right), Operator::Equal) => Ok(Condition::Constant(*left == right)),
            (Value::Number(right), Operator::NotEqual) => Ok(Condition::Constant(*left != right)),
            _ => Err(EXPRESSION),
        };
    }
    let operator = match operator {
        Operator::Less => Operator::Greater,
        Operator::LessOrEqual => Operator::GreaterOrEqual,
        Operator::Greater => Operator::Less,
        Operator::GreaterOrEqual => Operator::LessOrEqual,
        same => same,
    };
    Ok(Condition::Compare { column: scope.column_of(right)?, operator, value: left })
}
