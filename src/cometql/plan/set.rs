//! SET to what the session remembers then. A variable is carried out, remembered because nothing here depends on it, or
//! refused with error 3: what is answered OK is done.

use std::borrow::Cow;

use super::Plan;
use crate::cometql::errors::{Code, Error};
use crate::cometql::introspection::value_of;
use crate::cometql::rows::Field;
use crate::cometql::session::{Memory, SessionView, Variable, offset_s};
use crate::cometql::sql::{Assigned, Assignment, Instruction, Modes, Target};

/// All of it or nothing. Errors: 3 for a variable that is not here or cannot have that value, 11 beyond the bounds.
pub(super) fn plan_set(assignments: &[Assignment], session: &SessionView<'_>) -> Result<Plan, Error> {
    if let Some(name) = assignments.iter().find_map(|assignment| assignment.target.of_server()) {
        return set_of_server(name, assignments, session);
    }
    let mut memory = session.memory.clone();
    session.budget.made(memory.bytes())?;
    for Assignment { target, value } in assignments {
        let view = SessionView { memory: &memory, ..*session };
        let value = evaluate(value, &view)?;
        assign(&mut memory, target, value)?;
    }
    Ok(Plan::Remember(Box::new(memory)))
}

/// What is assigned; `None` is DEFAULT.
fn evaluate(value: &Assigned, session: &SessionView<'_>) -> Result<Option<Variable>, Error> {
    Ok(match value {
        Assigned::Default => None,
        Assigned::Word(word) => Some(Variable::word(word)),
        Assigned::Query(query) => Some(value_of(query, session)?),
    })
}

/// Those of the whole server that can be set. All others stand in its configuration.
const OF_SERVER: [&str; 2] = ["log_level", "offline_mode"];

fn set_of_server(name: &str, assignments: &[Assignment], session: &SessionView<'_>) -> Result<Plan, Error> {
    let refused = |text| Err(Error::new(Code::Syntax, text));
    if !OF_SERVER.contains(&name) {
        let text = "Of the whole server log_level and offline_mode alone can be set: all other settings stand in \
                    comet.ini, and FLUSH SETTINGS reads it anew";
        return refused(text);
    }
    let [Assignment { value, .. }] = assignments else {
        return refused("What is set of the whole server is set by a SET of its own");
    };
    let value = match evaluate(value, session)? {
        None => None,
        Some(Variable { text: Some(text), .. }) => Some(text),
        Some(_) => return Err(cannot(name, None, "a value")),
    };
    Ok(Plan::Instruct(Instruction::Set { name: name.into(), value }))
}

fn assign(memory: &mut Memory, target: &Target, value: Option<Variable>) -> Result<(), Error> {
    match target {
        Target::CharacterSet => character_set("NAMES", value.as_ref()),
        Target::User(name) => memory.set_variable(name, value.unwrap_or_default()),
        Target::NextTransaction(name) if name.ends_with("read_only") => {
            let on = switch(name, value.as_ref(), false)?;
            memory.set_read_only(on, true);
            Ok(())
        }
        // Every statement is a transaction of its own, on whichever level.
        Target::NextTransaction(name) => isolation(name, value.as_ref()).map(|_| ()),
        Target::System(name) => set_system(memory, name, value),
        // By a SET of its own.
        Target::Server(_) => Ok(()),
    }
}

fn set_system(memory: &mut Memory, name: &str, value: Option<Variable>) -> Result<(), Error> {
    match name {
        "sql_mode" => memory.set_modes(modes(value.as_ref())?),
        "autocommit" => memory.set_autocommit(switch(name, value.as_ref(), true)?),
        "transaction_read_only" | "tx_read_only" => {
            memory.set_read_only(switch(name, value.as_ref(), false)?, false);
        }
        "transaction_isolation" | "tx_isolation" => {
            let level = isolation(name, value.as_ref())?;
            // One variable by two names.
            for name in ["@@transaction_isolation", "@@tx_isolation"] {
                memory.set_variable(name, Variable::word(level))?;
            }
        }
        "time_zone" => {
            let known = |zone: &&str| offset_s(zone).is_some();
            match text(value.as_ref()) {
                None if value.is_none() => memory.forget_variable("@@time_zone"),
                Some(zone) if known(&zone) => memory.set_variable("@@time_zone", Variable::word(zone))?,
                _ => return Err(cannot(name, value.as_ref(), "SYSTEM, UTC or a distance such as +02:00")),
            }
        }
        "sql_select_limit" => {
            let rows = text(value.as_ref()).map(str::parse::<u64>);
            match rows {
                None if value.is_none() => memory.forget_variable("@@sql_select_limit"),
                Some(Ok(u64::MAX)) => memory.forget_variable("@@sql_select_limit"),
                Some(Ok(rows)) => {
                    memory.set_variable("@@sql_select_limit", Variable::new(Some(rows.to_string().into()), true))?;
                }
                _ => return Err(cannot(name, value.as_ref(), "a number of rows")),
            }
        }
        // The clock is the server's.
        "timestamp" => {
            if text(value.as_ref()).is_some_and(|time| time != "0") {
                return Err(cannot(name, value.as_ref(), "DEFAULT"));
            }
        }
        // `IS NULL` would find the last insert.
        "sql_auto_is_null" => {
            if switch(name, value.as_ref(), false)? {
                return Err(cannot(name, value.as_ref(), "OFF"));
            }
        }
        // Drivers ask for more time than a session has. What counts is configured, and the variable goes on telling that.
        "wait_timeout" | "interactive_timeout" | "max_allowed_packet" => {}
        "character_set_client" => return character_set(name, value.as_ref()),
        // All text is UTF-8; what is not is refused with error 12 when it comes.
        _ if name.starts_with("character_set_") || name.starts_with("collation_") => {}
        _ if is_without_effect(name) => match value {
            None => memory.forget_variable(&format!("@@{name}")),
            Some(value) => memory.set_variable(&format!("@@{name}"), canonical(value))?,
        },
        _ => {
            let shown: String = name.chars().filter(|shown| !shown.is_control()).take(64).collect();
            return Err(Error::new(Code::Syntax, format!("There is no variable `{shown}` that a session can set")));
        }
    }
    Ok(())
}

/// All text is UTF-8, whatever is said; what is not is refused with error 12 when it comes. But a client of another set of
/// several bytes a character quotes otherwise than its text is read, so a value could end its own text.
fn character_set(name: &str, value: Option<&Variable>) -> Result<(), Error> {
    const OTHERWISE: [&str; 13] = [
        "big5", "cp932", "eucjpms", "euckr", "gb18030", "gb2312", "gbk", "sjis", "ucs2", "ujis", "utf16", "utf16le",
        "utf32",
    ];
    match text(value) {
        Some(set) if OTHERWISE.iter().any(|known| set.eq_ignore_ascii_case(known)) => {
            Err(cannot(name, value, "utf8mb4, or another set that quotes as UTF-8 does"))
        }
        _ => Ok(()),
    }
}

fn text(value: Option<&Variable>) -> Option<&str> {
    value?.text.as_deref()
}

/// Switches are read back as ON and OFF.
fn canonical(value: Variable) -> Variable {
    let word = value.text.as_deref().unwrap_or_default();
    if word.eq_ignore_ascii_case("TRUE") || word.eq_ignore_ascii_case("ON") {
        return Variable::word("ON");
    }
    if word.eq_ignore_ascii_case("FALSE") || word.eq_ignore_ascii_case("OFF") {
        return Variable::word("OFF");
    }
    value
}

fn switch(name: &str, value: Option<&Variable>, default: bool) -> Result<bool, Error> {
    let Some(variable) = value else { return Ok(default) };
    match variable.text.as_deref().map(str::to_ascii_uppercase).as_deref() {
        Some("1" | "ON" | "TRUE") => Ok(true),
        Some("0" | "OFF" | "FALSE") => Ok(false),
        _ => Err(cannot(name, value, "ON or OFF")),
    }
}

fn isolation(name: &str, value: Option<&Variable>) -> Result<&'static str, Error> {
    const LEVELS: [&str; 4] = ["READ-COMMITTED", "READ-UNCOMMITTED", "REPEATABLE-READ", "SERIALIZABLE"];
    let Some(level) = text(value) else { return Ok(LEVELS[0]) };
    let known = LEVELS.into_iter().find(|known| level.eq_ignore_ascii_case(known));
    known.ok_or_else(|| cannot(name, value, "the name of an isolation level"))
}

fn modes(value: Option<&Variable>) -> Result<Modes, Error> {
    match value {
        None => Ok(Modes::DEFAULT),
        Some(Variable { text: Some(text), .. }) if &**text == "0" => Ok(Modes::NONE),
        Some(Variable { text: Some(text), .. }) => Modes::parse(text).map_err(|mode| {
            let shown: String = mode.chars().filter(|shown| !shown.is_control()).take(64).collect();
            Error::new(Code::Syntax, format!("The mode `{shown}` is not here: text would be read in another way"))
        }),
        _ => Err(cannot("sql_mode", value, "a list of modes")),
    }
}

fn cannot(name: &str, value: Option<&Variable>, wanted: &str) -> Error {
    let value: Field = value.and_then(|value| value.text.as_deref()).map(|text| Cow::Owned(text.to_owned()));
    let shown: String =
        value.as_deref().unwrap_or("NULL").chars().filter(|shown| !shown.is_control()).take(64).collect();
    Error::new(Code::Syntax, format!("{name} cannot be set to `{shown}`: it takes {wanted}"))
}

/// Variables of MySQL and MariaDB that a session can set and that nothing here depends on: how much a join may buffer,
/// what a binary log records, which checks the columns of tables pass. They are told as they were set.
fn is_without_effect(name: &str) -> bool {
    let families = ["innodb_", "myisam_", "rocksdb_", "wsrep_", "ndb_", "profiling", "session_track_", "binlog_"];
    families.iter().any(|family| name.starts_with(family)) || WITHOUT_EFFECT.binary_search(&name).is_ok()
}

/// In the order of the alphabet.
const WITHOUT_EFFECT: [&str; 77] = [
    "auto_increment_increment",
    "auto_increment_offset",
    "big_tables",
    "bulk_insert_buffer_size",
    "check_constraint_checks",
    "cte_max_recursion_depth",
    "default_collation_for_utf8mb4",
    "default_storage_engine",
    "default_tmp_storage_engine",
    "default_week_format",
    "div_precision_increment",
    "end_markers_in_json",
    "eq_range_index_dive_limit",
    "explicit_defaults_for_timestamp",
    "foreign_key_checks",
    "generated_random_password_length",
    "group_concat_max_len",
    "group_replication_consistency",
    "gtid_next",
    "histogram_generation_max_mem_size",
    "idle_readonly_transaction_timeout",
    "idle_transaction_timeout",
    "idle_write_transaction_timeout",
    "information_schema_stats_expiry",
    "join_buffer_size",
    "join_cache_level",
    "keep_files_on_create",
    "lc_messages",
    "lc_time_names",
    "lock_wait_timeout",
    "long_query_time",
    "low_priority_updates",
    "max_delayed_threads",
    "max_error_count",
    "max_execution_time",
    "max_heap_table_size",
    "max_join_size",
    "max_length_for_sort_data",
    "max_points_in_geometry",
    "max_recursive_iterations",
    "max_seeks_for_key",
    "max_sort_length",
    "max_sp_recursion_depth",
    "max_statement_time",
    "min_examined_row_limit",
    "net_buffer_length",
    "net_read_timeout",
    "net_retry_count",
    "net_write_timeout",
    "note_verbosity",
    "old_alter_table",
    "optimizer_prune_level",
    "optimizer_search_depth",
    "optimizer_switch",
    "preload_buffer_size",
    "query_alloc_block_size",
    "query_cache_type",
    "query_prealloc_size",
    "range_alloc_block_size",
    "read_buffer_size",
    "read_rnd_buffer_size",
    "slow_query_log",
    "sort_buffer_size",
    "sql_big_selects",
    "sql_buffer_result",
    "sql_log_bin",
    "sql_log_off",
    "sql_notes",
    "sql_quote_show_create",
    "sql_safe_updates",
    "sql_warnings",
    "storage_engine",
    "tmp_table_size",
    "transaction_alloc_block_size",
    "transaction_prealloc_size",
    "unique_checks",
    "updatable_views_with_limit",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_can_be_searched() {
        assert!(WITHOUT_EFFECT.is_sorted());
        assert!(is_without_effect("net_write_timeout") && is_without_effect("innodb_lock_wait_timeout"));
        assert!(!is_without_effect("no_such_variable"));
    }
}
