//! What words and expressions are worth that need no table: functions of the session and of the time, variables, and what
//! is computed of them.

use std::borrow::Cow;

use super::moment::Moment;
use super::scalars;
use super::variables::variable;
use crate::cometql::errors::{Code, Error};
use crate::cometql::rows::{Effort, Field};
use crate::cometql::session::SessionView;
use crate::cometql::sql::{Expression, Value};
use crate::cometql::tables::no_column;

/// What an expression without a table is worth, and whether it is a number; `None` is NULL. Error: 3 for functions that
/// are not there.
///
/// All expressions of a statement share one effort, or many short LIKEs would be as bad as a long one; and all of a query
/// share its steps, for texts are made here before anything else of it begins. Error: 11 when they are used up.
pub fn evaluate(
    expression: &Expression,
    session: &SessionView<'_>,
    effort: &mut Effort,
) -> Result<(Option<String>, bool), Error> {
    Ok(match expression {
        Expression::Value(value) => (value.text().map(str::to_owned), matches!(value, Value::Number(_))),
        Expression::Variable(name) => variable(name, session),
        Expression::Function { name, arguments } => {
            if let Some((value, number)) = function(name, arguments, session) {
                return Ok((Some(value), number));
            }
            let mut values = arguments
                .iter()
                .map(|argument| Ok(evaluate(argument, session, effort)?.0.map(Cow::Owned)))
                .collect::<Result<Vec<Field>, Error>>()?;
            if &**name == "FROM_UNIXTIME"
                && let [Some(time)] = values.as_mut_slice()
            {
                *time = scalars::sum([&**time, &session.memory.zone_s().to_string()].into_iter());
            }
            let value = scalars::call(name, &values, effort)?;
            effort.check()?;
            session.budget.made(value.as_ref().map_or(0, |text| text.len()))?;
            (value.map(Cow::into_owned), scalars::gives_number(name))
        }
        Expression::ColumnOrText(text) => (Some(text.to_string()), false),
        Expression::Column(name) => return Err(no_column(name, std::iter::empty())),
        Expression::CountRows | Expression::CountColumn(_) => {
            return Err(Error::new(Code::Syntax, "COUNT cannot stand inside another function"));
        }
    })
}

/// What stands for a word that only the session knows.
pub fn value(word: &str, session: &SessionView<'_>) -> Value<'static> {
    let (text, number) = if word.starts_with('@') {
        variable(&word.to_ascii_lowercase(), session)
    } else {
        function(&word.to_ascii_uppercase(), &[], session).map_or((None, false), |(text, number)| (Some(text), number))
    };
    match text {
        None => Value::Null,
        Some(text) if number => Value::Number(text.into()),
        Some(text) => Value::Text(text.into()),
    }
}

/// A function of the session or of the time, and whether its value is a number.
pub(super) fn function(name: &str, arguments: &[Expression], session: &SessionView<'_>) -> Option<(String, bool)> {
    let utc = name.starts_with("UTC_");
    let zone_s = if utc { 0 } else { session.memory.zone_s() };
    let moment = Moment::new(session.unix.0.saturating_add(zone_s));
    let times = ["NOW", "CURRENT_TIMESTAMP", "LOCALTIME", "LOCALTIMESTAMP", "SYSDATE", "UTC_TIMESTAMP"];
    let value = match (name, arguments) {
        ("VERSION", []) => session.server.version.to_owned(),
        (name, []) if let Some(told) = session.memory.told(name) => return Some((told.to_string(), true)),
        ("DATABASE" | "SCHEMA", []) => session.database.unwrap_or_default().to_owned(),
        ("USER" | "SESSION_USER" | "SYSTEM_USER", []) => format!("{}@localhost", session.user),
        ("CURRENT_USER", []) => format!("{}@%", session.user),
        ("CONNECTION_ID", []) => return Some((session.connection.to_string(), true)),
        ("UNIX_TIMESTAMP", []) => return Some((session.unix.0.to_string(), true)),
        (name, []) if times.contains(&name) => moment.to_string(),
        // With so many digits behind the second, which is all that is known.
        (name, [Expression::Value(Value::Number(digits))]) if times.contains(&name) => {
            match digits.parse().ok().filter(|digits| *digits <= 6)? {
                0 => moment.to_string(),
                digits => format!("{moment}.{}", "0".repeat(digits)),
            }
        }
        ("CURDATE" | "CURRENT_DATE" | "UTC_DATE", []) => moment.date(),
        ("CURTIME" | "CURRENT_TIME" | "UTC_TIME", []) => moment.time(),
        // Clients ask for the distance of the session's time from UTC.
        ("TIMEDIFF", [Expression::Function { name: now, .. }, Expression::Function { name: utc, .. }])
            if &**now == "NOW" && &**utc == "UTC_TIMESTAMP" =>
        {
            let zone_s = session.memory.zone_s();
            let sign = if zone_s < 0 { "-" } else { "" };
            format!("{sign}{}", Moment::new(zone_s.abs()).time())
        }
        _ => return None,
    };
    Some((value, false))
}
