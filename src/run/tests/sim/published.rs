//! What was published, in its order, and why a gap may be told: the model that pages which come back are held against.

use std::collections::{BTreeMap, HashMap};

use crate::model::{Now, Position, Publication, PublicationKind};

use crate::storage::{Request, Write};

use super::page::{Heard, Page, Seen, Transport, View};
use super::world::World;

/// Positions that owners may have run ahead of the clock.
const AHEAD: u64 = 20_000;

#[derive(Default)]
pub(super) struct Published {
    /// By pipe and position.
    order: BTreeMap<String, BTreeMap<u64, String>>,
    position_of: HashMap<String, u64>,
    /// By message: its pipe and when it was written.
    written: HashMap<String, (String, u64)>,
    /// By pipe: when it was written, and the message.
    acknowledged: BTreeMap<String, Vec<(u64, String)>>,
    /// Messages of the histories' logs that are known already.
    logged: BTreeMap<String, usize>,
    /// When storage did not do something last.
    pub(super) failed_at: Option<u64>,
    /// Up to here what was published may not be kept, in whichever pipe.
    unkept: u64,
    /// The same of pipes whose settings were changed, and when that was.
    changed: BTreeMap<String, (u64, u64)>,
}

fn newest(now: Now) -> u64 {
    Position::default().next(now.unix_micros()).0 + AHEAD
}

impl Published {
    pub(super) fn insert(&mut self, pipe: &str, text: &str, position: u64) {
        let before = *self.position_of.entry(text.to_owned()).or_insert(position);
        assert_eq!(before, position, "{text} has two positions");
        match self.order.get_mut(pipe).and_then(|order| order.get(&position)) {
            Some(other) => assert_eq!(other, text, "two messages of {pipe} in one place"),
            None => drop(self.order.entry(pipe.to_owned()).or_default().insert(position, text.to_owned())),
        }
    }

    pub(super) fn publication(&mut self, publication: &Publication) {
        if publication.kind == PublicationKind::Message {
            self.insert(publication.pipe.name.as_str(), &publication.message, publication.position.0);
        }
    }

    pub(super) fn written(&mut self, pipe: &str, text: &str, tick: u64) {
        self.written.insert(text.to_owned(), (pipe.to_owned(), tick));
    }

    pub(super) fn acknowledged(&mut self, text: &str) {
        if let Some((pipe, tick)) = self.written.remove(text) {
            self.acknowledged.entry(pipe).or_default().push((tick, text.to_owned()));
        }
    }

    /// Pipe and message of all that were written from this tick on.
    pub(super) fn acknowledged_since(&self, since: u64) -> impl Iterator<Item = (&str, &str)> {
        let all = self.acknowledged.iter().flat_map(|(pipe, all)| all.iter().map(move |one| (pipe.as_str(), one)));
        all.filter(move |(_, (tick, _))| *tick >= since).map(|(pipe, (_, text))| (pipe, text.as_str()))
    }

    /// Storage did not do what it was asked for.
    pub(super) fn failed(&mut self, request: &Request, now: Now, tick: u64) {
        if let Request::Write(writes) = request {
            for write in writes {
                if let Write::PutHistory { pipe, message, .. } = write {
                    let position = message.id.position().expect("an id of ours");
                    self.insert(pipe.name.as_str(), &message.message, position.0);
                }
            }
        }
        self.storage_failed(now, tick);
    }

    pub(super) fn storage_failed(&mut self, now: Now, tick: u64) {
        (self.failed_at, self.unkept) = (Some(tick), newest(now));
    }

    pub(super) fn setting_changed(&mut self, pipe: &str, now: Now, tick: u64) {
        self.changed.insert(pipe.to_owned(), (newest(now), tick));
    }

    /// Every message between the first and the last one that a page has seen, once and in order, and none missing.
    fn check_order(&self, pipe: &str, view: &View, page: &Page) {
        let none = BTreeMap::new();
        let order = self.order.get(pipe).unwrap_or(&none);
        // Behind which position the next one is; nothing is known before the first beginning.
        let mut last: Option<u64> = None;
        for seen in &view.seen {
            let text = match seen {
                Seen::From(position) => {
                    last = *position;
                    continue;
                }
                Seen::Message(text) => text,
            };
            // Nobody else saw it, so its place is not known.
            let Some(position) = self.position_of.get(text).copied() else { continue };
            if let Some(last) = last {
                assert!(position > last, "{pipe}: {text} comes behind what is later");
                check_none_between(order, pipe, page, last, position);
            }
            last = Some(position);
        }
        if let Some(last) = last.filter(|_| page.is_subscribed(pipe)) {
            check_none_between(order, pipe, page, last, u64::MAX);
        }
    }
}

fn check_none_between(order: &BTreeMap<u64, String>, pipe: &str, page: &Page, last: u64, next: u64) {
    let missing = order.range(last + 1..next).find(|(_, text)| !page.has_own(text));
    assert!(missing.is_none(), "{:?} page: {missing:?} is missing in {pipe} between {last} and {next}", page.transport);
}

impl World {
    /// A gap has a cause: what was asked for is not there any more, or nobody can know that it is.
    fn check_gap(&mut self, pipe: &str, after: u64, asked_at: u64) {
        let record = &self.record;
        let (changed_behind, changed_at) = record.changed.get(pipe).copied().unwrap_or_default();
        let failed = record.failed_at.is_some_and(|failed_at| failed_at >= asked_at) || after <= record.unkept;
        let changed = after <= changed_behind || changed_at >= asked_at || self.past.may_keep_nothing(pipe);
        if self.database.gaps.contains(&(pipe.to_owned(), after)) {
            self.totals.gaps_in_history += 1;
        } else if failed {
            self.totals.gaps_after_failures += 1;
        } else {
            assert!(changed, "a gap is told in {pipe} behind {after}, and all of it is there");
            self.totals.gaps_after_changes += 1;
        }
    }

    pub(super) fn page_heard(&mut self, at: usize, heard: Heard) {
        let totals = &mut self.totals;
        match heard {
            Heard::Position { text, pipe, position } => self.record.insert(pipe, &text, position),
            Heard::Recovered => totals.recovered += 1,
            Heard::Newest => totals.newest += 1,
            Heard::Missed => match self.pages[at].transport {
                Transport::WebSocket => totals.missed += 1,
                Transport::Events => totals.missed_events += 1,
                Transport::Polling => totals.missed_polled += 1,
            },
            Heard::Gap { pipe, after, asked_at } => self.check_gap(pipe, after, asked_at),
            Heard::Report { message, connections } => self.reported(&message, connections),
            Heard::NotStored { message } => self.not_stored(&message),
            Heard::Letter { text, waited } => self.letter_read(at, &text, waited),
            Heard::Over { why, heard_at } => self.poll_is_over(at, &why, heard_at),
            Heard::Repeated => totals.repeated_polls += 1,
            Heard::Replaced => totals.empty_polls += 1,
            Heard::Acknowledged => totals.polls += 1,
            Heard::Moving => self.page_is_asked_to_move(at),
            Heard::NotNow => totals.sent_elsewhere += 1,
        }
    }

    /// At rest every page has all that it should have.
    pub(super) fn check_pages(&mut self) {
        for message in &self.repeated {
            assert!(!self.deliveries.contains_key(message), "{message} was repeated and is published");
        }
        let published = &mut self.record;
        for (pipe, log) in &self.database.log {
            let known = published.logged.insert(pipe.clone(), log.len()).unwrap_or(0);
            for message in &log[known..] {
                let position = message.id.position().expect("an id of ours");
                published.insert(pipe, &message.message, position.0);
            }
        }
        for page in &self.pages {
            for (pipe, view) in &page.views {
                self.record.check_order(pipe, view, page);
                let Some(since) = view.whole_since.filter(|_| page.is_subscribed(pipe)) else { continue };
                let acknowledged = self.record.acknowledged.get(*pipe).into_iter().flatten();
                for (_, text) in acknowledged.filter(|(written, _)| *written > since) {
                    let has_it = view.texts.contains(text) || page.has_own(text);
                    assert!(has_it, "{:?} page: {text} was acknowledged and is missing in {pipe}", page.transport);
                }
            }
        }
        let tick = self.tick;
        self.pages.iter_mut().for_each(|page| page.rests(tick));
    }
}
