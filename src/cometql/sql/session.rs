//! Session statements: SHOW, DESCRIBE, HELP, USE, KILL, the transaction words and what is asked of the server as a whole,
//! parsed by hand to their last word: what is passed over would be answered OK and not done. SET is in [`super::set`].
//!
//! They are plain sequences of words in which CppComet, MySQL and sqlparser each know forms that the others do not;
//! a WHERE behind SHOW is the only expression, and [`tree`] parses it.

use super::SyntaxError;
use super::lexer::{Token, TokenKind};
use super::meter::Meter;
use super::statement::{Instruction, Show, ShowFilter, Statement, StatusFlag, Subject, TableName, Transaction, Value};
use super::{Reading, tree};

/// The statement that these tokens are; the first is no verb that [`tree::statement`] takes.
pub(super) fn statement(tokens: &[Token<'_>], reading: Reading, meter: &Meter) -> Result<Statement, SyntaxError> {
    let mut cursor = Cursor { tokens, reading };
    let Some(verb) = cursor.next().filter(|token| token.kind == TokenKind::Word) else {
        return Err(unexpected(tokens.first()));
    };
    let statement = match verb.text.to_ascii_uppercase().as_str() {
        "SHOW" => Statement::Show(show(&mut cursor, meter)?),
        "DESCRIBE" | "DESC" | "EXPLAIN" => describe(&mut cursor)?,
        "HELP" => Statement::Show(Show { subject: Subject::Help(topic(&mut cursor)?), filter: ShowFilter::None }),
        "USE" => Statement::Use(cursor.name()?),
        "KILL" => {
            let query = cursor.take("QUERY");
            cursor.take("CONNECTION");
            let number = cursor.value()?;
            if query { Statement::KillQuery } else { Statement::Kill(number) }
        }
        word => match (transaction(word, &mut cursor)?, instruction(word, &mut cursor)?) {
            (Some(transaction), _) => Statement::Transaction(transaction),
            (None, Some(instruction)) => Statement::Instruct(instruction),
            (None, None) => return Err(definition(word, &cursor).unwrap_or_else(|| unexpected(Some(verb)))),
        },
    };
    cursor.end()?;
    Ok(statement)
}

/// Statements that make, change or remove what is fixed here. CppComet gives all of them the number of a syntax error.
fn definition(verb: &str, cursor: &Cursor<'_, '_>) -> Option<SyntaxError> {
    const TABLES: &str = "Tables are fixed: SHOW TABLES lists them, HELP says what they are for";
    let names = |words: &[&str]| cursor.tokens.iter().take(DEFINITION_WORDS).any(|token| token.is_any_word(words));
    Some(SyntaxError::Fixed(match verb {
        "CREATE" | "ALTER" | "DROP" | "RENAME" if names(&["DATABASE", "SCHEMA"]) => {
            "Databases are fixed: a tenant needs none of its own, USE db_5 is tenant 5"
        }
        "CREATE" | "ALTER" | "DROP" | "RENAME" if names(&["USER", "ROLE"]) => USERS,
        "GRANT" | "REVOKE" => USERS,
        "CREATE" | "ALTER" | "DROP" | "RENAME" => TABLES,
        "TRUNCATE" => "Tables are fixed and are not emptied whole: DELETE removes the rows whose keys it names",
        _ => return None,
    }))
}

const USERS: &str = "Who may log in stands in comet.ini: [main] password, and [tenant N] for each tenant";

/// In front of what a definition is of there are words such as OR REPLACE, TEMPORARY, IF EXISTS.
const DEFINITION_WORDS: usize = 4;

/// What is behind HELP, if anything.
fn topic(cursor: &mut Cursor<'_, '_>) -> Result<Box<str>, SyntaxError> {
    let mut words = Vec::new();
    while cursor.peek().is_some() {
        words.push(cursor.name()?);
    }
    Ok(words.join(" ").into())
}

fn transaction(verb: &str, cursor: &mut Cursor<'_, '_>) -> Result<Option<Transaction>, SyntaxError> {
    Ok(Some(match verb {
        "BEGIN" => {
            cursor.take("WORK");
            Transaction::Begin { read_only: None }
        }
        "START" => {
            cursor.expect("TRANSACTION")?;
            Transaction::Begin { read_only: characteristics(cursor)? }
        }
        "COMMIT" => {
            let (chain, release) = completion(cursor)?;
            Transaction::Commit { chain, release }
        }
        "ROLLBACK" => {
            cursor.take("WORK");
            if cursor.take("TO") {
                cursor.take("SAVEPOINT");
                cursor.name()?;
                Transaction::RollbackToSavepoint
            } else {
                let (chain, release) = completion(cursor)?;
                Transaction::Rollback { chain, release }
            }
        }
        "SAVEPOINT" => {
            cursor.name()?;
            Transaction::Savepoint
        }
        "RELEASE" => {
            cursor.expect("SAVEPOINT")?;
            cursor.name()?;
            Transaction::Savepoint
        }
        // `mysqldump` says it all the same.
        "UNLOCK" => {
            if !cursor.take("TABLES") {
                cursor.expect("TABLE")?;
            }
            Transaction::Unlock
        }
        _ => return Ok(None),
    }))
}

/// What is asked of the server as a whole.
fn instruction(verb: &str, cursor: &mut Cursor<'_, '_>) -> Result<Option<Instruction>, SyntaxError> {
    Ok(Some(match verb {
        "FLUSH" => {
            // There is no binary log.
            let _ = cursor.take("LOCAL") || cursor.take("NO_WRITE_TO_BINLOG");
            if cursor.take("LOGS") {
                Instruction::ReopenLog
            } else {
                cursor.expect("SETTINGS")?;
                Instruction::ReloadSettings
            }
        }
        "ALTER" if cursor.take("INSTANCE") => {
            for word in ["RELOAD", "TLS"] {
                cursor.expect(word)?;
            }
            Instruction::ReloadCertificate
        }
        "SHUTDOWN" => Instruction::Stop,
        _ => return Ok(None),
    }))
}

/// `[WITH CONSISTENT SNAPSHOT | READ WRITE | READ ONLY] {, ...}`: whether it only reads, if that is said.
fn characteristics(cursor: &mut Cursor<'_, '_>) -> Result<Option<bool>, SyntaxError> {
    let mut read_only = None;
    if cursor.peek().is_none() {
        return Ok(None);
    }
    loop {
        if cursor.take("WITH") {
            cursor.expect("CONSISTENT")?;
            cursor.expect("SNAPSHOT")?;
        } else {
            read_only = Some(cursor.read_only()?);
        }
        if !cursor.take_symbol(",") {
            return Ok(read_only);
        }
    }
}

/// `[WORK] [AND [NO] CHAIN] [[NO] RELEASE]`: whether another transaction begins, and whether the session ends.
fn completion(cursor: &mut Cursor<'_, '_>) -> Result<(bool, bool), SyntaxError> {
    cursor.take("WORK");
    let mut chain = false;
    if cursor.take("AND") {
        chain = !cursor.take("NO");
        cursor.expect("CHAIN")?;
    }
    let no = cursor.take("NO");
    if no {
        cursor.expect("RELEASE")?;
    }
    let release = !no && cursor.take("RELEASE");
    Ok((chain, release))
}

fn describe(cursor: &mut Cursor<'_, '_>) -> Result<Statement, SyntaxError> {
    if cursor.peek().is_some_and(|token| token.is_any_word(&["SELECT", "INSERT", "DELETE", "UPDATE", "REPLACE"])) {
        return Err(SyntaxError::Unsupported("EXPLAIN of a statement"));
    }
    let table = cursor.table()?;
    let filter = match cursor.peek() {
        None => ShowFilter::None,
        Some(_) => ShowFilter::Like(Value::Text(cursor.name()?.into_string().into())),
    };
    Ok(Statement::Describe { table, filter })
}

fn show(cursor: &mut Cursor<'_, '_>, meter: &Meter) -> Result<Show, SyntaxError> {
    // It would show what is hidden, of which there is nothing.
    cursor.take("EXTENDED");
    let full = cursor.take("FULL");
    let flag = cursor.flag();
    let word = cursor.next().ok_or_else(|| unexpected(None))?;
    let written = word.text.to_ascii_uppercase();
    let subject = match written.as_str() {
        _ if word.kind != TokenKind::Word => return Err(unexpected(Some(word))),
        "STATUS" | "VARIABLES" if full => return Err(unexpected(Some(word))),
        "STATUS" => Subject::Status(flag.unwrap_or(StatusFlag::Session)),
        "VARIABLES" => Subject::Variables(flag.unwrap_or(StatusFlag::Session)),
        _ if flag.is_some() => return Err(unexpected(Some(word))),
        "TABLES" => Subject::Tables { full, database: cursor.database()? },
        "COLUMNS" | "FIELDS" => Subject::Columns { table: cursor.shown_table()?, full },
        "PROCESSLIST" => Subject::Processlist { full },
        "MEMORY" => Subject::Memory,
        _ if full => return Err(unexpected(Some(word))),
        "DATABASES" | "SCHEMAS" => Subject::Databases,
        "TABLE" if cursor.take("STATUS") => Subject::TableStatus { database: cursor.database()? },
        "INDEX" | "INDEXES" | "KEYS" => Subject::Index { table: cursor.shown_table()? },
        "CREATE" if cursor.take("TABLE") => Subject::CreateTable { table: cursor.table()? },
        "CREATE" if cursor.take("DATABASE") || cursor.take("SCHEMA") => {
            if cursor.take("IF") {
                cursor.expect("NOT")?;
                cursor.expect("EXISTS")?;
            }
            Subject::CreateDatabase { name: cursor.name()? }
        }
        "WARNINGS" | "ERRORS" => {
            cursor.limit()?;
            if written == "ERRORS" { Subject::Errors } else { Subject::Warnings }
        }
        "COUNT" => {
            for symbol in ["(", "*", ")"] {
                cursor.next().filter(|token| token.is_symbol(symbol)).ok_or_else(|| unexpected(Some(word)))?;
            }
            let errors = cursor.take("ERRORS");
            if !errors {
                cursor.expect("WARNINGS")?;
            }
            Subject::WarningCount(if errors { "@@session.error_count" } else { "@@session.warning_count" })
        }
        "LOG" => Subject::Log,
        "SETTINGS" => Subject::Settings,
        "ENGINES" => Subject::Engines,
        "STORAGE" if cursor.take("ENGINES") => Subject::Engines,
        "COLLATION" => Subject::Collation,
        "CHARSET" => Subject::CharacterSet,
        "CHARACTER" | "CHAR" if cursor.take("SET") => Subject::CharacterSet,
        "PLUGINS" => Subject::Plugins,
        "GRANTS" => {
            if cursor.take("FOR") {
                cursor.account()?;
            }
            Subject::Grants
        }
        "PRIVILEGES" => Subject::Privileges,
        other => match absent(other, cursor)? {
            Some(subject) => subject,
            None => return Err(unexpected(Some(word))),
        },
    };
    Ok(Show { subject, filter: filter(cursor, meter)? })
}

/// What MySQL shows and this server does not have.
fn absent(word: &str, cursor: &mut Cursor<'_, '_>) -> Result<Option<Subject>, SyntaxError> {
    Ok(Some(match word {
        "TRIGGERS" => {
            cursor.database()?;
            Subject::Nothing(TRIGGERS)
        }
        "EVENTS" => {
            cursor.database()?;
            Subject::Nothing(EVENTS)
        }
        "OPEN" => {
            cursor.expect("TABLES")?;
            cursor.database()?;
            Subject::Nothing("Database Table In_use Name_locked")
        }
        "PROCEDURE" | "FUNCTION" | "PACKAGE" => {
            if word == "PACKAGE" {
                cursor.take("BODY");
            }
            cursor.expect("STATUS")?;
            Subject::Nothing(ROUTINES)
        }
        "MASTER" | "BINARY" if cursor.take("LOGS") => Subject::Nothing("Log_name File_size Encrypted"),
        "MASTER" if cursor.take("STATUS") => Subject::Nothing(BINARY_LOG),
        "BINARY" if cursor.take("LOG") => {
            cursor.expect("STATUS")?;
            Subject::Nothing(BINARY_LOG)
        }
        "SLAVE" | "REPLICA" if cursor.take("HOSTS") => Subject::Nothing("Server_id Host Port Master_id Slave_UUID"),
        "SLAVE" | "REPLICA" => {
            cursor.expect("STATUS")?;
            if cursor.take("FOR") {
                cursor.expect("CHANNEL")?;
                cursor.name()?;
            }
            Subject::Nothing(REPLICA)
        }
        "ALL" => {
            if !cursor.take("SLAVES") {
                cursor.expect("REPLICAS")?;
            }
            cursor.expect("STATUS")?;
            Subject::Nothing(REPLICA)
        }
        "REPLICAS" => Subject::Nothing("Server_Id Host Port Source_Id Replica_UUID"),
        "BINLOG" | "RELAYLOG" => {
            cursor.expect("EVENTS")?;
            if cursor.take("IN") {
                cursor.name()?;
            }
            if cursor.take("FROM") {
                cursor.value()?;
            }
            cursor.limit()?;
            if cursor.take("FOR") {
                cursor.expect("CHANNEL")?;
                cursor.name()?;
            }
            Subject::Nothing("Log_name Pos Event_type Server_id End_log_pos Info")
        }
        "PROFILES" => Subject::Nothing("Query_ID Duration Query"),
        "PROFILE" => {
            profile(cursor)?;
            Subject::Nothing("Status Duration")
        }
        "ENGINE" => {
            cursor.name()?;
            if !cursor.take("MUTEX") && !cursor.take("LOGS") {
                cursor.expect("STATUS")?;
            }
            Subject::Nothing("Type Name Status")
        }
        "CREATE" => {
            let kinds = ["VIEW", "PROCEDURE", "FUNCTION", "TRIGGER", "EVENT", "USER", "PACKAGE", "SEQUENCE", "SERVER"];
            let Some(kind) = kinds.into_iter().find(|kind| cursor.take(kind)) else {
                return Ok(None);
            };
            match kind {
                "USER" => cursor.account()?,
                "PACKAGE" => {
                    cursor.take("BODY");
                    cursor.table()?;
                }
                _ => {
                    cursor.table()?;
                }
            }
            Subject::Absent(kind)
        }
        _ => return Ok(None),
    }))
}

/// `[type {, type}] [FOR QUERY n] [LIMIT n [OFFSET n]]`
fn profile(cursor: &mut Cursor<'_, '_>) -> Result<(), SyntaxError> {
    const TYPES: [&str; 9] = ["ALL", "BLOCK", "CONTEXT", "CPU", "IPC", "MEMORY", "PAGE", "SOURCE", "SWAPS"];
    while TYPES.iter().any(|kind| cursor.take(kind)) {
        let _ = cursor.take("IO") || cursor.take("SWITCHES") || cursor.take("FAULTS");
        if !cursor.take_symbol(",") {
            break;
        }
    }
    if cursor.take("FOR") {
        cursor.expect("QUERY")?;
        cursor.value()?;
    }
    cursor.limit()
}

const TRIGGERS: &str = "Trigger Event Table Statement Timing Created sql_mode Definer character_set_client \
                        collation_connection Database_Collation";
const EVENTS: &str = "Db Name Definer Time_zone Type Execute_at Interval_value Interval_field Starts Ends Status \
                      Originator character_set_client collation_connection Database_Collation";
const ROUTINES: &str = "Db Name Type Definer Modified Created Security_type Comment character_set_client \
                        collation_connection Database_Collation";
const BINARY_LOG: &str = "File Position Binlog_Do_DB Binlog_Ignore_DB Executed_Gtid_Set";
const REPLICA: &str = "Slave_IO_State Master_Host Master_User Master_Port Connect_Retry Master_Log_File \
                       Read_Master_Log_Pos Relay_Log_File Relay_Log_Pos Relay_Master_Log_File Slave_IO_Running \
                       Slave_SQL_Running Seconds_Behind_Master";

fn filter(cursor: &mut Cursor<'_, '_>, meter: &Meter) -> Result<ShowFilter, SyntaxError> {
    if cursor.take("LIKE") {
        return cursor.value().map(ShowFilter::Like);
    }
    if cursor.take("WHERE") {
        let rest = std::mem::take(&mut cursor.tokens);
        return tree::condition(rest, cursor.reading, meter).map(ShowFilter::Where);
    }
    Ok(ShowFilter::None)
}

pub(super) struct Cursor<'t, 'q> {
    pub(super) tokens: &'t [Token<'q>],
    pub(super) reading: Reading,
}

impl<'t, 'q> Cursor<'t, 'q> {
    pub(super) fn peek(&self) -> Option<&'t Token<'q>> {
        self.tokens.first()
    }

    pub(super) fn next(&mut self) -> Option<&'t Token<'q>> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    /// Steps over this word if it comes next.
    pub(super) fn take(&mut self, word: &str) -> bool {
        let taken = self.peek().is_some_and(|token| token.is_word(word));
        if taken {
            self.next();
        }
        taken
    }

    pub(super) fn expect(&mut self, word: &str) -> Result<(), SyntaxError> {
        if self.take(word) { Ok(()) } else { Err(unexpected(self.peek())) }
    }

    pub(super) fn take_symbol(&mut self, symbol: &str) -> bool {
        let taken = self.peek().is_some_and(|token| token.is_symbol(symbol));
        if taken {
            self.next();
        }
        taken
    }

    /// `READ ONLY` or `READ WRITE`.
    pub(super) fn read_only(&mut self) -> Result<bool, SyntaxError> {
        self.expect("READ")?;
        if self.take("ONLY") {
            return Ok(true);
        }
        self.expect("WRITE").map(|()| false)
    }

    pub(super) fn end(&self) -> Result<(), SyntaxError> {
        self.peek().map_or(Ok(()), |token| Err(unexpected(Some(token))))
    }

    /// A name, bare or in any quotes.
    pub(super) fn name(&mut self) -> Result<Box<str>, SyntaxError> {
        match self.next() {
            Some(token) if matches!(token.kind, TokenKind::Word | TokenKind::Name | TokenKind::Text) => {
                Ok(token.text.as_ref().into())
            }
            other => Err(unexpected(other)),
        }
    }

    /// `name` or `database.name`
    fn table(&mut self) -> Result<TableName<'static>, SyntaxError> {
        let first = self.name()?.into_string();
        if self.peek().is_some_and(|token| token.is_symbol(".")) {
            self.next();
            let name = self.name()?.into_string();
            return Ok(TableName { database: Some(first.into()), name: name.into() });
        }
        Ok(TableName::new(first))
    }

    /// `FROM table [FROM database]`; IN stands for FROM.
    fn shown_table(&mut self) -> Result<TableName<'static>, SyntaxError> {
        if !self.take("FROM") {
            self.expect("IN")?;
        }
        let mut table = self.table()?;
        if let Some(database) = self.database()? {
            table.database = Some(database.into_string().into());
        }
        Ok(table)
    }

    /// `[FROM database]`. There is one database, so for lists of tables the name makes no difference.
    fn database(&mut self) -> Result<Option<Box<str>>, SyntaxError> {
        if self.take("FROM") || self.take("IN") { self.name().map(Some) } else { Ok(None) }
    }

    /// `user`, `user@host`, `CURRENT_USER` with or without parentheses.
    fn account(&mut self) -> Result<(), SyntaxError> {
        self.name()?;
        if self.peek().is_some_and(|token| token.is_symbol("(")) {
            self.next();
            self.next().filter(|token| token.is_symbol(")")).ok_or_else(|| unexpected(None))?;
        }
        // The scanner takes `@` as the beginning of a name.
        while self.peek().is_some_and(|token| token.text.starts_with('@')) {
            let sign = self.next();
            if sign.is_some_and(|token| token.text == "@") {
                self.name()?;
            }
        }
        Ok(())
    }

    fn value(&mut self) -> Result<Value<'static>, SyntaxError> {
        let token = self.next().ok_or_else(|| unexpected(None))?;
        Ok(match token.kind {
            TokenKind::Text | TokenKind::Word | TokenKind::Name => Value::Text(token.text.to_string().into()),
            TokenKind::Number => Value::Number(token.text.to_string().into()),
            TokenKind::Placeholder => Value::Placeholder(token.text.parse().unwrap_or_default()),
            TokenKind::Symbol => return Err(unexpected(Some(token))),
        })
    }

    fn flag(&mut self) -> Option<StatusFlag> {
        const FLAGS: [(&str, StatusFlag); 7] = [
            ("SESSION", StatusFlag::Session),
            ("LOCAL", StatusFlag::Session),
            ("GLOBAL", StatusFlag::Global),
            ("FILESYSTEM", StatusFlag::Filesystem),
            ("RAM", StatusFlag::Ram),
            ("AVG", StatusFlag::Avg),
            ("UPTIME", StatusFlag::Uptime),
        ];
        FLAGS.into_iter().find(|(word, _)| self.take(word)).map(|(_, flag)| flag)
    }

    /// `[LIMIT n[, n]]`, for lists that are always empty.
    fn limit(&mut self) -> Result<(), SyntaxError> {
        if self.take("LIMIT") {
            self.value()?;
            if self.take_symbol(",") || self.take("OFFSET") {
                self.value()?;
            }
        }
        Ok(())
    }
}

/// The error for a token that cannot stand where it stands, or for the end of the text.
pub(super) fn unexpected(token: Option<&Token<'_>>) -> SyntaxError {
    const SHOWN_MAX: usize = 40;
    SyntaxError::Grammar(match token {
        Some(token) => {
            let shown: String = token.text.chars().take(SHOWN_MAX).filter(|shown| !shown.is_control()).collect();
            format!("`{shown}` was not expected here").into()
        }
        None => "the statement ends too early".into(),
    })
}
