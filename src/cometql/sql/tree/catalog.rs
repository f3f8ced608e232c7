//! The tree of a SELECT about the server's own tables, to [`Query`].

use sqlparser::ast::{self, BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, UnaryOperator};

use super::assign::ASSIGN;
use super::expression::{plain_heading, variable_name};
use super::{identifiers, limit, refuse, refuse_foreign_clauses, table_name};
use crate::cometql::sql::SyntaxError;
use crate::cometql::sql::catalog::{Block, Entry, Joined, On, Query, Relation, Scalar};
use crate::cometql::sql::lexer::{Token, TokenKind};
use crate::cometql::sql::statement::Value;

/// The databases that every MySQL server has besides those of its users.
const SYSTEM_DATABASES: [&str; 4] = ["information_schema", "performance_schema", "mysql", "sys"];

/// Expressions within expressions, chains of one operator not counted.
const DEPTH_MAX: usize = 28;

/// What a query within an expression counts: reading it takes as much stack as so many expressions.
const QUERY_DEPTH: usize = 4;

/// `CASE operand WHEN value` is many comparisons, each with the operand: so many parts all of these may have together.
const CASE_PARTS_MAX: usize = 1_000;

/// SELECTs joined by UNION.
const BLOCKS_MAX: usize = 128;

const EXPRESSION: SyntaxError = SyntaxError::Unsupported("this expression");

/// Whether a table of a system database is named.
pub(super) fn is_about_catalog(tokens: &[Token<'_>]) -> bool {
    tokens.windows(2).any(|pair| match pair {
        [name, dot] => {
            matches!(name.kind, TokenKind::Word | TokenKind::Name)
                && dot.is_symbol(".")
                && SYSTEM_DATABASES.iter().any(|database| name.text.eq_ignore_ascii_case(database))
        }
        _ => false,
    })
}

pub(super) fn query(tree: ast::Query) -> Result<Query, SyntaxError> {
    query_at(tree, DEPTH_MAX)
}

fn query_at(tree: ast::Query, depth: usize) -> Result<Query, SyntaxError> {
    let depth = depth.checked_sub(QUERY_DEPTH).ok_or(SyntaxError::TooDeep)?;
    let ast::Query { body, order_by, limit_clause, .. } = super::without_foreign_clauses(tree)?;
    let mut query = Query { blocks: Vec::new(), distinct: false, order: Vec::new(), limit: limit(limit_clause)? };
    body_into(*body, &mut query, depth)?;
    query.order = match order_by {
        None => Vec::new(),
        Some(ast::OrderBy { kind: ast::OrderByKind::Expressions(list), interpolate: None }) => {
            list.into_iter().map(|order| order_of(order, depth)).collect::<Result<_, _>>()?
        }
        Some(_) => return Err(SyntaxError::Unsupported("this form of ORDER BY")),
    };
    Ok(query)
}

fn order_of(tree: ast::OrderByExpr, depth: usize) -> Result<(Scalar, bool), SyntaxError> {
    let ast::OrderByExpr { expr, options: ast::OrderByOptions { sort, nulls_first: None }, with_fill: None } = tree
    else {
        return Err(SyntaxError::Unsupported("this form of ORDER BY"));
    };
    Ok((scalar(expr, depth)?, matches!(sort, Some(ast::OrderBySort::Desc))))
}

/// The tree of a UNION leans to the left: walked in a loop.
fn body_into(mut tree: ast::SetExpr, query: &mut Query, depth: usize) -> Result<(), SyntaxError> {
    loop {
        if query.blocks.len() >= BLOCKS_MAX {
            return Err(SyntaxError::TooDeep);
        }
        match tree {
            ast::SetExpr::SetOperation { left, op: ast::SetOperator::Union, set_quantifier, right } => {
                query.distinct |= !matches!(set_quantifier, ast::SetQuantifier::All);
                query.blocks.push(single(*right, depth)?);
                tree = *left;
            }
            first => {
                query.blocks.push(single(first, depth)?);
                query.blocks.reverse();
                return Ok(());
            }
        }
    }
}

fn single(tree: ast::SetExpr, depth: usize) -> Result<Block, SyntaxError> {
    match tree {
        ast::SetExpr::Select(select) => block(*select, depth),
        // In parentheses; what is sorted and cut there is a table of its own.
        ast::SetExpr::Query(inner) => Ok(Block {
            distinct: false,
            entries: vec![Entry::All(None)],
            from: vec![Joined {
                relation: Relation::Query(Box::new(query_at(*inner, depth)?)),
                name: Box::default(),
                outer: false,
                on: On::Everything,
            }],
            condition: None,
            group: Vec::new(),
            having: None,
        }),
        _ => Err(SyntaxError::Unsupported("this combination of queries")),
    }
}

fn block(tree: ast::Select, depth: usize) -> Result<Block, SyntaxError> {
    refuse_foreign_clauses(&tree)?;
    // Modifiers say how MySQL should plan it.
    let ast::Select { distinct, projection, from, selection, group_by, having, .. } = tree;
    let group = match group_by {
        ast::GroupByExpr::Expressions(list, modifiers) if modifiers.is_empty() => list,
        _ => return Err(SyntaxError::Unsupported("this form of GROUP BY")),
    };
    let mut tables = Vec::new();
    for ast::TableWithJoins { relation, joins } in from {
        tables.push(joined(relation, false, On::Everything, depth)?);
        for join in joins {
            let (outer, constraint) = match join.join_operator {
                ast::JoinOperator::Join(on) | ast::JoinOperator::Inner(on) | ast::JoinOperator::CrossJoin(on) => {
                    (false, on)
                }
                ast::JoinOperator::StraightJoin(on) => (false, on),
                ast::JoinOperator::Left(on) | ast::JoinOperator::LeftOuter(on) => (true, on),
                _ => return Err(SyntaxError::Unsupported("this form of a join")),
            };
            let on = match constraint {
                ast::JoinConstraint::None => On::Everything,
                ast::JoinConstraint::On(tree) => On::Condition(scalar(tree, depth)?),
                ast::JoinConstraint::Using(names) => On::Using(
                    names
                        .into_iter()
                        .map(|name| table_name(name).map(|name| name.name.as_ref().into()))
                        .collect::<Result<_, _>>()?,
                ),
                ast::JoinConstraint::Natural => return Err(SyntaxError::Unsupported("NATURAL JOIN")),
            };
            tables.push(joined(join.relation, outer, on, depth)?);
        }
    }
    Ok(Block {
        distinct: distinct.is_some_and(|distinct| distinct == ast::Distinct::Distinct),
        entries: projection.into_iter().map(|tree| entry(tree, depth)).collect::<Result<_, _>>()?,
        from: tables,
        condition: selection.map(|tree| scalar(tree, depth)).transpose()?,
        group: group.into_iter().map(|tree| scalar(tree, depth)).collect::<Result<_, _>>()?,
        having: having.map(|tree| scalar(tree, depth)).transpose()?,
    })
}

fn joined(tree: ast::TableFactor, outer: bool, on: On, depth: usize) -> Result<Joined, SyntaxError> {
    let (relation, name, alias) = match tree {
        ast::TableFactor::Table { name, alias, args: None, .. } => {
            let table = table_name(name)?;
            let name = table.name.as_ref().into();
            (Relation::Table(table), name, alias)
        }
        ast::TableFactor::Derived { lateral: false, subquery, alias, sample: None } => {
            (Relation::Query(Box::new(query_at(*subquery, depth)?)), Box::default(), alias)
        }
        _ => return Err(SyntaxError::Unsupported("this form of a table")),
    };
    let name = match alias {
        Some(alias) => {
            refuse(!alias.columns.is_empty() || alias.at.is_some(), "this form of an alias")?;
            alias.name.value.into()
        }
        None => name,
    };
    Ok(Joined { relation, name, outer, on })
}

fn entry(tree: ast::SelectItem, depth: usize) -> Result<Entry, SyntaxError> {
    Ok(match tree {
        ast::SelectItem::Wildcard(_) => Entry::All(None),
        ast::SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::ObjectName(table), _) => {
            Entry::All(identifiers(table.0)?.pop().map(|name| name.value.into()))
        }
        ast::SelectItem::UnnamedExpr(tree) => {
            let heading = heading(&tree);
            Entry::One { scalar: scalar(tree, depth)?, heading }
        }
        ast::SelectItem::ExprWithAlias { expr, alias } => {
            Entry::One { scalar: scalar(expr, depth)?, heading: alias.value.into() }
        }
        _ => return Err(EXPRESSION),
    })
}

/// What MySQL writes over a column without an alias, near enough.
fn heading(tree: &Expr) -> Box<str> {
    const CHARACTERS_MAX: usize = 256;
    const HEADING_DEPTH_MAX: usize = 8;
    match tree {
        Expr::Nested(inner) => heading(inner),
        Expr::Function(function) if function.name.0.first().is_some_and(is_assignment) => match &function.args {
            FunctionArguments::List(list) => match list.args.as_slice() {
                [target, FunctionArg::Unnamed(FunctionArgExpr::Expr(value))] => {
                    let text = format!("{target} {ASSIGN} {}", heading(value));
                    text.chars().take(CHARACTERS_MAX).collect::<String>().into()
                }
                _ => ASSIGN.into(),
            },
            _ => ASSIGN.into(),
        },
        _ => plain_heading(tree).unwrap_or_else(|| {
            if is_shallow(tree, HEADING_DEPTH_MAX) {
                tree.to_string().chars().take(CHARACTERS_MAX).collect::<String>().into()
            } else {
                "expression".into()
            }
        }),
    }
}

fn is_assignment(name: &ast::ObjectNamePart) -> bool {
    matches!(name, ast::ObjectNamePart::Identifier(name) if name.value == ASSIGN)
}

/// Whether a tree can be written down: that takes as much stack as reading it.
fn is_shallow(tree: &Expr, levels: usize) -> bool {
    let Some(levels) = levels.checked_sub(1) else { return false };
    let deeper = |tree: &Expr| is_shallow(tree, levels);
    match tree {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_) => true,
        Expr::Nested(inner) | Expr::IsNull(inner) | Expr::IsNotNull(inner) => deeper(inner),
        Expr::UnaryOp { expr, .. }
        | Expr::Cast { expr, .. }
        | Expr::Convert { expr, .. }
        | Expr::Collate { expr, .. }
        | Expr::Prefixed { value: expr, .. } => deeper(expr),
        Expr::BinaryOp { left, right, .. } => deeper(left) && deeper(right),
        Expr::Like { expr, pattern, .. } => deeper(expr) && deeper(pattern),
        Expr::Function(function) => match &function.args {
            FunctionArguments::List(list) => list.args.iter().all(|argument| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(tree)) => deeper(tree),
                FunctionArg::Unnamed(_) => true,
                _ => false,
            }),
            FunctionArguments::None => true,
            FunctionArguments::Subquery(_) => false,
        },
        _ => false,
    }
}

fn call(name: &str, arguments: Vec<Scalar>) -> Scalar {
    Scalar::Call { name: name.into(), arguments }
}

fn not_if(negated: bool, scalar: Scalar) -> Scalar {
    if negated { call("NOT", vec![scalar]) } else { scalar }
}

/// Each kind of expression has a function of its own: what one takes of the stack is taken once for each level.
fn scalar(mut tree: Expr, depth: usize) -> Result<Scalar, SyntaxError> {
    // Text of another character set or collation is the same text here.
    while let Expr::Nested(inner) | Expr::Collate { expr: inner, .. } | Expr::Prefixed { value: inner, .. } = tree {
        tree = *inner;
    }
    let Some(depth) = depth.checked_sub(1) else {
        dismantle(tree);
        return Err(SyntaxError::TooDeep);
    };
    match tree {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_) | Expr::TypedString(_) => leaf(tree),
        Expr::BinaryOp { .. } => binary(tree, depth),
        Expr::UnaryOp { op, expr } => unary(op, *expr, depth),
        Expr::InSubquery { .. } | Expr::Exists { .. } | Expr::Subquery(_) => subquery(tree, depth),
        Expr::Case { operand, conditions, else_result, .. } => case(operand, conditions, else_result, depth),
        Expr::Function(function) => function_of(function, depth),
        Expr::InList { .. }
        | Expr::Between { .. }
        | Expr::Like { .. }
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsFalse(_) => predicate(tree, depth),
        other => special_call(other, depth),
    }
}

/// What is computed from values alone.
pub(super) fn constant(tree: Expr) -> Result<Scalar, SyntaxError> {
    let scalar = scalar(tree, DEPTH_MAX)?;
    refuse(!scalar.is_constant(), "a comparison of two columns or with a query")?;
    Ok(scalar)
}

fn leaf(tree: Expr) -> Result<Scalar, SyntaxError> {
    Ok(match tree {
        Expr::Identifier(name) if name.quote_style.is_none() && name.value.starts_with('@') => {
            Scalar::Variable(name.value.to_ascii_lowercase().into())
        }
        Expr::Identifier(name) if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("CURRENT_USER") => {
            call("CURRENT_USER", Vec::new())
        }
        Expr::Identifier(name) => Scalar::Column { table: None, name: name.value.into() },
        Expr::CompoundIdentifier(mut parts) => {
            if parts.first().is_some_and(|first| first.value.starts_with("@@")) {
                return Ok(Scalar::Variable(variable_name(&parts).into()));
            }
            let name = parts.pop().ok_or(EXPRESSION)?.value;
            Scalar::Column { table: parts.pop().map(|table| table.value.into()), name: name.into() }
        }
        // A date is the text that it is written as.
        Expr::Value(literal) | Expr::TypedString(ast::TypedString { value: literal, .. }) => {
            Scalar::Value(match literal.value {
                ast::Value::Null => Value::Null,
                ast::Value::Boolean(truth) => Value::Number(if truth { "1" } else { "0" }.into()),
                ast::Value::Number(digits, _) => Value::Number(digits.into()),
                ast::Value::SingleQuotedString(text) | ast::Value::DoubleQuotedString(text) => Value::Text(text.into()),
                ast::Value::Placeholder(place) => Value::Placeholder(place.parse().map_err(|_| EXPRESSION)?),
                _ => return Err(EXPRESSION),
            })
        }
        _ => return Err(EXPRESSION),
    })
}

fn zero() -> Scalar {
    Scalar::Value(Value::Number("0".into()))
}

fn unary(operator: UnaryOperator, tree: Expr, depth: usize) -> Result<Scalar, SyntaxError> {
    let inner = scalar(tree, depth)?;
    match operator {
        UnaryOperator::Not | UnaryOperator::BangNot => Ok(call("NOT", vec![inner])),
        UnaryOperator::Minus => Ok(call("-", vec![zero(), inner])),
        UnaryOperator::Plus => Ok(inner),
        _ => Err(EXPRESSION),
    }
}

/// A chain of one operator leans to the left and may be long: walked in a loop.
fn binary(mut tree: Expr, depth: usize) -> Result<Scalar, SyntaxError> {
    let Expr::BinaryOp { op: first, .. } = &tree else { return Err(EXPRESSION) };
    let same = first.clone();
    let name = match operator(&same) {
        Ok(name) => name,
        Err(error) => {
            dismantle(tree);
            return Err(error);
        }
    };
    let joins = matches!(name, "AND" | "OR" | "+");
    let mut arguments = Vec::new();
    loop {
        match tree {
            Expr::BinaryOp { left, op, right } if op == same && (joins || arguments.is_empty()) => {
                match scalar(*right, depth) {
                    Ok(argument) => arguments.push(argument),
                    Err(error) => {
                        dismantle(*left);
                        return Err(error);
                    }
                }
                tree = *left;
            }
            first => {
                arguments.push(scalar(first, depth)?);
                arguments.reverse();
                return Ok(call(name, arguments));
            }
        }
    }
}

/// Drops a chain of operators link by link: it may be long, and dropping it whole takes a piece of the stack for each.
fn dismantle(mut tree: Expr) {
    while let Expr::BinaryOp { left, .. } = tree {
        tree = *left;
    }
}

fn subquery(tree: Expr, depth: usize) -> Result<Scalar, SyntaxError> {
    Ok(match tree {
        Expr::InSubquery { expr, subquery, negated } => {
            let query = Box::new(query_at(*subquery, depth)?);
            not_if(negated, Scalar::InQuery { scalar: Box::new(scalar(*expr, depth)?), query })
        }
        Expr::Exists { subquery, negated } => not_if(negated, Scalar::Exists(Box::new(query_at(*subquery, depth)?))),
        Expr::Subquery(subquery) => Scalar::Query(Box::new(query_at(*subquery, depth)?)),
        _ => return Err(EXPRESSION),
    })
}

fn predicate(tree: Expr, depth: usize) -> Result<Scalar, SyntaxError> {
    let (name, negated, trees) = match tree {
        Expr::InList { expr, list, negated } => ("IN", negated, std::iter::once(*expr).chain(list).collect()),
        Expr::Between { expr, negated, low, high } => ("BETWEEN", negated, vec![*expr, *low, *high]),
        Expr::Like { negated, any: false, expr, pattern, escape_char: _ } => ("LIKE", negated, vec![*expr, *pattern]),
        Expr::IsNull(expr) => ("ISNULL", false, vec![*expr]),
        Expr::IsNotNull(expr) => ("ISNULL", true, vec![*expr]),
        Expr::IsTrue(expr) => return Ok(call("IFNULL", vec![scalar(*expr, depth)?, zero()])),
        Expr::IsFalse(expr) => return Ok(call("IFNULL", vec![not_if(true, scalar(*expr, depth)?), zero()])),
        _ => return Err(EXPRESSION),
    };
    Ok(not_if(negated, call(name, scalars(trees, depth)?)))
}

fn scalars(trees: Vec<Expr>, depth: usize) -> Result<Vec<Scalar>, SyntaxError> {
    trees.into_iter().map(|tree| scalar(tree, depth)).collect()
}

fn case(
    operand: Option<Box<Expr>>,
    conditions: Vec<ast::CaseWhen>,
    otherwise: Option<Box<Expr>>,
    depth: usize,
) -> Result<Scalar, SyntaxError> {
    let operand = operand.map(|tree| scalar(*tree, depth)).transpose()?;
    if let Some(operand) = &operand
        && operand.parts().saturating_mul(conditions.len()) > CASE_PARTS_MAX
    {
        return Err(SyntaxError::Unsupported("CASE of so long an expression with so many branches"));
    }
    let mut arguments = Vec::new();
    for ast::CaseWhen { condition, result } in conditions {
        let condition = scalar(condition, depth)?;
        arguments.push(match &operand {
            Some(operand) => call("=", vec![operand.clone(), condition]),
            None => condition,
        });
        arguments.push(scalar(result, depth)?);
    }
    arguments.push(match otherwise {
        Some(tree) => scalar(*tree, depth)?,
        None => Scalar::Value(Value::Null),
    });
    Ok(call("CASE", arguments))
}

/// Functions that are written in a way of their own.
fn special_call(tree: Expr, depth: usize) -> Result<Scalar, SyntaxError> {
    let (name, trees) = match tree {
        Expr::Cast { expr, data_type, .. } => {
            let whole = matches!(
                data_type,
                ast::DataType::Signed
                    | ast::DataType::SignedInteger
                    | ast::DataType::Unsigned
                    | ast::DataType::UnsignedInteger
            );
            (if whole { "CAST_WHOLE" } else { "CAST" }, vec![*expr])
        }
        Expr::Convert { expr, .. } => ("CAST", vec![*expr]),
        Expr::Ceil { expr, .. } => ("CEIL", vec![*expr]),
        Expr::Floor { expr, .. } => ("FLOOR", vec![*expr]),
        Expr::Position { expr, r#in } => ("LOCATE", vec![*expr, *r#in]),
        Expr::Substring { expr, substring_from, substring_for, .. } => {
            let rest = substring_from.into_iter().chain(substring_for).map(|tree| *tree);
            ("SUBSTRING", std::iter::once(*expr).chain(rest).collect())
        }
        Expr::Trim { trim_where, trim_what: None, expr, trim_characters: None } => {
            let name = match trim_where {
                None | Some(ast::TrimWhereField::Both) => "TRIM",
                Some(ast::TrimWhereField::Leading) => "LTRIM",
                Some(ast::TrimWhereField::Trailing) => "RTRIM",
            };
            (name, vec![*expr])
        }
        _ => return Err(EXPRESSION),
    };
    Ok(call(name, scalars(trees, depth)?))
}

fn operator(operator: &BinaryOperator) -> Result<&'static str, SyntaxError> {
    Ok(match operator {
        BinaryOperator::And => "AND",
        BinaryOperator::Or => "OR",
        BinaryOperator::StringConcat => "CONCAT",
        BinaryOperator::Eq => "=",
        BinaryOperator::Spaceship => "<=>",
        BinaryOperator::NotEq => "<>",
        BinaryOperator::Lt => "<",
        BinaryOperator::LtEq => "<=",
        BinaryOperator::Gt => ">",
        BinaryOperator::GtEq => ">=",
        BinaryOperator::Plus => "+",
        BinaryOperator::Minus => "-",
        BinaryOperator::Multiply => "*",
        BinaryOperator::Divide => "/",
        BinaryOperator::Modulo => "%",
        _ => return Err(SyntaxError::Unsupported("this operator")),
    })
}

fn function_of(tree: ast::Function, depth: usize) -> Result<Scalar, SyntaxError> {
    const FUNCTION: SyntaxError = SyntaxError::Unsupported("this form of a function");
    const AGGREGATES: [&str; 6] = ["COUNT", "SUM", "MIN", "MAX", "AVG", "GROUP_CONCAT"];
    let ast::Function { name, uses_odbc_syntax: _, parameters, args, within_group, filter, null_treatment, over } =
        tree;
    let parameters = !matches!(parameters, FunctionArguments::None);
    if parameters || !within_group.is_empty() || filter.is_some() || null_treatment.is_some() || over.is_some() {
        return Err(FUNCTION);
    }
    let name = identifiers(name.0)?.pop().ok_or(FUNCTION)?.value.to_ascii_uppercase();
    let (distinct, arguments, clauses) = match args {
        FunctionArguments::None => (false, Vec::new(), Vec::new()),
        FunctionArguments::List(ast::FunctionArgumentList { duplicate_treatment, args, clauses }) => {
            (duplicate_treatment == Some(ast::DuplicateTreatment::Distinct), args, clauses)
        }
        FunctionArguments::Subquery(_) => return Err(FUNCTION),
    };
    let mut separator: Box<str> = ",".into();
    for clause in clauses {
        match clause {
            // The rows come in the order of the tables, which is the one they are asked in.
            ast::FunctionArgumentClause::OrderBy(_) => {}
            ast::FunctionArgumentClause::Separator(literal) => match literal.value {
                ast::Value::SingleQuotedString(text) => separator = text.into(),
                _ => return Err(FUNCTION),
            },
            _ => return Err(FUNCTION),
        }
    }
    let mut trees = Vec::with_capacity(arguments.len());
    let mut rows = false;
    for argument in arguments {
        match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => rows = true,
            FunctionArg::Unnamed(FunctionArgExpr::Expr(tree)) => trees.push(tree),
            _ => return Err(FUNCTION),
        }
    }
    let scalars = scalars(trees, depth)?;
    if AGGREGATES.contains(&name.as_str()) {
        let mut scalars = scalars.into_iter();
        let argument = scalars.next().map(Box::new);
        if scalars.next().is_some() || rows == argument.is_some() || rows && name != "COUNT" {
            return Err(FUNCTION);
        }
        return Ok(Scalar::Aggregate { name: name.into(), distinct, argument, separator });
    }
    if rows || distinct {
        return Err(FUNCTION);
    }
    Ok(Scalar::Call { name: name.into(), arguments: scalars })
}
