//! The rows of `SHOW STATUS` and `SHOW PROCESSLIST`: what the shards have counted, and what the system says.

use std::fs;

use crate::cometql::introspection::Figures;
use crate::cometql::rows::Row;
use crate::cometql::sql::StatusFlag;
use crate::cometql::tables::TABLES;
use crate::metrics::Counters;
use crate::model::DevId;
use crate::never;

use super::board::Board;
use super::clock::uptime;
use super::log;

pub(super) fn rows(board: &Board, figures: Figures, dev: DevId) -> Vec<Row> {
    match figures {
        Figures::Processlist => processlist(board),
        Figures::Log => log::warnings().1.into_iter().map(|line| vec![line.into()]).collect(),
        // Known where the sessions are.
        Figures::Processes => Vec::new(),
        Figures::Status(StatusFlag::Session) => session(board, dev),
        Figures::Status(StatusFlag::Global) => global(board),
        Figures::Status(StatusFlag::Ram) => flagged("RAM", memory_of_the_machine()),
        Figures::Status(StatusFlag::Avg) => flagged("AVG", load()),
        Figures::Status(StatusFlag::Uptime) => flagged("UPTIME", uptime_of_the_machine()),
        Figures::Status(StatusFlag::Filesystem) => flagged("filesystem", file_system()),
    }
}

type Named = Vec<(String, String)>;

fn flagged(flag: &str, values: Named) -> Vec<Row> {
    let flag = ("flag".to_owned(), flag.to_lowercase());
    std::iter::once(flag).chain(values).map(|(name, value)| vec![name.into(), value.into()]).collect()
}

/// What is wrong with storage, as it knew when it was used last; and whether browsers should rather go elsewhere. Where only
/// writes fail they need not: they are let in, and get what is published.
pub(super) fn storage_trouble(board: &Board) -> Option<(bool, &'static str)> {
    let storage = board.storage();
    match () {
        () if storage.storage_down > 0 => Some((true, "the database cannot be reached\n")),
        () if storage.storage_read_fails > 0 => Some((true, "the database cannot be read\n")),
        () if storage.storage_full > 0 => Some((false, "ok, but nothing is stored: the disk is full\n")),
        () if storage.storage_write_fails > 0 => Some((false, "ok, but nothing is stored: writes fail\n")),
        () => None,
    }
}

/// What storage does, in one word. Without the first two of them nobody who comes can be let in.
fn storage_state(storage: &Counters) -> &'static str {
    match () {
        () if storage.storage_down > 0 => "waiting",
        () if storage.storage_read_fails > 0 => "failing",
        () if storage.storage_full > 0 => "full",
        () if storage.storage_write_fails > 0 => "failing",
        () => "ok",
    }
}

/// The names that monitoring scripts of the predecessor read come first, in its order; then our own.
fn global(board: &Board) -> Vec<Row> {
    let backend = &board.cometql();
    let mut browsers = Counters::default();
    for shard in &board.browsers() {
        browsers.merge(shard);
    }
    let seconds = uptime();
    let per_second = |count: u64| format!("{:.2}", count as f64 / seconds.max(1) as f64);
    let mut values: Named = Vec::new();
    let mut add = |name: &str, value: String| values.push((name.to_owned(), value));
    add("uptime", seconds.to_string());
    add("uptime_in_hours", format!("{:.2}", seconds as f64 / 3600.0));
    add("uptime_in_days", format!("{:.2}", seconds as f64 / 86_400.0));
    add("frontend_name", "ws".into());
    add("backend_name", "cometql".into());
    add("frontend_stat_interval", "1".into());
    add("backend_stat_interval", "1".into());
    let ends = [("frontend", &browsers), ("backend", backend)];
    let online = |counters: &Counters| counters.connections + counters.sessions;
    for (end, counters) in ends {
        add(&format!("{end}_online"), online(counters).to_string());
    }
    for (end, counters) in ends {
        add(&format!("{end}_messages"), counters.reads.to_string());
    }
    for (end, counters) in ends {
        add(&format!("{end}_add_client"), counters.accepted.to_string());
    }
    for (end, counters) in ends {
        add(&format!("{end}_delete_client"), counters.ended.to_string());
    }
    for (end, counters) in ends {
        add(&format!("{end}_messages_ps"), per_second(counters.reads));
    }
    for (end, counters) in ends {
        add(&format!("{end}_add_client_ps"), per_second(counters.accepted));
        add(&format!("{end}_delete_client_ps"), per_second(counters.ended));
    }
    add("network_events", format!("{:.6}", (browsers.reads + backend.reads) as f64 / seconds.max(1) as f64));
    let mut all = board.all();
    all.log_lines_lost = log::lines_lost();
    all.never = never::total();
    // As MySQL has them, of backends only: graphical clients compute with them.
    // `Uptime` is among the names of the predecessor, whose letters are small: names are told apart whatever their case.
    for (name, value) in [
        ("Questions", backend.statements),
        ("Queries", backend.statements),
        ("Slow_queries", 0),
        ("Connections", backend.accepted),
        ("Aborted_connects", backend.session_logins_refused),
        ("Aborted_clients", 0),
        ("Threads_connected", backend.sessions),
        ("Threads_running", 1),
        // The tables are always open.
        ("Opened_tables", 0),
        ("Open_tables", TABLES.len() as u64),
        ("Flush_commands", 0),
        ("Bytes_received", backend.received_bytes),
        ("Bytes_sent", backend.sent_bytes),
    ] {
        add(name, value.to_string());
    }
    add("encke_storage_state", storage_state(&all).into());
    for (name, value) in all.rows() {
        add(&format!("encke_{name}"), value.to_string());
    }
    flagged("global", values)
}

fn session(board: &Board, dev: DevId) -> Vec<Row> {
    let mut all = board.cometql();
    for shard in &board.browsers() {
        all.merge(shard);
    }
    flagged(
        "session",
        vec![
            ("id".into(), dev.to_string()),
            ("user_online".into(), all.connections.to_string()),
            ("server_online".into(), all.sessions.to_string()),
            ("messages".into(), (all.commands + all.statements).to_string()),
        ],
    )
}

/// One row per shard, services in the predecessor's order. A shard that answers is always waiting (`0`).
fn processlist(board: &Board) -> Vec<Row> {
    let row = |service: &str, id: usize, counters: &Counters| -> Row {
        vec![service.into(), id.to_string().into(), "0".into(), counters.reads.to_string().into()]
    };
    let browsers = board.browsers();
    let browsers = browsers.iter().enumerate().map(|(id, counters)| row("ws", id, counters));
    std::iter::once(row("cometql", 0, &board.cometql())).chain(browsers).collect()
}

// The system's own files; what cannot be read is left out.

fn proc(name: &str) -> String {
    fs::read_to_string(format!("/proc/{name}")).unwrap_or_default()
}

/// The first 34 entries of the kernel's memory report, in kB.
fn memory_of_the_machine() -> Named {
    proc("meminfo")
        .lines()
        .take(34)
        .filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_owned(), value.split_whitespace().next()?.to_owned()))
        })
        .collect()
}

fn load() -> Named {
    let text = proc("loadavg");
    let fields: Vec<&str> = text.split_whitespace().collect();
    let (running, total) = fields.get(3).and_then(|processes| processes.split_once('/')).unwrap_or(("", ""));
    let names = ["load_avg_1", "load_avg_2", "load_avg_3"];
    let mut values: Named =
        names.iter().zip(&fields).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    values.push(("running_processes".into(), running.to_owned()));
    values.push(("total_processes".into(), total.to_owned()));
    values
}

fn uptime_of_the_machine() -> Named {
    let text = proc("uptime");
    let number = |text: Option<&str>| format!("{:.6}", text.and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0));
    let mut fields = text.split_whitespace();
    vec![("os_uptime".into(), number(fields.next())), ("os_idle".into(), number(fields.next()))]
}

/// The root file system, sizes in the units that people read.
fn file_system() -> Named {
    let Ok(facts) = rustix::fs::statvfs("/") else { return Vec::new() };
    let bytes = |blocks: u64| blocks.saturating_mul(facts.f_frsize);
    let (size, available) = (bytes(facts.f_blocks), bytes(facts.f_bavail));
    let used = bytes(facts.f_blocks.saturating_sub(facts.f_bfree));
    let use_percent = (used * 100).checked_div(used + available).unwrap_or(0);
    vec![
        ("filesystem".into(), "/".into()),
        ("size".into(), human(size)),
        ("used".into(), human(used)),
        ("available".into(), human(available)),
        ("use".into(), format!("{use_percent}%")),
    ]
}

fn human(bytes: u64) -> String {
    let units = ["K", "M", "G", "T", "P"];
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1}{}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::METRICS;

    fn names(figures: Figures) -> Vec<String> {
        let board = Board::new(2);
        rows(&board, figures, DevId(5)).into_iter().map(|row| row[0].to_string()).collect()
    }

    #[test]
    fn the_old_rows_come_first_and_in_order() {
        let global = names(Figures::Status(StatusFlag::Global));
        let expected = [
            "flag",
            "uptime",
            "uptime_in_hours",
            "uptime_in_days",
            "frontend_name",
            "backend_name",
            "frontend_stat_interval",
            "backend_stat_interval",
            "frontend_online",
            "backend_online",
        ];
        assert_eq!(global[..10], expected);
        assert!(global.iter().any(|name| name == "network_events"));
        assert!(["Questions", "Threads_connected"].iter().all(|name| global.iter().any(|known| known == name)));
        // Collectors that take no regard of case refuse a list in which a name is there twice.
        let mut unique: Vec<String> = global.iter().map(|name| name.to_ascii_lowercase()).collect();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), global.len());
        let session = names(Figures::Status(StatusFlag::Session));
        assert_eq!(session, ["flag", "id", "user_online", "server_online", "messages"]);
        assert_eq!(names(Figures::Processlist), ["cometql", "ws", "ws"]);
    }

    #[test]
    fn every_number_that_is_counted_is_shown() {
        let global = names(Figures::Status(StatusFlag::Global));
        for metric in METRICS {
            assert!(global.contains(&format!("encke_{}", metric.name)), "{}", metric.name);
        }
    }

    #[test]
    fn the_machine_can_be_asked() {
        assert!(names(Figures::Status(StatusFlag::Ram)).contains(&"MemTotal".to_owned()));
        assert!(names(Figures::Status(StatusFlag::Avg)).contains(&"load_avg_1".to_owned()));
        assert!(names(Figures::Status(StatusFlag::Filesystem)).contains(&"use".to_owned()));
        assert_eq!(names(Figures::Status(StatusFlag::Uptime)), ["flag", "os_uptime", "os_idle"]);
    }

    #[test]
    fn sizes_are_told_in_units_that_people_read() {
        assert_eq!([human(512), human(1024 * 1024), human(3 << 40)], ["0.5K", "1.0M", "3.0T"]);
    }
}
