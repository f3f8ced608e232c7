//! SELECT, INSERT, REPLACE, DELETE and UPDATE: our tokens through sqlparser, its tree to our statements.
//!
//! Every struct of the tree is taken apart field by field: a clause that CometQL does not have is refused by
//! name and never ignored, and a new field of a newer sqlparser does not compile until somebody has looked at it.

mod assign;
mod catalog;
mod expression;
pub(super) mod metered;
mod plain;
mod summary;
mod tokens;

use sqlparser::ast::{self, Expr, Ident, ObjectName, ObjectNamePart};
use sqlparser::parser::{Parser, ParserError};

use self::expression::{Scope, condition_of, item, value};
use self::metered::Metered;
use self::tokens::Dialect;
use super::catalog::Query;
use super::lexer::Token;
use super::meter::Meter;
use super::statement::{Condition, Delete, Insert, Limit, Order, Select, Statement, Summary, TableName, Update};
use super::words::is_session_word;
use super::{Names, Reading, SCHEMA, SyntaxError};

/// How deep sqlparser may call itself. Our deepest statement needs a handful of levels; each costs kilobytes of stack.
const RECURSION_MAX: usize = 32;

/// The statement that these tokens are; the first is SELECT, INSERT, REPLACE, DELETE, UPDATE or a parenthesis.
///
/// A SELECT takes rows by key, or is about the server's own tables. One without a table that is more than a list of names
/// and functions is computed like the latter. Which of the two is known before anything is parsed, but for the names of a
/// session that has chosen `information_schema`: there a SELECT may be parsed twice.
pub(super) fn statement(
    tokens: &[Token<'_>],
    reading: Reading,
    names: Names,
    meter: &Meter,
) -> Result<Statement, SyntaxError> {
    let asks = tokens.first().is_some_and(|token| token.is_word("SELECT") || token.is_symbol("("));
    let about_catalog = catalog::is_about_catalog(tokens);
    if !asks {
        // Nothing is written to the server's own tables.
        refuse(about_catalog, "this statement about the server's own tables")?;
        return about_rows(tokens, reading, meter);
    }
    let has_table = tokens.iter().any(|token| token.is_any_word(&["FROM", "INTO"]));
    if has_table && !about_catalog && names == Names::CometQl {
        return about_rows(tokens, reading, meter);
    }
    // In rows, the word null is a text; where something is computed, it is NULL.
    let computes_null = !has_table && tokens.iter().any(|token| token.is_word("NULL"));
    let query = match parsed(tokens, reading, Dialect::Sql, meter) {
        Ok(ast::Statement::Query(query)) => query,
        Ok(_) => return Err(SyntaxError::Unsupported("this statement about the server's own tables")),
        // In CometQL's lists of values keywords are texts.
        Err(_) if has_table && !about_catalog => return about_rows(tokens, reading, meter),
        Err(error) => return Err(error),
    };
    if !has_table && !computes_null && !assign::assigns(tokens) && plain::is_plain(&query) {
        return select(*query).map(Statement::Select);
    }
    let mut query = catalog::query(*query).map(Box::new);
    if names == Names::Schema && has_table {
        // A query that names no table without its database is the same statement everywhere.
        let completed = query.as_mut().is_ok_and(|query| query.complete_names(SCHEMA));
        if !completed && !about_catalog {
            return about_rows(tokens, reading, meter);
        }
    }
    query.map(Statement::Catalog)
}

/// A SELECT without a table that is computed.
pub(super) fn computed(tokens: &[Token<'_>], reading: Reading, meter: &Meter) -> Result<Box<Query>, SyntaxError> {
    match parsed(tokens, reading, Dialect::Sql, meter)? {
        ast::Statement::Query(query) => catalog::query(*query).map(Box::new),
        _ => Err(SyntaxError::Unsupported("this value")),
    }
}

fn about_rows(tokens: &[Token<'_>], reading: Reading, meter: &Meter) -> Result<Statement, SyntaxError> {
    match parsed(tokens, reading, Dialect::CometQl, meter)? {
        ast::Statement::Query(query) => select(*query).map(Statement::Select),
        ast::Statement::Insert(tree) => upsert(tree),
        ast::Statement::Delete(tree) => delete(tree).map(Statement::Delete),
        ast::Statement::Update(tree) => update(tree).map(Statement::Update),
        _ => Err(SyntaxError::Unsupported("this statement")),
    }
}

fn parsed(
    tokens: &[Token<'_>],
    reading: Reading,
    written: Dialect,
    meter: &Meter,
) -> Result<ast::Statement, SyntaxError> {
    fn whole(parser: &mut Parser<'_>) -> Result<ast::Statement, ParserError> {
        parser.parse_statement()
    }
    let calls = if written == Dialect::Sql && assign::assigns(tokens) { Some(assign::as_calls(tokens)) } else { None };
    read(calls.as_deref().unwrap_or(tokens), reading, written, meter, whole)
}

/// What `parse` makes of all tokens.
fn read<T>(
    tokens: &[Token<'_>],
    reading: Reading,
    written: Dialect,
    meter: &Meter,
    parse: fn(&mut Parser<'_>) -> Result<T, ParserError>,
) -> Result<T, SyntaxError> {
    let converted = tokens::convert(tokens, reading, written)?;
    meter.tokens(converted.len());
    let dialect = Metered::new(converted.len());
    recursive::set_minimum_stack_size(STACK_MIN);
    let mut parser = Parser::new(&dialect).with_recursion_limit(RECURSION_MAX).with_tokens(converted);
    let tree = parse(&mut parser);
    meter.include(&dialect.meter);
    if dialect.is_used_up() {
        return Err(SyntaxError::TooMuchToRead);
    }
    let tree = tree.map_err(|error| grammar(&error))?;
    at_end(&parser)?;
    Ok(tree)
}

/// The condition behind the WHERE of a SHOW.
pub(super) fn condition(tokens: &[Token<'_>], reading: Reading, meter: &Meter) -> Result<Condition, SyntaxError> {
    fn whole(parser: &mut Parser<'_>) -> Result<Expr, ParserError> {
        parser.parse_expr()
    }
    condition_of(read(tokens, reading, Dialect::CometQl, meter, whole)?, &Scope::default())
}

/// So much stack is left, or a new one is taken, where sqlparser reads a query or an expression within another. What lies
/// between two such places, where it copies the tree of a chain of operators, takes up to 900 KiB in a build without
/// optimisations, and its own default is 128 KiB.
const STACK_MIN: usize = 1024 * 1024;

fn at_end(parser: &Parser<'_>) -> Result<(), SyntaxError> {
    let next = &parser.peek_token_ref().token;
    if *next == sqlparser::tokenizer::Token::EOF {
        return Ok(());
    }
    Err(SyntaxError::Grammar(shortened(&format!("`{next}` was not expected here"))))
}

fn grammar(error: &ParserError) -> SyntaxError {
    match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => SyntaxError::Grammar(shortened(text)),
        ParserError::RecursionLimitExceeded => SyntaxError::TooDeep,
    }
}

/// At most this much of a parser's complaint is passed on: it may quote a long literal.
const COMPLAINT_CHARACTERS_MAX: usize = 120;

fn shortened(text: &str) -> Box<str> {
    let text: String = text.chars().filter(|shown| !shown.is_control()).take(COMPLAINT_CHARACTERS_MAX).collect();
    text.into()
}

fn refuse(present: bool, clause: &'static str) -> Result<(), SyntaxError> {
    if present { Err(SyntaxError::Unsupported(clause)) } else { Ok(()) }
}

fn select(query: ast::Query) -> Result<Select, SyntaxError> {
    match summary::of(query)? {
        summary::Asked::Rows(query) => rows_of_query(*query),
        summary::Asked::Summary(summary, inner) => Ok(Select { summary, ..rows_of_query(*inner)? }),
    }
}

/// The query, if it has no clauses but those that are looked at everywhere: its body, ORDER BY and LIMIT.
fn without_foreign_clauses(query: ast::Query) -> Result<ast::Query, SyntaxError> {
    let ast::Query {
        with,
        body: _,
        order_by: _,
        limit_clause: _,
        fetch,
        // FOR UPDATE locks nothing, as transactions change nothing.
        locks: _,
        for_clause,
        settings,
        format_clause,
        pipe_operators,
    } = &query;
    refuse(with.is_some(), "WITH")?;
    refuse(fetch.is_some(), "FETCH")?;
    refuse(for_clause.is_some(), "FOR")?;
    refuse(settings.is_some() || format_clause.is_some() || !pipe_operators.is_empty(), "this clause")?;
    Ok(query)
}

fn rows_of_query(query: ast::Query) -> Result<Select, SyntaxError> {
    let ast::Query { body, order_by, limit_clause, .. } = without_foreign_clauses(query)?;
    let ast::SetExpr::Select(body) = *body else {
        return Err(SyntaxError::Unsupported("a combination of queries"));
    };
    refuse(body.distinct.is_some(), "DISTINCT")?;
    // The others say how MySQL should plan it.
    refuse(body.select_modifiers.as_ref().is_some_and(|say| say.sql_calc_found_rows), "SQL_CALC_FOUND_ROWS")?;
    refuse_foreign_clauses(&body)?;
    let grouped = match &body.group_by {
        ast::GroupByExpr::All(_) => true,
        ast::GroupByExpr::Expressions(expressions, modifiers) => !expressions.is_empty() || !modifiers.is_empty(),
    };
    refuse(grouped, "GROUP BY")?;
    refuse(body.having.is_some(), "HAVING")?;
    let ast::Select { projection, from, selection, .. } = *body;

    let (from, scope) = match one(from)? {
        Some(relation) => single_table(relation).map(|(table, scope)| (Some(table), scope))?,
        None => (None, Scope::default()),
    };
    Ok(Select {
        summary: Summary::Rows,
        items: projection.into_iter().map(|tree| item(tree, &scope, from.is_some())).collect::<Result<_, _>>()?,
        condition: selection.map(|tree| condition_of(tree, &scope)).transpose()?,
        order: order(order_by, &scope)?,
        limit: limit(limit_clause)?,
        from,
    })
}

/// Refuses what no SELECT of ours has. What is passed over here is the caller's, to carry out or to refuse.
fn refuse_foreign_clauses(select: &ast::Select) -> Result<(), SyntaxError> {
    let ast::Select {
        select_token: _,
        // They come from comments, which the lexer drops.
        optimizer_hints: _,
        distinct: _,
        select_modifiers: _,
        top,
        top_before_distinct: _,
        projection: _,
        exclude,
        into,
        from: _,
        lateral_views,
        prewhere,
        selection: _,
        connect_by,
        group_by: _,
        cluster_by,
        distribute_by,
        sort_by,
        having: _,
        named_window,
        qualify,
        window_before_qualify: _,
        value_table_mode,
        flavor,
    } = select;
    refuse(into.is_some(), "SELECT INTO")?;
    refuse(!named_window.is_empty() || qualify.is_some(), "WINDOW")?;
    let foreign = top.is_some()
        || exclude.is_some()
        || !lateral_views.is_empty()
        || prewhere.is_some()
        || !connect_by.is_empty()
        || !cluster_by.is_empty()
        || !distribute_by.is_empty()
        || !sort_by.is_empty()
        || value_table_mode.is_some()
        || *flavor != ast::SelectFlavor::Standard;
    refuse(foreign, "this clause")
}

fn upsert(mut tree: ast::Insert) -> Result<Statement, SyntaxError> {
    let updates = match tree.on.take() {
        None => return insert(tree).map(Statement::Insert),
        Some(ast::OnInsert::DuplicateKeyUpdate(assignments)) => {
            refuse(tree.ignore, "INSERT IGNORE with ON DUPLICATE KEY UPDATE")?;
            // What the inserted row is called there; columns of it are told from literals by this name.
            let alias = tree.insert_alias.take();
            let renamed = alias.and_then(|alias| alias.col_aliases).is_some_and(|names| !names.is_empty());
            refuse(renamed, "this form of INSERT")?;
            assignments.into_iter().map(duplicate_update).collect::<Result<_, _>>()?
        }
        Some(_) => return Err(SyntaxError::Unsupported("ON CONFLICT")),
    };
    insert(tree).map(|insert| Statement::Upsert { insert, updates })
}

/// `column = VALUES(column)`, `column = alias.column` or `column = value`.
fn duplicate_update(
    ast::Assignment { target, value: assigned }: ast::Assignment,
) -> Result<(Box<str>, Option<super::Value<'static>>), SyntaxError> {
    const OTHER: SyntaxError = SyntaxError::Unsupported("a column set to another column's value");
    let ast::AssignmentTarget::ColumnName(ObjectName(parts)) = target else {
        return Err(SyntaxError::Unsupported("assignment to several columns"));
    };
    let column: Box<str> = identifiers(parts)?.pop().ok_or(OTHER)?.value.into();
    let source = match assigned {
        Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case("VALUES") => {
            let ast::FunctionArguments::List(list) = function.args else { return Err(OTHER) };
            let mut arguments = list.args.into_iter();
            match (arguments.next(), arguments.next()) {
                (Some(ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(tree))), None) => {
                    Scope::default().column_of(tree)?
                }
                _ => return Err(OTHER),
            }
        }
        Expr::CompoundIdentifier(mut parts) => parts.pop().ok_or(OTHER)?.value.into(),
        other => return Ok((column, Some(value(other)?))),
    };
    if source.eq_ignore_ascii_case(&column) { Ok((column, None)) } else { Err(OTHER) }
}

fn insert(tree: ast::Insert) -> Result<Insert<'static>, SyntaxError> {
    let ast::Insert {
        insert_token: _,
        optimizer_hints: _,
        or,
        ignore,
        into: _,
        table,
        table_alias,
        columns,
        overwrite,
        source,
        assignments,
        partitioned,
        after_columns,
        has_table_keyword,
        on,
        returning,
        output,
        replace_into: _,
        // How soon a row is written is not for the client to say.
        priority: _,
        insert_alias,
        settings,
        format_clause,
        multi_table_insert_type,
        multi_table_into_clauses,
        multi_table_when_clauses,
        multi_table_else_clause,
    } = tree;
    refuse(or.is_some(), "INSERT OR")?;
    refuse(on.is_some(), "ON DUPLICATE KEY UPDATE of this form")?;
    refuse(returning.is_some() || output.is_some(), "RETURNING")?;
    refuse(partitioned.is_some() || !after_columns.is_empty(), "PARTITION")?;
    let foreign = table_alias.is_some()
        || overwrite
        || has_table_keyword
        || insert_alias.is_some()
        || settings.is_some()
        || format_clause.is_some()
        || multi_table_insert_type.is_some()
        || !multi_table_into_clauses.is_empty()
        || !multi_table_when_clauses.is_empty()
        || multi_table_else_clause.is_some();
    refuse(foreign, "this form of INSERT")?;
    let ast::TableObject::TableName(name) = table else {
        return Err(SyntaxError::Unsupported("this form of INSERT"));
    };
    let table = table_name(name)?;
    if !assignments.is_empty() {
        let pairs = assignments_of(assignments, &Scope::default(), value)?;
        let (columns, values): (Vec<_>, Vec<_>) =
            pairs.into_iter().map(|(name, value)| (name.into_string().into(), value)).unzip();
        return Ok(Insert { table, width: columns.len(), columns: Some(columns), values, uneven: false, ignore });
    }
    let mut names = Vec::with_capacity(columns.len());
    for name in columns {
        names.push(table_name(name)?.name);
    }
    let rows = rows(source)?;
    let width = rows.first().map_or(0, Vec::len);
    let uneven = width == 0 || rows.iter().any(|row| row.len() != width);
    let values = rows.into_iter().flatten().map(value).collect::<Result<_, _>>()?;
    Ok(Insert { table, columns: (!names.is_empty()).then_some(names), values, width, uneven, ignore })
}

/// The rows behind VALUES; nothing else can be inserted.
fn rows(source: Option<Box<ast::Query>>) -> Result<Vec<Vec<Expr>>, SyntaxError> {
    let Some(query) = source else {
        return Err(SyntaxError::Unsupported("INSERT without VALUES"));
    };
    let ast::Query {
        with,
        body,
        order_by,
        limit_clause,
        fetch,
        locks,
        for_clause,
        settings,
        format_clause,
        pipe_operators,
    } = *query;
    let more = with.is_some()
        || order_by.is_some()
        || limit_clause.is_some()
        || fetch.is_some()
        || !locks.is_empty()
        || for_clause.is_some()
        || settings.is_some()
        || format_clause.is_some()
        || !pipe_operators.is_empty();
    refuse(more, "a clause behind VALUES")?;
    match *body {
        ast::SetExpr::Values(ast::Values { explicit_row: _, value_keyword: _, rows }) => {
            Ok(rows.into_iter().map(|row| row.content).collect())
        }
        _ => Err(SyntaxError::Unsupported("INSERT of a query")),
    }
}

fn delete(tree: ast::Delete) -> Result<Delete, SyntaxError> {
    let ast::Delete {
        delete_token: _,
        optimizer_hints: _,
        tables,
        from: ast::FromTable::WithFromKeyword(from) | ast::FromTable::WithoutKeyword(from),
        using,
        selection,
        returning,
        output,
        order_by,
        limit,
    } = tree;
    refuse(!tables.is_empty() || using.is_some(), "DELETE from several tables")?;
    refuse(returning.is_some() || output.is_some(), "RETURNING")?;
    let relation = one(from)?.ok_or(SyntaxError::Unsupported("DELETE without a table"))?;
    let (table, scope) = single_table(relation)?;
    Ok(Delete {
        table,
        condition: selection.map(|tree| condition_of(tree, &scope)).transpose()?,
        order: order_list(order_by, &scope)?,
        limit: limit.map(value).transpose()?.map(|count| Limit { count, offset: None }),
    })
}

fn update(tree: ast::Update) -> Result<Update, SyntaxError> {
    /// A bare word stands for itself elsewhere; here it would name the old value, which is not known.
    fn updated(tree: Expr) -> Result<super::Value<'static>, SyntaxError> {
        match tree {
            Expr::Identifier(name) if name.quote_style.is_some() || !is_session_word(&name.value) => {
                Err(SyntaxError::Unsupported("a column set to another column's value"))
            }
            Expr::Value(literal) if literal.value == ast::Value::Null => Ok(super::Value::Null),
            other => value(other),
        }
    }
    let ast::Update {
        update_token: _,
        optimizer_hints: _,
        table,
        assignments,
        from,
        selection,
        returning,
        output,
        or,
        order_by,
        limit,
    } = tree;
    let foreign = from.is_some() || returning.is_some() || output.is_some() || or.is_some();
    refuse(foreign || !order_by.is_empty(), "this form of UPDATE")?;
    let (table, scope) = single_table(table)?;
    Ok(Update {
        table,
        assignments: assignments_of(assignments, &scope, updated)?,
        condition: selection.map(|tree| condition_of(tree, &scope)).transpose()?,
        limit: limit.map(value).transpose()?.map(|count| Limit { count, offset: None }),
    })
}

type Assignments = Vec<(Box<str>, super::Value<'static>)>;

fn assignments_of(
    assignments: Vec<ast::Assignment>,
    scope: &Scope,
    value: impl Fn(Expr) -> Result<super::Value<'static>, SyntaxError>,
) -> Result<Assignments, SyntaxError> {
    assignments
        .into_iter()
        .map(|ast::Assignment { target, value: assigned }| {
            let ast::AssignmentTarget::ColumnName(ObjectName(parts)) = target else {
                return Err(SyntaxError::Unsupported("assignment to several columns"));
            };
            Ok((scope.column(identifiers(parts)?)?, value(assigned)?))
        })
        .collect()
}

/// The only element, or nothing; several tables are a join.
fn one<T>(list: Vec<T>) -> Result<Option<T>, SyntaxError> {
    let mut list = list.into_iter();
    let first = list.next();
    refuse(list.next().is_some(), "a join")?;
    Ok(first)
}

fn single_table(relation: ast::TableWithJoins) -> Result<(TableName<'static>, Scope), SyntaxError> {
    let ast::TableWithJoins { relation, joins } = relation;
    refuse(!joins.is_empty(), "a join")?;
    let ast::TableFactor::Table {
        name,
        alias,
        args,
        with_hints,
        version,
        with_ordinality,
        partitions,
        json_path,
        sample,
        // Which index to use is the table's business.
        index_hints: _,
    } = relation
    else {
        return Err(SyntaxError::Unsupported("a subquery"));
    };
    let foreign = args.is_some()
        || !with_hints.is_empty()
        || version.is_some()
        || with_ordinality
        || !partitions.is_empty()
        || json_path.is_some()
        || sample.is_some();
    refuse(foreign, "this form of a table")?;
    let table = table_name(name)?;
    let mut scope = Scope { tables: vec![table.name.as_ref().into()] };
    if let Some(ast::TableAlias { explicit: _, name, columns, at }) = alias {
        refuse(!columns.is_empty() || at.is_some(), "this form of an alias")?;
        scope.tables.push(name.value.into());
    }
    Ok((table, scope))
}

fn identifiers(parts: Vec<ObjectNamePart>) -> Result<Vec<Ident>, SyntaxError> {
    parts
        .into_iter()
        .map(|part| match part {
            ObjectNamePart::Identifier(name) => Ok(name),
            ObjectNamePart::Function(_) => Err(SyntaxError::Unsupported("a function as a name")),
        })
        .collect()
}

/// `name` or `database.name`
fn table_name(ObjectName(parts): ObjectName) -> Result<TableName<'static>, SyntaxError> {
    let mut parts = identifiers(parts)?.into_iter().map(|name| name.value.into());
    match (parts.next(), parts.next(), parts.next()) {
        (Some(name), None, None) => Ok(TableName { database: None, name }),
        (Some(database), Some(name), None) => Ok(TableName { database: Some(database), name }),
        _ => Err(SyntaxError::Unsupported("a name of more than two parts")),
    }
}

fn order(order_by: Option<ast::OrderBy>, scope: &Scope) -> Result<Vec<Order>, SyntaxError> {
    match order_by {
        None => Ok(Vec::new()),
        Some(ast::OrderBy { kind: ast::OrderByKind::Expressions(list), interpolate: None }) => order_list(list, scope),
        Some(_) => Err(SyntaxError::Unsupported("this form of ORDER BY")),
    }
}

fn order_list(list: Vec<ast::OrderByExpr>, scope: &Scope) -> Result<Vec<Order>, SyntaxError> {
    list.into_iter()
        .map(|ast::OrderByExpr { expr, options: ast::OrderByOptions { sort, nulls_first }, with_fill }| {
            refuse(nulls_first.is_some() || with_fill.is_some(), "this form of ORDER BY")?;
            let descending = match sort {
                None | Some(ast::OrderBySort::Asc) => false,
                Some(ast::OrderBySort::Desc) => true,
                Some(ast::OrderBySort::Using(_)) => return Err(SyntaxError::Unsupported("ORDER BY USING")),
            };
            Ok(Order { column: scope.column_of(expr)?, descending })
        })
        .collect()
}

fn limit(clause: Option<ast::LimitClause>) -> Result<Option<Limit>, SyntaxError> {
    Ok(match clause {
        None => None,
        Some(ast::LimitClause::OffsetCommaLimit { offset, limit }) => {
            Some(Limit { count: value(limit)?, offset: Some(value(offset)?) })
        }
        Some(ast::LimitClause::LimitOffset { limit: Some(count), offset, limit_by }) => {
            refuse(!limit_by.is_empty(), "LIMIT BY")?;
            let offset = match offset {
                Some(ast::Offset { value: first, rows: ast::OffsetRows::None }) => Some(value(first)?),
                Some(_) => return Err(SyntaxError::Unsupported("OFFSET ROWS")),
                None => None,
            };
            Some(Limit { count: value(count)?, offset })
        }
        Some(ast::LimitClause::LimitOffset { .. }) => return Err(SyntaxError::Unsupported("OFFSET without LIMIT")),
    })
}
