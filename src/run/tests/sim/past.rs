//! Settings and histories as a naive model has them: what has to be kept, and what may be told of it.

use std::collections::BTreeMap;

use super::browser::LogAsk;
use super::database::default_length;
use super::session::Owed;
use super::world::{PIPES, World};

/// Pipes that are given settings.
const KEEPING: usize = 4;

/// What is known of a pipe's setting, by what backends were told.
#[derive(Clone, Debug)]
struct Setting {
    /// Publications kept; `None` while nobody can know.
    length: Option<u32>,
    before: Option<u32>,
    /// Statements about it that were not answered.
    under_way: usize,
    /// Not one after the other, or cut off.
    mixed: bool,
    changes: u64,
}

#[derive(Default)]
pub(super) struct Past {
    settings: BTreeMap<String, Setting>,
    /// By message: its pipe, and what was known of the setting when it was sent.
    sent: BTreeMap<String, (String, Option<u32>, u64)>,
}

impl Past {
    fn setting(&mut self, pipe: &str) -> &mut Setting {
        let none = Setting { length: Some(default_length(pipe)), before: None, under_way: 0, mixed: false, changes: 0 };
        self.settings.entry(pipe.to_owned()).or_insert(none)
    }

    /// Whether it is off, or may be.
    pub(super) fn may_keep_nothing(&self, pipe: &str) -> bool {
        self.settings
            .get(pipe)
            .map_or(default_length(pipe) == 0, |setting| setting.length.is_none_or(|length| length == 0))
    }
}

impl World {
    /// A statement that changes how much a pipe keeps.
    pub(super) fn set_length(&mut self) -> (String, Owed) {
        let pipe = PIPES[self.random.below(KEEPING)];
        let length = [0, 0, 1, 3, 10, 200][self.random.below(6)];
        self.set_length_of(pipe, length)
    }

    pub(super) fn set_length_of(&mut self, pipe: &str, length: u32) -> (String, Owed) {
        let setting = self.past.setting(pipe);
        setting.mixed |= setting.under_way > 0;
        setting.under_way += 1;
        setting.changes += 1;
        setting.before = setting.length.take();
        self.record.setting_changed(pipe, self.now, self.tick);
        let sql = if length == 0 && self.random.chance(50) {
            format!("DELETE FROM pipes_settings WHERE name = '{pipe}'")
        } else {
            format!("INSERT INTO pipes_settings (name, length) VALUES ('{pipe}', {length})")
        };
        (sql, Owed::Length(pipe.to_owned(), length))
    }

    /// What a statement about a setting came to; `None`: nobody was told.
    pub(super) fn length_settled(&mut self, pipe: &str, length: u32, is_done: Option<bool>) {
        let setting = self.past.setting(pipe);
        setting.under_way -= 1;
        setting.changes += 1;
        setting.mixed |= is_done.is_none();
        if setting.under_way == 0 && !setting.mixed {
            setting.length = if is_done == Some(true) { Some(length) } else { setting.before };
        }
        self.record.setting_changed(pipe, self.now, self.tick);
    }

    /// At rest storage knows.
    pub(super) fn settings_at_rest(&mut self) {
        let storage_failed = self.storage_failed();
        for (pipe, setting) in &mut self.past.settings {
            let length = self.database.settings.get(pipe).copied().unwrap_or_else(|| default_length(pipe));
            assert_eq!(setting.under_way, 0, "{pipe}: a setting that nobody was told of");
            assert!(setting.length.is_none_or(|known| known == length), "{pipe} keeps {length}, not {setting:?}");
            (setting.length, setting.mixed) = (Some(length), false);
            let kept = self.database.histories.get(pipe).map_or(0, BTreeMap::len);
            let most = length + length / 4 + 4;
            assert!(storage_failed || kept <= most as usize, "{pipe} keeps {kept} instead of {length}");
        }
    }

    pub(super) fn sent(&mut self, pipe: &str, message: &str) {
        let setting = self.past.setting(pipe);
        let what = (pipe.to_owned(), setting.length, setting.changes);
        self.past.sent.insert(message.to_owned(), what);
        self.record.written(pipe, message, self.tick);
    }

    /// The sender was told that the message is published, or that it is not in the history.
    pub(super) fn published(&mut self, message: &str, is_stored: bool) {
        if is_stored {
            self.record.acknowledged(message);
        }
        let Some((pipe, length, changes)) = self.past.sent.remove(message) else { return };
        let setting = self.past.setting(&pipe);
        let Some(length) = length.filter(|_| setting.changes == changes) else { return };
        let is_kept = self.database.logged.contains(message);
        match (is_stored, length) {
            (true, 0) => assert!(!is_kept, "{pipe} keeps nothing, and {message}"),
            (true, _) => {
                assert!(is_kept, "{pipe} keeps {length}, and not {message}");
                self.totals.kept += 1;
            }
            (false, length) => assert!(length > 0, "{message} is not stored and should not be"),
        }
    }

    pub(super) fn ask_for_log(&mut self, at: usize) {
        let pipe = PIPES[self.random.below(KEEPING)];
        let ask = LogAsk {
            pipe: pipe.to_owned(),
            logged: self.database.log.get(pipe).map_or(0, Vec::len),
            kept: self.database.history(pipe).len(),
            cuts: self.database.cuts.get(pipe).copied().unwrap_or(0),
        };
        self.browsers[at].log(ask, PIPES[0]);
    }

    /// The answer is a part of all that was kept, and reaches to what had been kept when it was asked for at least.
    pub(super) fn check_log(&mut self, ask: &LogAsk, messages: &[String]) {
        let log = self.database.log.get(&ask.pipe).map(Vec::as_slice).unwrap_or_default();
        let uncut = self.database.cuts.get(&ask.pipe).copied().unwrap_or(0) == ask.cuts;
        let first = messages.first().map(|first| log.iter().position(|message| *message.message == **first));
        let first = first.map_or(log.len(), |first| first.expect("a message that was kept once"));
        let texts = log[first..].iter().map(|message| &*message.message);
        assert!(messages.iter().map(String::as_str).eq(texts.take(messages.len())), "{}: not a part of it", ask.pipe);
        if uncut && ask.kept > 0 {
            assert!(first + messages.len() >= ask.logged, "{}: the newest are missing", ask.pipe);
            assert!(messages.len() >= ask.kept.min(99), "{}: {} of {ask:?}", ask.pipe, messages.len());
        }
        self.totals.logs += usize::from(!messages.is_empty());
    }

    pub(super) fn ask_for_past(&mut self) {
        let settings = &self.database.settings;
        let rows = settings.iter().map(|(pipe, length)| vec![pipe.clone(), length.to_string()]).collect();
        let names = PIPES[..KEEPING].iter().map(|pipe| format!("'{pipe}'")).collect::<Vec<_>>().join(", ");
        let sql = format!("SELECT name, length FROM pipes_settings WHERE name IN ({names})");
        self.sessions[0].query(&sql, Owed::Bag(rows));
        let rows = PIPES[..KEEPING].iter().flat_map(|pipe| {
            let messages = self.database.history(pipe);
            messages.into_iter().map(|message| vec![(*pipe).to_owned(), message.message.to_string()])
        });
        let rows = rows.collect();
        let sql = format!("SELECT name, message FROM pipes_messages WHERE name IN ({names})");
        self.sessions[0].query(&sql, Owed::Rows(Some(rows)));
    }
}
