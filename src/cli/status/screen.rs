//! What `encke status` prints.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What the server said of itself.
#[derive(Default)]
pub(super) struct Status {
    pub door: String,
    pub figures: BTreeMap<String, String>,
    pub variables: BTreeMap<String, String>,
    /// The last warnings and errors of the log, the oldest first.
    pub warnings: Vec<String>,
    /// Bytes of memory that its process has now, if that can be seen from here.
    pub resident: Option<u64>,
}

impl Status {
    /// One of the server's own figures.
    fn own(&self, name: &str) -> u64 {
        self.number(&format!("encke_{name}"))
    }

    fn number(&self, name: &str) -> u64 {
        self.figures.get(name).and_then(|value| value.parse().ok()).unwrap_or_default()
    }

    fn storage(&self) -> &str {
        self.figures.get("encke_storage_state").map_or("", String::as_str)
    }

    pub(super) fn is_well(&self) -> bool {
        self.storage() == "ok"
    }

    fn state(&self) -> &'static str {
        match (self.is_well(), self.own("draining")) {
            (false, _) => "storage needs attention",
            (true, 0) => "ok",
            (true, 1) => "draining: /ready says no, and nobody leaves yet",
            (true, 2) => "draining: connections leave, and nobody new is let in",
            (true, _) => "drained: encke drain --cancel lets connections in again",
        }
    }

    fn version(&self) -> &str {
        let version = self.variables.get("version").map_or("", String::as_str);
        version.rsplit_once("-Encke-").map_or(version, |(_, own)| own)
    }

    /// Those that have a name of their own, or are not zero.
    fn counts(&self, counts: &[(&str, &str)]) -> String {
        let shown = counts.iter().enumerate().filter_map(|(place, (name, words))| {
            let count = self.own(name);
            (place == 0 || count > 0).then(|| format!("{} {words}", grouped(count)))
        });
        shown.collect::<Vec<_>>().join(", ")
    }

    pub(super) fn screen(&self) -> String {
        let uptime = self.number("uptime");
        let mut text = format!("encke {}, up {}, asked at {}\n", self.version(), duration(uptime), self.door);
        let mut row = |name: &str, value: &str| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {name:<13} {value}");
        };
        row("state", self.state());
        row(
            "browsers",
            &self.counts(&[
                ("connections", "connected"),
                ("polled", "of them by polls"),
                ("handshakes", "handshakes since the start"),
                ("connections_refused", "refused"),
                ("logins_refused", "with wrong keys"),
            ]),
        );
        row(
            "backends",
            &self.counts(&[
                ("sessions", "sessions"),
                ("sessions_tls", "of them with TLS"),
                ("statements", "statements"),
                ("statement_errors", "errors"),
                ("session_logins_refused", "logins refused"),
            ]),
        );
        let per_second = self.own("publications") as f64 / uptime.max(1) as f64;
        let deliveries = self.counts(&[("deliveries", "deliveries"), ("publications_refused", "refused")]);
        let publications = grouped(self.own("publications"));
        row("publications", &format!("{publications} ({per_second:.1}/s on average), {deliveries}"));
        let storage = self.counts(&[
            ("storage_jobs", "requests"),
            ("storage_queue", "waiting"),
            ("storage_refusals", "refused"),
            ("storage_failures", "failed"),
        ]);
        row("storage", &format!("{}; {storage}", self.storage()));
        let accounted: u64 = self.memory().map(|(_, bytes)| bytes).sum();
        let resident = self.resident.map(|bytes| format!("{} resident, ", size(bytes))).unwrap_or_default();
        row("memory", &format!("{resident}{} in the books", size(accounted)));
        let waiting = size(self.own("waiting_bytes"));
        let slow = self.counts(&[
            ("closed_slow_consumer", "closed because they read too slowly"),
            ("closed_no_room", "because too much waited for all"),
        ]);
        row("slow readers", &format!("{slow}; {waiting} wait to be sent or read"));
        row("log", &self.counts(&[("log_lines_lost", "lines lost"), ("never", "faults of this server")]));
        if self.warnings.is_empty() {
            row("warnings", "none");
            return text;
        }
        row("warnings", if self.warnings.len() > WARNINGS_SHOWN { "the last of them" } else { "" }.trim_end());
        for line in self.warnings.iter().skip(self.warnings.len().saturating_sub(WARNINGS_SHOWN)) {
            let shown: String = line.chars().take(LINE_CHARS).collect();
            let _ = writeln!(text, "    {shown}");
        }
        text
    }

    /// What the server's books say of its memory, by kind.
    fn memory(&self) -> impl Iterator<Item = (&str, u64)> {
        self.figures.iter().filter_map(|(name, value)| {
            let kind = name.strip_prefix("encke_memory_")?;
            Some((kind, value.parse().ok()?))
        })
    }

    /// Every figure under its name, numbers as numbers.
    pub(super) fn json(&self) -> Value {
        let value = |text: &String| match text.parse::<u64>() {
            Ok(number) => json!(number),
            Err(_) => text.parse::<f64>().map_or_else(|_| json!(text), |number| json!(number)),
        };
        let figures: Map<String, Value> = self.figures.iter().map(|(name, text)| (name.clone(), value(text))).collect();
        json!({
            "version": self.version(),
            "ok": self.is_well(),
            "uptime_s": self.number("uptime"),
            "storage": self.storage(),
            "resident_bytes": self.resident,
            "figures": figures,
            "warnings": self.warnings,
        })
    }
}

/// Warnings that one screen shows.
const WARNINGS_SHOWN: usize = 5;
/// Characters of each.
const LINE_CHARS: usize = 130;

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match () {
        () if days > 0 => format!("{days} d {hours} h"),
        () if hours > 0 => format!("{hours} h {minutes} min"),
        () if minutes > 0 => format!("{minutes} min {} s", seconds % 60),
        () => format!("{seconds} s"),
    }
}

fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        let figures = [
            ("uptime", "93784"),
            ("encke_storage_state", "ok"),
            ("encke_connections", "12345"),
            ("encke_polled", "45"),
            ("encke_handshakes", "99000"),
            ("encke_sessions", "3"),
            ("encke_statements", "4711"),
            ("encke_publications", "1000000"),
            ("encke_deliveries", "20000000"),
            ("encke_storage_jobs", "17"),
            ("encke_memory_hub", "1048576"),
            ("encke_memory_rings", "524288"),
            ("encke_waiting_bytes", "512"),
            ("encke_closed_slow_consumer", "2"),
            ("encke_log_lines_lost", "0"),
        ];
        Status {
            door: "data/encke.sock".to_owned(),
            figures: figures.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            variables: [("version".to_owned(), "8.0.36-Encke-1.2.3".to_owned())].into(),
            warnings: vec!["one".to_owned()],
            resident: Some(50 << 20),
        }
    }

    #[test]
    fn one_screen() {
        let expected = "\
encke 1.2.3, up 1 d 2 h, asked at data/encke.sock
  state         ok
  browsers      12,345 connected, 45 of them by polls, 99,000 handshakes since the start
  backends      3 sessions, 4,711 statements
  publications  1,000,000 (10.7/s on average), 20,000,000 deliveries
  storage       ok; 17 requests
  memory        50.0 MiB resident, 1.5 MiB in the books
  slow readers  2 closed because they read too slowly; 512 B wait to be sent or read
  log           0 lines lost
  warnings
    one
";
        let shown = status().screen();
        let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
        assert_eq!(lines.join("\n") + "\n", expected);
        let mut ill = status();
        ill.figures.insert("encke_storage_state".to_owned(), "waiting".to_owned());
        let mut draining = status();
        draining.figures.insert("encke_draining".to_owned(), "2".to_owned());
        assert!(draining.is_well() && draining.screen().contains("  state         draining: connections leave"));
        assert!(!ill.is_well() && ill.screen().contains("  storage       waiting; 17 requests\n"), "{}", ill.screen());
    }

    #[test]
    fn as_json() {
        let json = status().json();
        assert_eq!((&json["version"], &json["ok"], &json["uptime_s"]), (&json!("1.2.3"), &json!(true), &json!(93784)));
        assert_eq!((&json["figures"]["encke_polled"], &json["warnings"][0]), (&json!(45), &json!("one")));
    }

    #[test]
    fn words_for_numbers() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([59, 61, 3_661, 90_061].map(duration), ["59 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"]);
        assert_eq!([0, 1023, 1024, 3 << 30].map(size), ["0 B", "1023 B", "1.0 KiB", "3.0 GiB"]);
    }
}
