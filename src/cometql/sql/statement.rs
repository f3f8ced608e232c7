//! What was written, as values: the statements of CometQL. No name here has been looked up yet.

use std::borrow::Cow;

use super::SyntaxError;
use super::catalog;

/// A value as written. Digits stay the digits they were (`00012`, `-5`): columns decide what they mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// In quotes, or a bare word standing for itself.
    Text(Cow<'a, str>),
    /// A number with its sign, never in quotes.
    Number(Cow<'a, str>),
    /// Only a bound parameter and a variable can be NULL. It stands for a value that is not there.
    Null,
    /// What the session knows when the statement begins: `@name`, `@@name`, or a function without parentheses such as
    /// `CURRENT_TIMESTAMP`. [`Statement::settle`] puts the value here.
    Late(Cow<'a, str>),
    /// The n-th `?`, counted from 0, before [`Prepared::bind`].
    Placeholder(usize),
    /// In a condition: what functions and operators make of values alone, such as `UNIX_TIMESTAMP() - 60`. A plan computes
    /// it before anything else.
    Computed(Box<catalog::Scalar>),
}

impl Value<'_> {
    /// The text it stands for; `None` for NULL and for what has no value yet or is not computed yet.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Number(text) => Some(text),
            Self::Null | Self::Late(_) | Self::Placeholder(_) | Self::Computed(_) => None,
        }
    }

    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Text(text) => Value::Text(text.into_owned().into()),
            Self::Number(text) => Value::Number(text.into_owned().into()),
            Self::Null => Value::Null,
            Self::Late(word) => Value::Late(word.into_owned().into()),
            Self::Placeholder(place) => Value::Placeholder(place),
            Self::Computed(scalar) => Value::Computed(scalar),
        }
    }
}

/// A table as written, with its database if one was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName<'a> {
    pub database: Option<Cow<'a, str>>,
    pub name: Cow<'a, str>,
}

impl<'a> TableName<'a> {
    pub fn new(name: impl Into<Cow<'a, str>>) -> Self {
        Self { database: None, name: name.into() }
    }

    /// Puts this database before it if none is named; whether it did.
    pub(super) fn complete(&mut self, database: &'static str) -> bool {
        let bare = self.database.is_none();
        self.database.get_or_insert(Cow::Borrowed(database));
        bare
    }

    pub fn into_owned(self) -> TableName<'static> {
        TableName {
            database: self.database.map(|database| database.into_owned().into()),
            name: self.name.into_owned().into(),
        }
    }
}

/// INSERT or REPLACE, which mean the same: a row with the same key is replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Insert<'a> {
    pub table: TableName<'a>,
    /// `None` when the columns are not named: then all of them, in their declared order.
    pub columns: Option<Vec<Cow<'a, str>>>,
    /// Row by row, [`Insert::width`] values each.
    pub values: Vec<Value<'a>>,
    /// Values of the first row.
    pub width: usize,
    /// Whether some row has another number of values; `values` is then of no use.
    pub uneven: bool,
    /// Rows that are there already stay as they are.
    pub ignore: bool,
}

impl<'a> Insert<'a> {
    pub fn into_owned(self) -> Insert<'static> {
        Insert {
            table: self.table.into_owned(),
            columns: self.columns.map(|names| names.into_iter().map(|name| name.into_owned().into()).collect()),
            values: self.values.into_iter().map(Value::into_owned).collect(),
            width: self.width,
            uneven: self.uneven,
            ignore: self.ignore,
        }
    }

    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[Value<'a>]> {
        self.values.chunks_exact(self.width.max(1))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// Nothing but blanks, comments and semicolons.
    Empty,
    Insert(Insert<'static>),
    /// INSERT with ON DUPLICATE KEY UPDATE.
    Upsert {
        insert: Insert<'static>,
        /// Columns of the row that is there already, and their new values; `None` is the inserted one.
        updates: Vec<(Box<str>, Option<Value<'static>>)>,
    },
    Select(Select),
    /// A SELECT about the server's own tables, or of what is computed without any.
    Catalog(Box<catalog::Query>),
    Delete(Delete),
    Update(Update),
    Show(Show),
    /// DESCRIBE, DESC or EXPLAIN of a table; with a column name or pattern only those columns.
    Describe {
        table: TableName<'static>,
        filter: ShowFilter,
    },
    /// One that names a variable or asks what the statement before did: to be planned when it begins.
    Late(Box<Statement>),
    /// One by one, in this order.
    Set(Vec<Assignment>),
    /// BEGIN, COMMIT and the like. Every statement is its own transaction; the session tells what MySQL's would.
    Transaction(Transaction),
    Use(Box<str>),
    Instruct(Instruction),
    /// KILL of a connection. KILL QUERY is [`Statement::KillQuery`].
    Kill(Value<'static>),
    /// Accepted, without effect: no statement runs long enough to be stopped.
    KillQuery,
}

/// What is asked of the server as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// FLUSH SETTINGS: the configuration is read anew.
    ReloadSettings,
    /// FLUSH LOGS: the log's file is opened anew.
    ReopenLog,
    /// ALTER INSTANCE RELOAD TLS: certificate and key are read anew.
    ReloadCertificate,
    /// SHUTDOWN.
    Stop,
    /// SET GLOBAL, until the configuration is read anew; `None` is DEFAULT.
    Set { name: Box<str>, value: Option<Box<str>> },
}

impl Instruction {
    /// The statement, without its values.
    pub fn words(&self) -> &'static str {
        match self {
            Self::ReloadSettings => "FLUSH SETTINGS",
            Self::ReopenLog => "FLUSH LOGS",
            Self::ReloadCertificate => "ALTER INSTANCE RELOAD TLS",
            Self::Stop => "SHUTDOWN",
            Self::Set { .. } => "SET GLOBAL",
        }
    }
}

/// What a word about transactions asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transaction {
    /// `None`: as the session was told.
    Begin {
        read_only: Option<bool>,
    },
    /// `chain`: another one begins; `release`: the session ends.
    Commit {
        chain: bool,
        release: bool,
    },
    Rollback {
        chain: bool,
        release: bool,
    },
    /// SAVEPOINT and RELEASE SAVEPOINT: there is nothing to go back to.
    Savepoint,
    RollbackToSavepoint,
    /// UNLOCK TABLES: nothing was locked.
    Unlock,
}

/// One assignment of a SET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    pub target: Target,
    pub value: Assigned,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `@name`, lower case, with its sign.
    User(Box<str>),
    /// A variable of the session, lower case, without signs and scope.
    System(Box<str>),
    /// A variable of the whole server.
    Server(Box<str>),
    /// NAMES and CHARACTER SET; the value is the name of the set.
    CharacterSet,
    /// Of the next transaction only.
    NextTransaction(Box<str>),
}

impl Target {
    /// The variable of the whole server that it is.
    pub fn of_server(&self) -> Option<&str> {
        if let Self::Server(name) = self { Some(name) } else { None }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assigned {
    /// The word DEFAULT.
    Default,
    /// A bare word, such as ON.
    Word(Box<str>),
    /// The first value of its first row.
    Query(Box<catalog::Query>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Select {
    pub summary: Summary,
    pub items: Vec<Item>,
    pub from: Option<TableName<'static>>,
    pub condition: Option<Condition>,
    pub order: Vec<Order>,
    pub limit: Option<Limit>,
}

/// What is asked of the rows of a SELECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Summary {
    /// Themselves.
    Rows,
    /// `SELECT COUNT(*) FROM (SELECT ...) name`: how many, under this heading.
    Count(Box<str>),
    /// `SELECT EXISTS(SELECT ...)`: whether there are any, as 1 or 0, under this heading.
    Exists(Box<str>),
}

/// One entry of a SELECT list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// `*`
    All,
    /// `heading` is the alias, or the expression as written.
    One { expression: Expression, heading: Box<str> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// A bare or quoted name.
    Column(Box<str>),
    /// In single or double quotes and with an alias, beside a table: the column of this name, else the text.
    ColumnOrText(Box<str>),
    /// A literal. In single or double quotes it may be the name of a column, if there is a table.
    Value(Value<'static>),
    /// `@@name` with or without its scope, `@name`; lower case, without scope, `@`s kept.
    Variable(Box<str>),
    /// A function, its name in upper case, with literal arguments or other functions as arguments.
    Function { name: Box<str>, arguments: Vec<Expression> },
    /// `COUNT(*)`, `COUNT(1)`.
    CountRows,
    /// `COUNT(column)`.
    CountColumn(Box<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A WHERE clause. Names are not looked up, values not converted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    /// `1 = 1` and the like.
    Constant(bool),
    Compare {
        column: Box<str>,
        operator: Operator,
        value: Value<'static>,
    },
    In {
        column: Box<str>,
        values: Vec<Value<'static>>,
    },
    Like {
        column: Box<str>,
        pattern: Value<'static>,
    },
    /// `IS NULL`; no column ever is.
    IsNull {
        column: Box<str>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub column: Box<str>,
    pub descending: bool,
}

/// `LIMIT count`, `LIMIT offset, count`, `LIMIT count OFFSET offset`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    pub count: Value<'static>,
    pub offset: Option<Value<'static>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    pub table: TableName<'static>,
    pub condition: Option<Condition>,
    pub order: Vec<Order>,
    pub limit: Option<Limit>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    pub table: TableName<'static>,
    pub assignments: Vec<(Box<str>, Value<'static>)>,
    pub condition: Option<Condition>,
    pub limit: Option<Limit>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Show {
    pub subject: Subject,
    pub filter: ShowFilter,
}

/// What SHOW is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    Databases,
    /// `database`: whose tables, if it says.
    Tables {
        full: bool,
        database: Option<Box<str>>,
    },
    TableStatus {
        database: Option<Box<str>>,
    },
    Columns {
        table: TableName<'static>,
        full: bool,
    },
    Index {
        table: TableName<'static>,
    },
    CreateTable {
        table: TableName<'static>,
    },
    CreateDatabase {
        name: Box<str>,
    },
    Status(StatusFlag),
    Variables(StatusFlag),
    Processlist {
        full: bool,
    },
    /// The last warnings and errors of the server's log.
    Log,
    /// What is configured and in force.
    Settings,
    /// What the user may do; also SHOW GRANTS FOR somebody, who is always this user.
    /// What memory is for.
    Memory,
    Grants,
    Privileges,
    /// Of something that this server does not have: no rows under these columns, separated by blanks.
    Nothing(&'static str),
    /// SHOW CREATE of something that this server does not have.
    Absent(&'static str),
    Warnings,
    Errors,
    /// `SHOW COUNT(*) WARNINGS` and `ERRORS`; the text is the heading.
    WarningCount(&'static str),
    Engines,
    Collation,
    CharacterSet,
    Plugins,
    /// HELP, of a topic or of what there is.
    Help(Box<str>),
}

/// The word before STATUS or VARIABLES.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusFlag {
    Session,
    Global,
    Filesystem,
    Ram,
    Avg,
    Uptime,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShowFilter {
    None,
    /// A pattern for the first column.
    Like(Value<'static>),
    Where(Condition),
}

/// A statement whose placeholders have no values yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    statement: Statement,
    /// Every `?` of the text, also those whose value has no effect, as in SET.
    placeholders: usize,
    tokens: usize,
    bytes: usize,
}

/// What a token becomes, at the most: values and names stand between commas or operators, so two tokens pay for a
/// place in a vector that may be half empty and for a small allocation, and three for a condition with two of these.
const TOKEN_BYTES: usize = 64;
const ALLOCATION_BYTES: usize = 32;
/// The same for a query about the server's own tables.
const CATALOG_TOKEN_BYTES: usize = 512;
const _: () = assert!(2 * size_of::<catalog::Scalar>() + ALLOCATION_BYTES <= CATALOG_TOKEN_BYTES);
const _: () = assert!(size_of::<catalog::Block>() + size_of::<catalog::Query>() <= 2 * CATALOG_TOKEN_BYTES);
const _: () = assert!(2 * size_of::<Value<'static>>() + ALLOCATION_BYTES <= 2 * TOKEN_BYTES);
const _: () = assert!(2 * size_of::<Condition>() + 2 * ALLOCATION_BYTES <= 4 * TOKEN_BYTES);

impl Prepared {
    /// The length of the text, in bytes and in tokens, says how much memory the statement takes.
    pub(super) fn new(statement: Statement, placeholders: usize, text_bytes: usize, tokens: usize) -> Self {
        // Of an expression there is also the heading.
        let bytes = size_of::<Self>().saturating_add(text_bytes.saturating_mul(2));
        // Its tree has whole queries in it.
        let token_bytes = if statement.holds_queries() { CATALOG_TOKEN_BYTES } else { TOKEN_BYTES };
        Self { statement, placeholders, tokens, bytes: bytes.saturating_add(tokens.saturating_mul(token_bytes)) }
    }

    /// Bytes of memory, estimated from above: short values weigh many times what they weigh in the text.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Whether its answer has rows.
    pub fn gives_rows(&self) -> bool {
        let said = if let Statement::Late(said) = &self.statement { said } else { &self.statement };
        matches!(said, Statement::Select(_) | Statement::Catalog(_) | Statement::Show(_) | Statement::Describe { .. })
    }

    pub fn placeholders(&self) -> usize {
        self.placeholders
    }

    /// The statement with its placeholders replaced by `values`, in order. Whatever the values hold, they stay values.
    /// Errors: [`SyntaxError::WrongParameters`] when there are more or less values than placeholders.
    pub fn bind(&self, values: &[Value<'static>]) -> Result<Statement, SyntaxError> {
        if self.placeholders != values.len() {
            return Err(SyntaxError::WrongParameters { given: values.len(), wanted: self.placeholders });
        }
        let mut bound = self.statement.clone();
        let put = |value: &mut Value<'static>| {
            if let Value::Placeholder(place) = *value {
                *value = values.get(place).cloned().unwrap_or(Value::Null);
            }
        };
        bound.each_value(&mut |value| match value {
            Value::Computed(scalar) => scalar.each_value(&mut |value| put(value)),
            value => put(value),
        });
        Ok(bound)
    }
}

impl Statement {
    fn holds_queries(&self) -> bool {
        match self {
            Self::Catalog(_) | Self::Set(_) => true,
            Self::Late(statement) => statement.holds_queries(),
            _ => false,
        }
    }

    /// Puts this database before the names of tables that a session statement asks about, where none is named.
    pub(super) fn complete_names(&mut self, name: &'static str) {
        match self {
            Self::Describe { table, .. } => {
                table.complete(name);
            }
            Self::Show(Show { subject, .. }) => match subject {
                Subject::Columns { table, .. } | Subject::Index { table } | Subject::CreateTable { table } => {
                    table.complete(name);
                }
                Subject::Tables { database, .. } | Subject::TableStatus { database } => {
                    database.get_or_insert_with(|| name.into());
                }
                _ => {}
            },
            _ => {}
        }
    }

    /// Whether it says how the text behind it is to be read.
    pub fn sets_modes(&self) -> bool {
        let sets =
            |assignment: &Assignment| matches!(&assignment.target, Target::System(name) if &**name == "sql_mode");
        matches!(self, Self::Set(assignments) if assignments.iter().any(sets))
    }

    /// Puts values where [`Value::Late`] stands.
    pub fn settle(&mut self, mut value_of: impl FnMut(&str) -> Value<'static>) {
        self.each_value(&mut |value| {
            if let Value::Late(word) = value {
                *value = value_of(word);
            }
        });
    }

    /// Whether a condition has something to compute.
    pub fn computes(&self) -> bool {
        match self {
            Self::Select(Select { condition, .. })
            | Self::Delete(Delete { condition, .. })
            | Self::Update(Update { condition, .. }) => condition.as_ref().is_some_and(Condition::computes),
            Self::Show(Show { filter: ShowFilter::Where(condition), .. }) => condition.computes(),
            _ => false,
        }
    }

    /// Every value that is not within one that is computed.
    pub fn each_value(&mut self, visit: &mut impl FnMut(&mut Value<'static>)) {
        match self {
            Self::Empty | Self::Transaction(_) | Self::Use(_) | Self::KillQuery | Self::Instruct(_) => {}
            Self::Late(statement) => statement.each_value(visit),
            Self::Set(assignments) => {
                for Assignment { value, .. } in assignments {
                    if let Assigned::Query(query) = value {
                        query.each_value(visit);
                    }
                }
            }
            Self::Insert(insert) => insert.values.iter_mut().for_each(visit),
            Self::Upsert { insert, updates } => {
                insert.values.iter_mut().for_each(&mut *visit);
                updates.iter_mut().filter_map(|(_, value)| value.as_mut()).for_each(visit);
            }
            Self::Select(select) => {
                for item in &mut select.items {
                    if let Item::One { expression, .. } = item {
                        expression.each_value(visit);
                    }
                }
                each_in(&mut select.condition, &mut select.limit, visit);
            }
            Self::Catalog(query) => query.each_value(visit),
            Self::Delete(delete) => each_in(&mut delete.condition, &mut delete.limit, visit),
            Self::Update(update) => {
                update.assignments.iter_mut().for_each(|(_, value)| visit(value));
                each_in(&mut update.condition, &mut update.limit, visit);
            }
            Self::Show(Show { filter, .. }) | Self::Describe { filter, .. } => match filter {
                ShowFilter::None => {}
                ShowFilter::Like(value) => visit(value),
                ShowFilter::Where(condition) => condition.each_value(visit),
            },
            Self::Kill(value) => visit(value),
        }
    }
}

fn each_in(condition: &mut Option<Condition>, limit: &mut Option<Limit>, visit: &mut impl FnMut(&mut Value<'static>)) {
    if let Some(condition) = condition {
        condition.each_value(visit);
    }
    if let Some(limit) = limit {
        visit(&mut limit.count);
        limit.offset.iter_mut().for_each(visit);
    }
}

impl Expression {
    fn each_value(&mut self, visit: &mut impl FnMut(&mut Value<'static>)) {
        match self {
            Self::Value(value) => visit(value),
            Self::Function { arguments, .. } => {
                for argument in arguments {
                    argument.each_value(visit);
                }
            }
            Self::Column(_) | Self::ColumnOrText(_) | Self::Variable(_) | Self::CountRows | Self::CountColumn(_) => {}
        }
    }
}

impl Condition {
    fn computes(&self) -> bool {
        let computed = |value: &Value<'_>| matches!(value, Value::Computed(_));
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(Self::computes),
            Self::Not(part) => part.computes(),
            Self::Constant(_) | Self::IsNull { .. } => false,
            Self::Compare { value, .. } | Self::Like { pattern: value, .. } => computed(value),
            Self::In { values, .. } => values.iter().any(computed),
        }
    }

    fn each_value(&mut self, visit: &mut impl FnMut(&mut Value<'static>)) {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                for part in parts {
                    part.each_value(visit);
                }
            }
            Self::Not(part) => part.each_value(visit),
            Self::Constant(_) | Self::IsNull { .. } => {}
            Self::Compare { value, .. } => visit(value),
            Self::In { values, .. } => values.iter_mut().for_each(visit),
            Self::Like { pattern, .. } => visit(pattern),
        }
    }
}
