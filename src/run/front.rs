//! A connection shard's edge, the twin of `sessions`: what the runtime tells goes to the core of browsers, what the core
//! asks for is done with the runtime, storage, the files' thread and the system's random numbers.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use shards::{End, Token};
use tracing::error;

use crate::browsers::{Asker, Browser, BrowserConfig, Browsers, Effects, FileAnswer, Trouble};
use crate::drain::Drain;
use crate::http::WithPassword;
use crate::hub::Tops;
use crate::metrics::{Counters, Format};
use crate::model::{ConnId, Now, Publication, ShardId, SharedBytes, Time};
use crate::ring::RingMessage;
use crate::storage::{Beginning, Completion, Job};

use super::board::Board;
use super::figures::Watch;
use super::files::FileClient;
use super::guesses;
use super::host::{close_reason, id, token};
use super::in_force::InForce;
use super::live;
use super::notice::NoticeReader;
use super::runtime::Runtime;
use super::scrape::Scrape;
use super::storage::StorageClient;

pub(super) struct Front {
    core: Browsers,
    ends: Ends,
}

/// The shard's ends of what runs elsewhere.
pub(super) struct Ends {
    pub(super) shard: ShardId,
    pub(super) storage: StorageClient,
    /// `None`: no files are served.
    pub(super) files: Option<FileClient>,
    pub(super) in_force: NoticeReader<InForce>,
    /// What this shard is told of what is in force.
    pub(super) configure: Configure,
    pub(super) watch: Arc<Watch>,
    pub(super) board: Board,
    pub(super) scrape: Arc<Scrape>,
}

type Configure = Box<dyn Fn(&InForce) -> BrowserConfig>;

/// The core's view of the edge while it handles one input.
struct Edge<'a, R> {
    io: &'a mut R,
    ends: &'a mut Ends,
}

impl Front {
    pub(super) fn new(config: BrowserConfig, beginning: Beginning, ends: Ends) -> Self {
        Self { core: Browsers::new(config, beginning), ends }
    }

    pub(super) fn accepted(&mut self, io: &mut impl Runtime, conn: Token) {
        self.core.accepted(&mut Edge { io, ends: &mut self.ends }, id(conn));
    }

    pub(super) fn full(&mut self, io: &mut impl Runtime) {
        self.core.full(&mut Edge { io, ends: &mut self.ends });
    }

    pub(super) fn received(&mut self, io: &mut impl Runtime, conn: Token, bytes: &mut [u8]) -> usize {
        self.core.received(&mut Edge { io, ends: &mut self.ends }, id(conn), bytes)
    }

    pub(super) fn half_closed(&mut self, io: &mut impl Runtime, conn: Token) {
        self.core.half_closed(&mut Edge { io, ends: &mut self.ends }, id(conn));
    }

    pub(super) fn drained(&mut self, io: &mut impl Runtime, conn: Token) {
        self.core.drained(&mut Edge { io, ends: &mut self.ends }, id(conn));
    }

    pub(super) fn ended(&mut self, io: &mut impl Runtime, conn: Token, end: End) {
        self.core.ended(&mut Edge { io, ends: &mut self.ends }, id(conn), close_reason(end));
    }

    pub(super) fn timed_out(&mut self, io: &mut impl Runtime, conn: Token) {
        self.core.timed_out(&mut Edge { io, ends: &mut self.ends }, id(conn));
    }

    pub(super) fn message(&mut self, io: &mut impl Runtime, from: ShardId, message: RingMessage) {
        self.core.message(&mut Edge { io, ends: &mut self.ends }, from, message);
    }

    pub(super) fn woken(&mut self, io: &mut impl Runtime) {
        if let Some(in_force) = self.ends.in_force.news() {
            let config = (self.ends.configure)(&in_force);
            self.core.reconfigure(&mut Edge { io, ends: &mut self.ends }, config);
        }
        self.core.woken(&mut Edge { io, ends: &mut self.ends });
    }

    pub(super) fn turn_ended(&mut self, io: &mut impl Runtime) {
        self.core.turn_ended(&mut Edge { io, ends: &mut self.ends });
    }

    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.core.next_deadline()
    }

    pub(super) fn stopping(&mut self) {
        self.core.stopping();
    }

    pub(super) fn owes_answers(&self) -> bool {
        self.core.owes_answers()
    }

    pub(super) fn has_work(&self) -> bool {
        self.core.has_work()
    }

    pub(super) fn set_drain(&mut self, io: &mut impl Runtime, drain: Option<Drain>) {
        self.core.set_drain(&Edge { io, ends: &mut self.ends }, drain);
    }

    pub(super) fn farewell(&mut self, io: &mut impl Runtime) {
        self.core.farewell(&mut Edge { io, ends: &mut self.ends });
    }

    pub(super) fn snapshot(&self, io: &impl Runtime) -> Counters {
        let mut counters = self.core.snapshot();
        io.add_to(&mut counters);
        counters
    }

    /// See [`Browsers::work_due`]; and a page that was asked to move may not poll any more for what it was given.
    #[cfg(test)]
    pub(super) fn work_due(&self) -> Option<Time> {
        self.core.work_due().into_iter().chain(self.core.untaken_due()).min()
    }

    #[cfg(test)]
    pub(super) fn counted(&self) -> &Counters {
        &self.core.counters
    }

    #[cfg(test)]
    pub(super) fn connections(&self) -> (usize, usize) {
        self.core.connections()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        if let Some(job) = self.core.last_job() {
            self.ends.storage.send_last(job);
        }
    }
}

impl<R: Runtime> Effects for Edge<'_, R> {
    fn now(&self) -> Now {
        self.io.now()
    }

    fn state(&mut self, conn: ConnId) -> Option<&mut Browser> {
        self.io.state(token(conn))
    }

    fn is_open(&self, conn: ConnId) -> bool {
        self.io.is_open(token(conn))
    }

    fn can_send(&self, conn: ConnId) -> bool {
        self.io.can_send(token(conn))
    }

    fn open_connections(&self) -> Vec<ConnId> {
        self.io.open_connections().into_iter().map(id).collect()
    }

    fn places(&self) -> u32 {
        self.io.places()
    }

    fn open_in(&self, places: Range<u32>) -> Vec<ConnId> {
        self.io.open_in(places).into_iter().map(id).collect()
    }

    fn peer_address(&self, conn: ConnId) -> Option<IpAddr> {
        self.io.peer_address(token(conn)).map(|address| address.ip())
    }

    fn queued_bytes(&self, conn: ConnId) -> usize {
        self.io.queued_bytes(token(conn))
    }

    fn held_bytes(&self, conn: ConnId) -> usize {
        self.io.held_bytes(token(conn))
    }

    fn write(&mut self, conn: ConnId, bytes: &[u8]) {
        self.io.write(token(conn), bytes);
    }

    fn write_shared(&mut self, conn: ConnId, bytes: &SharedBytes) {
        self.io.write_shared(token(conn), bytes);
    }

    fn write_part(&mut self, conn: ConnId, bytes: &SharedBytes, part: Range<usize>) {
        self.io.write_part(token(conn), bytes, part);
    }

    fn write_last(&mut self, conn: ConnId, bytes: &SharedBytes, part: Range<usize>, within: Duration) {
        self.io.write_last(token(conn), bytes, part, within);
    }

    fn fan_out(&mut self, conns: Vec<ConnId>, bytes: SharedBytes, publications: &[Arc<Publication>]) {
        // Both names of a connection have the same layout, so the list stays where it is.
        self.io.fan_out(conns.into_iter().map(token).collect(), bytes, publications);
    }

    fn fan_out_to_polled(&mut self, publications: &[Arc<Publication>]) {
        self.io.fan_out_to_polled(publications);
    }

    fn fan_out_pending(&self) -> bool {
        self.io.fan_out_pending()
    }

    fn close(&mut self, conn: ConnId) {
        self.io.close(token(conn));
    }

    fn close_after_flush(&mut self, conn: ConnId) {
        self.io.close_after_flush(token(conn));
    }

    fn pause(&mut self, conn: ConnId) {
        self.io.pause(token(conn));
    }

    fn resume(&mut self, conn: ConnId) {
        self.io.resume(token(conn));
    }

    fn read_no_more(&mut self) {
        self.io.read_no_more();
    }

    fn tell_when_drained(&mut self, conn: ConnId) {
        self.io.tell_when_drained(token(conn));
    }

    fn deadline_after(&mut self, conn: ConnId, after: Duration) {
        self.io.deadline_after(token(conn), after);
    }

    fn idle_timeout(&mut self, conn: ConnId, duration: Duration) {
        self.io.idle_timeout(token(conn), duration);
    }

    fn no_timeout(&mut self, conn: ConnId) {
        self.io.no_timeout(token(conn));
    }

    fn send(&mut self, to: ShardId, message: RingMessage) {
        self.io.send(to, message);
    }

    fn congested(&self) -> bool {
        self.io.congested()
    }

    fn hold(&mut self, held: bool) {
        self.io.hold(held);
    }

    fn store(&mut self, job: Job, asker: Option<IpAddr>) -> Result<(), Completion> {
        self.ends.storage.send(job, asker)
    }

    fn completion(&mut self) -> Option<Completion> {
        self.ends.storage.poll()
    }

    fn storage_trouble(&self) -> Option<Trouble> {
        live::storage_trouble(&self.ends.board).map(|(keeps_out, text)| Trouble { keeps_out, text })
    }

    fn metrics(&self, format: Format, stopping: bool) -> String {
        self.ends.scrape.page(format, stopping)
    }

    fn read_file(&mut self, asker: Asker) -> bool {
        self.ends.files.as_ref().is_some_and(|files| files.request(asker))
    }

    fn file_answer(&mut self) -> Option<FileAnswer> {
        self.ends.files.as_ref().and_then(FileClient::poll)
    }

    fn secret(&mut self) -> Option<u128> {
        let mut secret = [0; 16];
        match getrandom::fill(&mut secret) {
            Ok(()) => Some(u128::from_le_bytes(secret)),
            Err(error) => {
                error!(%error, "the system gives no random numbers");
                None
            }
        }
    }

    fn keys_guessed(&mut self, address: IpAddr, wrong: u32) {
        guesses::warn(self.io.now().time, address, wrong);
    }

    fn is_watched(&self) -> bool {
        self.ends.watch.is_watched()
    }

    fn set_watched(&mut self, watched: bool) {
        self.ends.watch.set_watched(watched);
    }

    fn put_tops(&mut self, tops: Tops) {
        self.ends.watch.put_tops(self.ends.shard, tops);
    }

    fn figures(&self, now: Time) -> Box<str> {
        self.ends.watch.message(now)
    }

    fn dashboard(&self, wanted: WithPassword) -> Option<Box<[u8]>> {
        self.ends.watch.told(wanted)
    }
}
