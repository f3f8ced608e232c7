//! Whether a SELECT without a table is a plain list of names, values and functions, as drivers ask when they connect.
//! Everything else without a table is computed by the machinery for the server's own tables.

use sqlparser::ast::{self, Expr, FunctionArg, FunctionArgExpr, FunctionArguments};

pub(super) fn is_plain(query: &ast::Query) -> bool {
    let ast::Query { with: None, body, order_by: None, fetch: None, for_clause: None, .. } = query else {
        return false;
    };
    let ast::SetExpr::Select(select) = &**body else { return false };
    let ungrouped = matches!(
        &select.group_by,
        ast::GroupByExpr::Expressions(expressions, modifiers) if expressions.is_empty() && modifiers.is_empty()
    );
    let bare = select.distinct.is_none() && select.selection.is_none() && select.having.is_none();
    bare && ungrouped && select.projection.iter().all(is_plain_item)
}

fn is_plain_item(item: &ast::SelectItem) -> bool {
    match item {
        ast::SelectItem::UnnamedExpr(tree) | ast::SelectItem::ExprWithAlias { expr: tree, .. } => is_plain_tree(tree),
        ast::SelectItem::Wildcard(_) => true,
        _ => false,
    }
}

fn is_plain_tree(tree: &Expr) -> bool {
    match tree {
        Expr::Nested(inner) => is_plain_tree(inner),
        Expr::Identifier(_) | Expr::Value(_) => true,
        // A variable with its scope.
        Expr::CompoundIdentifier(parts) => parts.first().is_some_and(|first| first.value.starts_with("@@")),
        Expr::Function(function) => is_plain_function(function),
        _ => false,
    }
}

fn is_plain_function(function: &ast::Function) -> bool {
    let plain = function.name.0.len() == 1
        && matches!(function.parameters, FunctionArguments::None)
        && function.within_group.is_empty()
        && function.filter.is_none()
        && function.null_treatment.is_none()
        && function.over.is_none();
    plain
        && match &function.args {
            FunctionArguments::None => true,
            FunctionArguments::List(list) => {
                list.duplicate_treatment.is_none()
                    && list.clauses.is_empty()
                    && list.args.iter().all(|argument| match argument {
                        FunctionArg::Unnamed(FunctionArgExpr::Expr(tree)) => is_plain_tree(tree),
                        FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => true,
                        _ => false,
                    })
            }
            FunctionArguments::Subquery(_) => false,
        }
}
