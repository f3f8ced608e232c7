//! Session statements: SHOW, DESCRIBE, SET, USE, KILL and the transaction words, parsed by hand.
//!
//! They are plain sequences of words in which CppComet, MySQL and sqlparser each know forms that the others do not;
//! a WHERE behind SHOW is the only expression, and [`tree`] parses it.

use super::SyntaxError;
use super::lexer::{Token, TokenKind};
use super::meter::Meter;
use super::statement::{Show, ShowFilter, Statement, StatusFlag, Subject, TableName, Value};
use super::tree;

/// The statement that these tokens are; the first is no verb that [`tree::statement`] takes.
pub(super) fn statement(tokens: &[Token<'_>], meter: &Meter) -> Result<Statement, SyntaxError> {
    let mut cursor = Cursor { tokens };
    let Some(verb) = cursor.next().filter(|token| token.kind == TokenKind::Word) else {
        return Err(unexpected(tokens.first()));
    };
    let statement = match verb.text.to_ascii_uppercase().as_str() {
        "SHOW" => Statement::Show(show(&mut cursor, meter)?),
        "DESCRIBE" | "DESC" | "EXPLAIN" => describe(&mut cursor)?,
        "SET" => {
            if cursor.take("PASSWORD") {
                return Err(SyntaxError::Unsupported("SET PASSWORD"));
            }
            // The value is of no interest, but a SET of nothing is a mistake.
            cursor.next().ok_or_else(|| unexpected(None))?;
            return Ok(Statement::Set);
        }
        "USE" => Statement::Use(cursor.name()?),
        "KILL" => {
            let query = cursor.take("QUERY");
            cursor.take("CONNECTION");
            let number = cursor.value()?;
            if query { Statement::KillQuery } else { Statement::Kill(number) }
        }
        "BEGIN" | "COMMIT" | "ROLLBACK" | "SAVEPOINT" => return transaction(cursor),
        "START" if cursor.take("TRANSACTION") => return transaction(cursor),
        "RELEASE" if cursor.take("SAVEPOINT") => return transaction(cursor),
        // Nothing was locked; `mysqldump` says it all the same.
        "UNLOCK" if cursor.take("TABLES") => return transaction(cursor),
        _ => return Err(unexpected(Some(verb))),
    };
    cursor.end()?;
    Ok(statement)
}

/// Whatever follows a transaction word are its options, which are words and commas.
fn transaction(mut rest: Cursor<'_, '_>) -> Result<Statement, SyntaxError> {
    while let Some(token) = rest.next() {
        if !matches!(token.kind, TokenKind::Word | TokenKind::Name) && !token.is_symbol(",") {
            return Err(unexpected(Some(token)));
        }
    }
    Ok(Statement::Transaction)
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
            Subject::Warnings
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
            while cursor.next().is_some() {}
            Subject::Nothing("Log_name Pos Event_type Server_id End_log_pos Info")
        }
        "PROFILES" => Subject::Nothing("Query_ID Duration Query"),
        "PROFILE" => {
            while cursor.next().is_some() {}
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
            while cursor.next().is_some() {}
            Subject::Absent(kind)
        }
        _ => return Ok(None),
    }))
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
        return tree::condition(rest, meter).map(ShowFilter::Where);
    }
    Ok(ShowFilter::None)
}

struct Cursor<'t, 'q> {
    tokens: &'t [Token<'q>],
}

impl<'t, 'q> Cursor<'t, 'q> {
    fn peek(&self) -> Option<&'t Token<'q>> {
        self.tokens.first()
    }

    fn next(&mut self) -> Option<&'t Token<'q>> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    /// Steps over this word if it comes next.
    fn take(&mut self, word: &str) -> bool {
        let taken = self.peek().is_some_and(|token| token.is_word(word));
        if taken {
            self.next();
        }
        taken
    }

    fn expect(&mut self, word: &str) -> Result<(), SyntaxError> {
        if self.take(word) { Ok(()) } else { Err(unexpected(self.peek())) }
    }

    fn end(&self) -> Result<(), SyntaxError> {
        self.peek().map_or(Ok(()), |token| Err(unexpected(Some(token))))
    }

    /// A name, bare or in any quotes.
    fn name(&mut self) -> Result<Box<str>, SyntaxError> {
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
            if self.peek().is_some_and(|token| token.is_symbol(",")) {
                self.next();
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
