//! A SELECT around another one that asks only how many rows that has, or whether any: as ORMs count pages and look whether
//! a row is there.

use sqlparser::ast::{self, Expr, FunctionArg, FunctionArgExpr, FunctionArguments};

use super::{limit, refuse};
use crate::cometql::sql::SyntaxError;
use crate::cometql::sql::statement::{Limit, Summary, Value};

pub(super) enum Asked {
    Rows(Box<ast::Query>),
    Summary(Summary, Box<ast::Query>),
}

/// `SELECT EXISTS(SELECT ...)`, `SELECT COUNT(*) FROM (SELECT ...) name`, or anything else.
pub(super) fn of(mut query: ast::Query) -> Result<Asked, SyntaxError> {
    let exists = exists(&query);
    if !exists && !counts(&query) {
        return Ok(Asked::Rows(Box::new(query)));
    }
    check_around(&mut query)?;
    let ast::SetExpr::Select(select) = *query.body else { return Err(FORM) };
    let mut items = select.projection.into_iter();
    let (tree, heading) = match (items.next(), items.next()) {
        (Some(ast::SelectItem::UnnamedExpr(tree)), None) => {
            let heading = heading(&tree);
            (tree, heading)
        }
        (Some(ast::SelectItem::ExprWithAlias { expr, alias }), None) => (expr, alias.value.into()),
        _ => return Err(FORM),
    };
    if exists {
        let Expr::Exists { subquery, .. } = without_parentheses(tree) else { return Err(FORM) };
        return Ok(Asked::Summary(Summary::Exists(heading), subquery));
    }
    match select.from.into_iter().next().map(|table| table.relation) {
        Some(ast::TableFactor::Derived { subquery, .. }) => Ok(Asked::Summary(Summary::Count(heading), subquery)),
        _ => Err(FORM),
    }
}

const FORM: SyntaxError = SyntaxError::Unsupported("this form of a subquery");

fn body(query: &ast::Query) -> Option<(&ast::Select, &Expr)> {
    let ast::SetExpr::Select(select) = &*query.body else { return None };
    match select.projection.as_slice() {
        [ast::SelectItem::UnnamedExpr(tree) | ast::SelectItem::ExprWithAlias { expr: tree, .. }] => {
            Some((select, tree))
        }
        _ => None,
    }
}

fn exists(query: &ast::Query) -> bool {
    body(query).is_some_and(|(select, mut tree)| {
        while let Expr::Nested(inner) = tree {
            tree = inner;
        }
        select.from.is_empty() && matches!(tree, Expr::Exists { negated: false, .. })
    })
}

fn counts(query: &ast::Query) -> bool {
    body(query).is_some_and(|(select, tree)| {
        let derived = match select.from.as_slice() {
            [table] => {
                table.joins.is_empty() && matches!(table.relation, ast::TableFactor::Derived { lateral: false, .. })
            }
            _ => false,
        };
        derived && is_count_of_rows(tree)
    })
}

/// `COUNT(*)`, `COUNT(1)`
fn is_count_of_rows(tree: &Expr) -> bool {
    let Expr::Function(function) = tree else { return false };
    let FunctionArguments::List(list) = &function.args else { return false };
    let all = match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] => true,
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(literal)))] => {
            matches!(literal.value, ast::Value::Number(..))
        }
        _ => false,
    };
    all && list.duplicate_treatment.is_none()
        && list.clauses.is_empty()
        && function.over.is_none()
        && function.filter.is_none()
        && function.name.to_string().eq_ignore_ascii_case("COUNT")
}

/// There is one row, so an order means nothing, and neither does a limit that lets it through.
fn check_around(query: &mut ast::Query) -> Result<(), SyntaxError> {
    refuse(query.with.is_some(), "WITH")?;
    let lets_through = match limit(query.limit_clause.take())? {
        None => true,
        Some(Limit { count: Value::Number(count), offset: None }) => count.parse::<u64>().is_ok_and(|count| count > 0),
        Some(_) => false,
    };
    let ast::SetExpr::Select(select) = &*query.body else { return Err(FORM) };
    let more = select.distinct.is_some() || select.selection.is_some() || select.having.is_some();
    let grouped = !matches!(&select.group_by, ast::GroupByExpr::Expressions(list, _) if list.is_empty());
    refuse(!lets_through || more || grouped || query.fetch.is_some() || query.for_clause.is_some(), "a clause there")
}

fn without_parentheses(mut tree: Expr) -> Expr {
    while let Expr::Nested(inner) = tree {
        tree = *inner;
    }
    tree
}

/// What was written, near enough.
fn heading(tree: &Expr) -> Box<str> {
    const CHARACTERS_MAX: usize = 256;
    tree.to_string().chars().take(CHARACTERS_MAX).collect::<String>().into()
}
