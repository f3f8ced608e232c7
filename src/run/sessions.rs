//! The CometQL shard's edge: bytes of backends go to [`Exec`], its outputs become writes.

use std::time::Duration;

use shards::{End, Io, Token};
use tracing::{error, warn};

use crate::cometql::exec::{Exec, ExecConfig, Output};
use crate::hub::RingMessage;
use crate::metrics::Counters;
use crate::model::{CloseReason, ShardId};

use super::host::{Board, Host, clocks, count_end, id, level, token};
use super::live;
use super::storage::StorageClient;

pub(super) struct SessionsConfig {
    pub(super) exec: ExecConfig,
    pub(super) login_timeout: Duration,
    /// Zero: never.
    pub(super) idle_timeout: Duration,
}

pub(super) struct Sessions {
    config: SessionsConfig,
    exec: Exec,
    storage: StorageClient,
    board: Board,
    pub(super) counters: Counters,
}

impl Sessions {
    pub(super) fn new(config: SessionsConfig, storage: StorageClient, board: Board) -> Self {
        let exec = Exec::new(config.exec.clone());
        Self { config, exec, storage, board, counters: Counters::default() }
    }

    pub(super) fn accepted(&mut self, io: &mut Io<'_, Host>, conn: Token) {
        let mut random = [0; 20];
        if let Err(error) = getrandom::fill(&mut random) {
            // Without random numbers a recorded login could be replayed, so nobody logs in.
            error!(%error, "the system gives no random numbers");
            return io.close(conn);
        }
        // A client that is gone already has no address.
        let Some(peer) = io.peer_address(conn) else { return io.close(conn) };
        io.deadline_after(conn, self.config.login_timeout);
        self.exec.opened(id(conn), peer.ip(), random);
        self.carry_out(io);
    }

    pub(super) fn received(&mut self, io: &mut Io<'_, Host>, conn: Token, bytes: &mut [u8]) -> usize {
        let board = self.board.clone();
        let received = self.exec.receive(id(conn), bytes, clocks(io), &|figures, dev| live::rows(&board, figures, dev));
        if received.pause {
            io.pause(conn);
        }
        self.carry_out(io);
        received.used
    }

    pub(super) fn ended(&mut self, io: &mut Io<'_, Host>, conn: Token, end: End) {
        count_end(&mut self.counters, end);
        self.exec.closed(id(conn));
        self.carry_out(io);
    }

    pub(super) fn timed_out(&mut self, io: &mut Io<'_, Host>, conn: Token) {
        self.counters.add_closed(CloseReason::TimedOut);
        io.close(conn);
    }

    pub(super) fn message(&mut self, io: &mut Io<'_, Host>, _from: ShardId, message: RingMessage) {
        let board = self.board.clone();
        self.exec.ring(message, &|figures, dev| live::rows(&board, figures, dev));
        self.carry_out(io);
    }

    pub(super) fn woken(&mut self, io: &mut Io<'_, Host>) {
        let board = self.board.clone();
        while let Some(completion) = self.storage.poll() {
            self.exec.stored(completion, &|figures, dev| live::rows(&board, figures, dev));
        }
        self.carry_out(io);
    }

    pub(super) fn turn_ended(&mut self, io: &mut Io<'_, Host>) {
        self.exec.end_turn();
        self.carry_out(io);
    }

    pub(super) fn stopping(&mut self, io: &mut Io<'_, Host>) {
        for conn in io.open_connections() {
            self.counters.add_closed(CloseReason::ShuttingDown);
            io.close_after_flush(conn);
        }
    }

    pub(super) fn snapshot(&self, io: &Io<'_, Host>) -> Counters {
        let exec = self.exec.counters();
        let mut counters = self.counters.clone();
        counters.sessions = self.exec.sessions() as u64;
        counters.statements = exec.statements;
        counters.statement_errors = exec.errors;
        counters.inserts = exec.publications;
        counters.session_logins = exec.logins;
        counters.session_logins_refused = exec.logins_refused;
        counters.session_logins_held_off = exec.logins_held_off;
        counters.memory_sessions = self.exec.memory() as u64;
        super::host::add_runtime(&mut counters, io);
        counters
    }

    fn carry_out(&mut self, io: &mut Io<'_, Host>) {
        while let Some(output) = self.exec.poll_output() {
            match output {
                Output::Write { session, bytes } => io.write(token(session), &bytes),
                Output::Ring { to, message } => io.send(level(message.level()), to.0, message),
                Output::Store(job) => {
                    if let Err(refused) = self.storage.send(job) {
                        self.counters.storage_refusals += 1;
                        let board = self.board.clone();
                        self.exec.stored(refused, &|figures, dev| live::rows(&board, figures, dev));
                    }
                }
                Output::Close { session, reason } => {
                    self.counters.add_closed(reason);
                    io.close_after_flush(token(session));
                }
                Output::Resume { session } => io.resume(token(session)),
                Output::HeldOff { address } => {
                    warn!(%address, "wrong passwords: logins from this address have to wait");
                }
                Output::LoggedIn { session } if self.config.idle_timeout.is_zero() => io.no_timeout(token(session)),
                Output::LoggedIn { session } => io.idle_timeout(token(session), self.config.idle_timeout),
            }
        }
    }
}
