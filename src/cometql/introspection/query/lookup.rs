//! The views that a query names, and the figures behind them.

use crate::cometql::errors::{Code, Error};
use crate::cometql::introspection::figures::Figures;
use crate::cometql::introspection::views::{Rows, View};
use crate::cometql::sql::{SCHEMA, StatusFlag, TableName};
use crate::cometql::tables::{DATABASE, or_nearest, shown};

/// The view that a query names. Error: 1146, for what other servers have there.
pub(super) fn find(table: &TableName<'_>) -> Result<&'static View, Error> {
    const STATUS: [&str; 5] =
        ["global_status", "session_status", "global_variables", "session_variables", "processlist"];
    let database = table.database.as_deref().unwrap_or_default();
    let found = match database {
        name if name.eq_ignore_ascii_case(SCHEMA) => View::find(&table.name),
        name if name.eq_ignore_ascii_case("performance_schema") => {
            STATUS.iter().find(|known| table.name.eq_ignore_ascii_case(known)).and_then(|known| View::find(known))
        }
        "" => None,
        name if name.eq_ignore_ascii_case("mysql") => {
            let text = "There is no database mysql: who may log in stands in comet.ini, [main] and [tenant N]";
            return Err(Error::new(Code::NoSuchTable, text));
        }
        name if name.eq_ignore_ascii_case(DATABASE) => {
            let text = "Tables of CometQL and of information_schema cannot be joined: ask for them one by one";
            return Err(Error::new(Code::NotImplemented, text));
        }
        _ => None,
    };
    found.ok_or_else(|| {
        let missing = format!("The table `{}` does not exist there", shown(&table.name));
        let otherwise = format!("SHOW TABLES FROM {SCHEMA} lists those that do");
        let views = View::all().map(|view| view.name).filter(|_| database.eq_ignore_ascii_case(SCHEMA));
        Error::new(Code::NoSuchTable, or_nearest(&missing, &table.name, views, &otherwise))
    })
}

/// The figures behind a view.
pub(super) fn figures(rows: Rows) -> Option<Figures> {
    match rows {
        Rows::Known | Rows::Variables => None,
        Rows::GlobalStatus => Some(Figures::Status(StatusFlag::Global)),
        Rows::SessionStatus => Some(Figures::Status(StatusFlag::Session)),
        Rows::Processes => Some(Figures::Processes),
    }
}
