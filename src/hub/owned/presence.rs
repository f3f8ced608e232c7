//! The pace of what the server tells by itself of who comes and goes, pipe by pipe, at the pipe's owner.
//!
//! Joining and leaving cost a client nothing, and each of it is told to all members of a `track_` pipe. So a change is told
//! at once only where the pipe was quiet; what follows waits until the pipe's *window* is over, and who came and went
//! meanwhile is not told of at all.
//!
//! ```text
//!  quiet --a change, told at once--> open --a change--> waits there
//!    ^                                 |
//!    +---- nothing waited -------- the window ends --what waited is told, the next window--> open
//! ```
//!
//! What waits of one connection is its last change, because the one before it and the next one cancel each other. Somebody
//! who came to the pipe in between may have been given a list that shows the state between the two, so then both are told,
//! in their order. Either way the last that everybody hears is true, and whoever only counts counts right.

#![expect(clippy::vec_box, reason = "publications come boxed and go on boxed")]

use std::collections::BTreeMap;
use std::sync::Arc;

use ahash::RandomState;

use crate::aged::Aged;
use crate::model::{ConnId, Now, PipeClass, PipeKey, Publication, PublicationKind, ShardId, Time};
use crate::ring::TRACK_CAME;

use super::super::effects::Effects;
use super::pipes::Pipes;

/// Microseconds of a window.
pub(super) const WINDOW_US: u64 = 200_000;

/// Changes of one pipe that are told at the end of one window; the others wait for the next one.
const TOLD_PER_WINDOW: usize = 512;

/// Windows of a shard, and changes that wait in all of them; beyond, the oldest window ends early.
const WINDOWS_MAX: usize = 65_536;
const WAITING_MAX: usize = 65_536;

/// Changes that are told of in one call.
const TOLD_AT_A_TIME: usize = 1_024;

/// Who changes: a connection of a shard, or the one user of a `user_status_` pipe.
type Changer = Option<(ShardId, ConnId)>;

#[derive(Debug)]
struct Change {
    changer: Changer,
    /// Comers of the pipe before it, the changer included.
    comers: u64,
    publication: Box<Publication>,
    /// The opposite, if both are to be told.
    then: Option<Box<Publication>>,
}

#[derive(Debug, Default)]
struct Window {
    /// Who came to the pipe since the window opened.
    comers: u64,
    next: u64,
    /// In the order in which they are told.
    waiting: BTreeMap<u64, Change>,
    places: BTreeMap<Changer, u64>,
}

#[derive(Debug)]
pub(super) struct Presence {
    /// By their ends. All are equally long, so the first to open is the first to end.
    windows: Aged<Arc<PipeKey>, Window>,
    waiting: usize,
    windows_max: usize,
    waiting_max: usize,
}

impl Presence {
    pub(super) fn new(hasher: RandomState) -> Self {
        Self { windows: Aged::new(hasher), waiting: 0, windows_max: WINDOWS_MAX, waiting_max: WAITING_MAX }
    }

    pub(super) fn bytes(&self) -> usize {
        self.windows.bytes() + self.waiting * (2 * size_of::<Change>() + size_of::<Publication>())
    }

    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.windows.next_moment()
    }

    /// Somebody came to the pipe.
    fn came(&mut self, pipe: &Arc<PipeKey>) {
        if let Some(window) = self.windows.get_mut(pipe) {
            window.comers += 1;
        }
    }

    /// What is to be told now because of a change of this changer.
    fn change(
        &mut self,
        changer: Changer,
        comes: bool,
        publication: Box<Publication>,
        now: Time,
    ) -> Vec<Box<Publication>> {
        let pipe = publication.pipe.clone();
        let Some(window) = self.windows.get_mut(&pipe) else {
            let mut told = self.make_room();
            self.windows.insert(pipe, now + WINDOW_US, Window::default());
            told.push(publication);
            return told;
        };
        let before = window.waiting.len();
        window.change(changer, comes, publication);
        self.waiting = self.waiting - before + window.waiting.len();
        self.make_room()
    }

    /// Ends the oldest windows while there are too many, or too much waits in them.
    fn make_room(&mut self) -> Vec<Box<Publication>> {
        let mut told = Vec::new();
        while self.windows.len() >= self.windows_max || self.waiting > self.waiting_max {
            let Some((_, window)) = self.windows.pop_first() else { break };
            self.waiting -= window.waiting.len();
            told.extend(window.waiting.into_values().flat_map(Change::publications));
        }
        told
    }

    /// What waited in one window that is over by now; `None`: none is. The window opens anew if there was anything.
    fn pop_ended(&mut self, now: Time) -> Option<Vec<Box<Publication>>> {
        self.windows.next_moment().filter(|end| *end <= now)?;
        let pipe = self.windows.first()?.clone();
        let window = self.windows.get_mut(&pipe)?;
        if window.waiting.is_empty() {
            self.windows.remove(&pipe);
            return Some(Vec::new());
        }
        let mut told = Vec::new();
        for _ in 0..TOLD_PER_WINDOW {
            let Some((_, change)) = window.waiting.pop_first() else { break };
            window.places.remove(&change.changer);
            self.waiting -= 1;
            told.extend(change.publications());
        }
        self.windows.touch(&pipe, now + WINDOW_US);
        Some(told)
    }
}

impl Window {
    fn change(&mut self, changer: Changer, comes: bool, publication: Box<Publication>) {
        let comers = self.comers;
        self.comers += u64::from(comes);
        let Some(place) = self.places.get(&changer).copied() else {
            let change = Change { changer, comers: self.comers, publication, then: None };
            self.places.insert(changer, self.next);
            self.waiting.insert(self.next, change);
            self.next += 1;
            return;
        };
        let Some(change) = self.waiting.get_mut(&place) else {
            return never!("who has a place in a window waits there");
        };
        if change.then.take().is_some() {
            // There and back and there again: what is left is the first of the three, in the words of the last.
            change.publication = publication;
        } else if comers > change.comers {
            change.then = Some(publication);
        } else {
            self.waiting.remove(&place);
            self.places.remove(&changer);
        }
    }
}

impl Change {
    fn publications(self) -> impl Iterator<Item = Box<Publication>> {
        std::iter::once(self.publication).chain(self.then)
    }
}

impl Presence {
    /// The owner of a pipe hears of a publication for it. What the server says by itself of who comes and goes has its
    /// pace.
    pub(super) fn publish(
        &mut self,
        publication: Box<Publication>,
        pipes: &mut Pipes,
        now: Now,
        effects: &mut Effects,
    ) {
        let changer = match publication.kind {
            PublicationKind::Track { .. } => publication.origin,
            PublicationKind::Presence => None,
            PublicationKind::Message | PublicationKind::Figures => {
                return pipes.publish(publication, None, now, effects);
            }
        };
        let comes = changer.is_some() && publication.event.as_str() == TRACK_CAME;
        // Nobody hears it but whoever comes, who is not told of itself.
        if pipes.subscribers(&publication.pipe) <= u32::from(comes) && !self.windows.contains(&publication.pipe) {
            return pipes.publish(publication, None, now, effects);
        }
        for publication in self.change(changer, comes, publication, now.time) {
            pipes.publish(publication, None, now, effects);
        }
    }

    /// Tells what waited in windows that are over.
    pub(super) fn end_windows(&mut self, pipes: &mut Pipes, now: Now, effects: &mut Effects) {
        let mut told = 0;
        while told < TOLD_AT_A_TIME
            && let Some(publications) = self.pop_ended(now.time)
        {
            told += publications.len().max(1);
            for publication in publications {
                pipes.publish(publication, None, now, effects);
            }
        }
    }

    /// A shard has subscribers of this pipe. Those of a `track_` pipe are counted when they say themselves that they came.
    pub(super) fn note_comer(&mut self, pipe: &Arc<PipeKey>) {
        if !self.windows.is_empty() && pipe.name.class() == PipeClass::UserStatus {
            self.came(pipe);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DevId, EventName, PipeName};

    const CAME: bool = true;
    const WENT: bool = false;

    fn presence() -> Presence {
        Presence::new(RandomState::with_seeds(1, 2, 3, 4))
    }

    fn changer(number: u32) -> (ShardId, ConnId) {
        (ShardId(0), ConnId { index: number, generation: 1 })
    }

    fn publication(pipe: &str, who: u32, comes: bool) -> Box<Publication> {
        let pipe = Arc::new(PipeKey { dev: DevId(1), name: PipeName::new(pipe.as_bytes()).unwrap() });
        let event = EventName::new(if comes { b"subscription" } else { b"unsubscription" }).unwrap();
        Box::new(Publication::new(pipe, event, who.to_string().into()))
    }

    fn told(publications: impl IntoIterator<Item = Box<Publication>>) -> Vec<String> {
        let text =
            |it: &Publication| format!("{}{}", if it.event.as_str() == TRACK_CAME { '+' } else { '-' }, it.message);
        publications.into_iter().map(|publication| text(&publication)).collect()
    }

    fn change(presence: &mut Presence, who: u32, comes: bool, at: u64) -> Vec<String> {
        told(presence.change(Some(changer(who)), comes, publication("track_x", who, comes), Time(at)))
    }

    fn ended(presence: &mut Presence, at: u64) -> Vec<String> {
        std::iter::from_fn(|| presence.pop_ended(Time(at))).flat_map(told).collect()
    }

    #[test]
    fn a_lone_change_is_told_at_once() {
        let mut presence = presence();
        assert_eq!(change(&mut presence, 1, CAME, 5), ["+1"]);
        assert_eq!(presence.next_deadline(), Some(Time(5 + WINDOW_US)));
        assert!(ended(&mut presence, 5 + WINDOW_US - 1).is_empty());
        assert!(ended(&mut presence, 5 + WINDOW_US).is_empty());
        assert!(presence.next_deadline().is_none() && presence.windows.is_empty());
        assert_eq!(change(&mut presence, 1, WENT, 6 + WINDOW_US), ["-1"]);
    }

    #[test]
    fn the_last_state_wins_and_the_order_is_kept() {
        let mut presence = presence();
        assert_eq!(change(&mut presence, 1, CAME, 0), ["+1"]);
        for (who, comes) in [(2, CAME), (3, CAME), (1, WENT), (4, WENT), (2, WENT), (3, WENT), (3, CAME)] {
            assert!(change(&mut presence, who, comes, 1).is_empty());
        }
        // The third came behind the second, who may be in its list. It went and came itself before anybody else came.
        assert_eq!(ended(&mut presence, WINDOW_US), ["+2", "-2", "-1", "-4", "+3"]);
        assert!(ended(&mut presence, 2 * WINDOW_US).is_empty());
        assert!(presence.windows.is_empty());
    }

    #[test]
    fn who_goes_and_comes_is_told_of_to_those_who_came_in_between() {
        let mut presence = presence();
        assert_eq!(change(&mut presence, 9, CAME, 0), ["+9"]);
        assert!(change(&mut presence, 1, WENT, 1).is_empty());
        assert!(change(&mut presence, 1, CAME, 2).is_empty());
        assert!(ended(&mut presence, WINDOW_US).is_empty(), "nobody saw it");
        assert_eq!(change(&mut presence, 9, WENT, WINDOW_US + 1), ["-9"]);
        let at = WINDOW_US + 2;
        assert!(change(&mut presence, 1, WENT, at).is_empty());
        assert!(change(&mut presence, 2, CAME, at).is_empty());
        assert!(change(&mut presence, 1, CAME, at).is_empty());
        assert_eq!(ended(&mut presence, at + WINDOW_US), ["-1", "+1", "+2"]);
        presence.came(&publication("track_x", 1, CAME).pipe);
    }

    #[test]
    fn a_peer_that_comes_and_goes_for_ever_causes_two_events_in_a_window_at_most() {
        let mut presence = presence();
        let (mut events, mut changes) = (0, 0);
        for at in (0..10 * WINDOW_US).step_by(100) {
            let who = (at / 100 % 4) as u32;
            events += change(&mut presence, who, at / 400 % 2 == 0, at).len();
            events += ended(&mut presence, at).len();
            changes += 1;
        }
        assert_eq!(changes, 20_000);
        assert!(events <= 11 * 4 * 2, "{events} events");
        let rest = ended(&mut presence, 11 * WINDOW_US).len() + ended(&mut presence, 12 * WINDOW_US).len();
        assert!(rest <= 8 && presence.windows.is_empty() && presence.waiting == 0);
    }

    #[test]
    fn a_crowd_is_told_of_in_portions() {
        let mut presence = presence();
        let crowd = TOLD_PER_WINDOW as u32 + 10;
        assert_eq!((0..=crowd).map(|who| change(&mut presence, who, CAME, 0).len()).sum::<usize>(), 1);
        assert_eq!(ended(&mut presence, WINDOW_US).len(), TOLD_PER_WINDOW);
        assert_eq!(ended(&mut presence, 2 * WINDOW_US).len(), 10);
        assert!(ended(&mut presence, 3 * WINDOW_US).is_empty() && presence.windows.is_empty());
    }

    #[test]
    fn what_is_too_much_is_told_early_and_nothing_is_lost() {
        let mut presence = Presence { windows_max: 10, waiting_max: 20, ..presence() };
        let mut events = 0;
        for number in 0..100 {
            for who in 0..3 {
                let publication = publication(&format!("track_{number}"), who, CAME);
                events += presence.change(Some(changer(who)), CAME, publication, Time(0)).len();
                assert!(presence.windows.len() <= 10 && presence.waiting <= 20);
            }
        }
        events += ended(&mut presence, WINDOW_US).len() + ended(&mut presence, 2 * WINDOW_US).len();
        assert_eq!((events, presence.windows.len(), presence.waiting), (300, 0, 0));
    }
}
