//! The two kinds of shards behind the one interface of the runtime, and what they share.

use std::time::{Duration, Instant};

use shards::{Changeable, End, Io, Token};
use tracing::{error, warn};

use crate::browsers::Browser;
use crate::drain::Drain;
use crate::model::{CloseReason, ConnId, ShardId, Time};
use crate::never;
use crate::ring::{Level, RingMessage};

use super::board::{Board, Part};
use super::clock::instant;
use super::front::Front;
use super::in_force::InForce;
use super::notice::NoticeReader;
use super::pulse::Pulse;
use super::runtime::Runtime;
use super::sessions::Sessions;
use super::slow::Turns;

pub(super) struct Host {
    kind: Kind,
    board: Board,
    drains: NoticeReader<Option<Drain>>,
    pulse: Pulse,
    /// When the board is to be written next; `None` while it says everything.
    board_due: Option<Instant>,
    board_written: Option<Instant>,
    /// Of what cannot be, how often it was, when somebody was told last.
    never_told: u64,
    turns: Turns,
    news: NoticeReader<InForce>,
    of_runtime: OfRuntime,
}

/// What both kinds of shards have to do with the control thread and with whoever looks on.
pub(super) struct Ends {
    pub(super) board: Board,
    pub(super) drains: NoticeReader<Option<Drain>>,
    pub(super) pulse: Pulse,
    pub(super) news: NoticeReader<InForce>,
    pub(super) of_runtime: OfRuntime,
}

/// What the runtime is told of what is in force.
pub(super) type OfRuntime = Box<dyn Fn(&InForce) -> Changeable>;

/// A shard's edge: of browsers or of sessions.
pub(super) enum Kind {
    Browsers(Box<Front>),
    Sessions(Box<Sessions>),
}

impl Kind {
    pub(super) fn next_deadline(&self) -> Option<Time> {
        match self {
            Self::Browsers(browsers) => browsers.next_deadline(),
            Self::Sessions(sessions) => sessions.next_deadline(),
        }
    }

    pub(super) fn set_drain(&mut self, io: &mut impl Runtime, drain: Option<Drain>) {
        match self {
            Self::Browsers(browsers) => browsers.set_drain(io, drain),
            Self::Sessions(sessions) => sessions.set_drain(drain),
        }
    }

    pub(super) fn stopping(&mut self) {
        if let Self::Browsers(browsers) = self {
            browsers.stopping();
        }
    }

    pub(super) fn owes_answers(&self) -> bool {
        match self {
            Self::Browsers(browsers) => browsers.owes_answers(),
            Self::Sessions(sessions) => sessions.owes_answers(),
        }
    }

    pub(super) fn has_work(&self) -> bool {
        match self {
            Self::Browsers(browsers) => browsers.has_work(),
            // What a message causes here is done in its turn; the rest are statements.
            Self::Sessions(_) => false,
        }
    }
}

impl Host {
    pub(super) fn browsers(browsers: Front, ends: Ends) -> Self {
        Self::new(Kind::Browsers(Box::new(browsers)), ends)
    }

    pub(super) fn sessions(sessions: Sessions, ends: Ends) -> Self {
        Self::new(Kind::Sessions(Box::new(sessions)), ends)
    }

    fn new(kind: Kind, ends: Ends) -> Self {
        let Ends { board, drains, pulse, news, of_runtime } = ends;
        Self {
            kind,
            board,
            drains,
            pulse,
            news,
            of_runtime,
            board_due: None,
            board_written: None,
            never_told: 0,
            turns: Turns::default(),
        }
    }
}

macro_rules! each {
    ($host:expr, $shard:ident => $call:expr) => {
        match &mut $host.kind {
            Kind::Browsers($shard) => $call,
            Kind::Sessions($shard) => $call,
        }
    };
}

/// How old what the board says may be. Counting memory is too dear for every turn.
const BOARD_INTERVAL: Duration = Duration::from_millis(100);

impl Host {
    fn write_board(&mut self, io: &Io<'_, Self>) {
        let now = io.turn_time();
        let due = self.board_written.map_or(now, |written| written + BOARD_INTERVAL);
        if now < due {
            self.board_due = Some(due);
            return;
        }
        // The turn that only wrote the board changed nothing worth another one.
        self.board_due = None;
        self.board_written = Some(now);
        self.tell_of_faults();
        let part = match &self.kind {
            Kind::Browsers(_) => Part::Browsers(ShardId(io.shard())),
            Kind::Sessions(_) => Part::CometQl,
        };
        self.board.put(part, each!(self, shard => shard.snapshot(io)));
    }

    fn tell_of_long_turns(&mut self, io: &Io<'_, Self>) {
        let Some(turn) = self.turns.ended(io.turn_time(), Instant::now()) else { return };
        let (shard, ms, inputs) = (io.shard(), turn.took.as_millis() as u64, turn.inputs);
        warn!(shard, ms, ?inputs, untold = turn.untold, "a turn took long, and everybody on this shard waited for it");
    }

    /// Faults of this server are told once for each place.
    fn tell_of_faults(&mut self) {
        let untold = never::take_untold(self.never_told);
        self.never_told = never::total();
        for place in untold {
            error!(
                file = place.file,
                line = place.line,
                "a fault of this server, please report it: not true: {}",
                place.invariant
            );
        }
    }
}

impl shards::Host for Host {
    type Kernel = shards::Linux;
    type Message = RingMessage;
    type State = Browser;

    fn accepted(&mut self, io: &mut Io<'_, Self>, conn: Token) {
        self.turns.inputs.accepted += 1;
        each!(self, shard => shard.accepted(io, conn));
    }

    fn accepted_at_door(&mut self, io: &mut Io<'_, Self>, conn: Token, user: Option<u32>) {
        self.turns.inputs.accepted += 1;
        match &mut self.kind {
            Kind::Browsers(browsers) => browsers.accepted(io, conn),
            Kind::Sessions(sessions) => sessions.accepted_at_door(io, conn, user),
        }
    }

    fn full(&mut self, io: &mut Io<'_, Self>) {
        each!(self, shard => shard.full(io));
    }

    fn received(&mut self, io: &mut Io<'_, Self>, conn: Token, bytes: &mut [u8]) -> usize {
        self.turns.read(bytes.len());
        each!(self, shard => shard.received(io, conn, bytes))
    }

    fn half_closed(&mut self, io: &mut Io<'_, Self>, conn: Token) {
        // A backend that half-closes is answered to the end.
        if let Kind::Browsers(browsers) = &mut self.kind {
            browsers.half_closed(io, conn);
        }
    }

    fn drained(&mut self, io: &mut Io<'_, Self>, conn: Token) {
        match &mut self.kind {
            Kind::Browsers(browsers) => browsers.drained(io, conn),
            Kind::Sessions(sessions) => sessions.drained(conn),
        }
    }

    fn ended(&mut self, io: &mut Io<'_, Self>, conn: Token, end: End) {
        self.turns.inputs.ends += 1;
        each!(self, shard => shard.ended(io, conn, end));
    }

    fn timed_out(&mut self, io: &mut Io<'_, Self>, conn: Token) {
        self.turns.inputs.timeouts += 1;
        each!(self, shard => shard.timed_out(io, conn));
    }

    fn message(&mut self, io: &mut Io<'_, Self>, from: u16, message: RingMessage) {
        self.turns.inputs.messages += 1;
        each!(self, shard => shard.message(io, ShardId(from), message));
    }

    fn woken(&mut self, io: &mut Io<'_, Self>) {
        self.turns.inputs.completions += 1;
        self.pulse.shard_turned(io.shard());
        if let Some(drain) = self.drains.news() {
            self.kind.set_drain(io, *drain);
        }
        if let Some(in_force) = self.news.news() {
            io.change((self.of_runtime)(&in_force));
        }
        each!(self, shard => shard.woken(io));
    }

    fn turn_ended(&mut self, io: &mut Io<'_, Self>) {
        each!(self, shard => shard.turn_ended(io));
        self.write_board(io);
        self.tell_of_long_turns(io);
    }

    fn deadline(&self) -> Option<Instant> {
        self.kind.next_deadline().map(instant).into_iter().chain(self.board_due).min()
    }

    fn stopping(&mut self, _: &mut Io<'_, Self>) {
        self.kind.stopping();
    }

    fn owes_answers(&self) -> bool {
        self.kind.owes_answers()
    }

    fn has_work(&self) -> bool {
        self.kind.has_work()
    }

    fn farewell(&mut self, io: &mut Io<'_, Self>) {
        each!(self, shard => shard.farewell(io));
    }
}

pub(super) fn id(conn: Token) -> ConnId {
    ConnId { index: conn.index, generation: conn.generation }
}

pub(super) fn token(conn: ConnId) -> Token {
    Token { index: conn.index, generation: conn.generation }
}

pub(super) fn level(level: Level) -> shards::Level {
    match level {
        Level::Request => shards::Level::Request,
        Level::Announce => shards::Level::Announce,
        Level::Deliver => shards::Level::Deliver,
        Level::Report => shards::Level::Report,
        Level::Reply => shards::Level::Reply,
    }
}

/// Why the runtime ended a connection; `None` for what the host itself ended, which was counted when it did.
pub(super) fn close_reason(end: End) -> Option<CloseReason> {
    Some(match end {
        End::PeerClosed | End::Reset => CloseReason::PeerClosed,
        End::SlowConsumer => CloseReason::SlowConsumer,
        End::TooMuchUnread => CloseReason::TooLarge,
        End::NoRoom => CloseReason::NoRoom,
        End::Stopped => CloseReason::ShuttingDown,
        End::Local => return None,
    })
}
