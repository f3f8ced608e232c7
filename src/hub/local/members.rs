//! Who is where: comings and goings in `track_` pipes, and lists of subscribers and connections.

use crate::model::{
    Answer, ApiError, ConnId, DevId, EventName, Marker, PipeClass, PipeKey, PipeName, Publication, PublicationKind,
    ShardId, TrackCursor, UnixTime, UserId,
};
use crate::ring::{Ask, ConnectionInfo, Member, OneInterest, Question, Replies, RingMessage, TRACK_CAME, TRACK_WENT};

use super::super::effects::Effects;
use super::Local;
use super::waiting::Waiting;

/// An answer that shards are still adding to.
#[derive(Debug)]
pub(super) struct TrackUsers {
    conn: ConnId,
    pipe: PipeName,
    marker: Marker,
    subscribers: Vec<(UserId, Box<str>)>,
    shards_left: u16,
}

impl Local {
    /// A connection of this shard is a new subscriber.
    pub(super) fn joined(&self, conn: ConnId, user: UserId, interest: OneInterest, effects: &mut Effects) {
        self.tell_change(conn, user, interest, TRACK_CAME, effects);
    }

    /// A connection of this shard is not a subscriber any longer.
    pub(super) fn left(&self, conn: ConnId, user: UserId, interest: OneInterest, effects: &mut Effects) {
        self.tell_change(conn, user, interest, TRACK_WENT, effects);
    }

    fn tell_change(&self, conn: ConnId, user: UserId, interest: OneInterest, event: &str, effects: &mut Effects) {
        let pipe = interest.0.clone();
        let to = self.config.placement.owner_of_pipe(&pipe);
        effects.tell_interest(to, interest);
        if pipe.name.class() != PipeClass::Track {
            return;
        }
        let Ok(event) = EventName::new(event.as_bytes()) else { return never!("this event has a good name") };
        let uuid = self.details.get(conn.index).map(|detail| self.details.uuid(detail)).unwrap_or_default();
        let mut publication = Publication::new(pipe, event, "".into());
        publication.kind = PublicationKind::Track { user, uuid };
        publication.origin = Some((self.config.shard, conn));
        self.count_change(conn, &publication, effects);
        effects.send(to, RingMessage::Publish { publication: Box::new(publication), statement: None });
    }

    pub(in crate::hub) fn list_track_users(
        &mut self,
        conn: ConnId,
        pipe: PipeName,
        marker: Marker,
        effects: &mut Effects,
    ) {
        let Some(entry) = self.conn(conn) else { return };
        if pipe.class() != PipeClass::Track {
            return self.answer(conn, Answer::Error(ApiError::NotATrackPipe), effects);
        }
        let key = PipeKey { dev: entry.dev, name: pipe.clone() };
        let shards = self.config.placement.connection_shards();
        let list = TrackUsers { conn, pipe, marker, subscribers: Vec::new(), shards_left: shards };
        let id = self.wait(conn, Waiting::TrackUsers(Box::new(list)), effects);
        let rows = TRACK_USERS_MAX / u32::from(shards);
        for shard in 0..shards {
            let question = Question::Members { pipe: key.clone(), before: None, rows };
            effects.send(ShardId(shard), RingMessage::Ask(Box::new(Ask { id, question })));
        }
    }

    /// One shard's part; whether that was the last one.
    pub(super) fn track_users_known(
        &mut self,
        ask: u64,
        mut list: Box<TrackUsers>,
        members: Vec<Member>,
        effects: &mut Effects,
    ) {
        list.subscribers.extend(members.into_iter().map(|member| (member.user, member.uuid)));
        list.shards_left -= 1;
        if list.shards_left > 0 {
            self.waiting.insert(ask, Waiting::TrackUsers(list));
            return;
        }
        let TrackUsers { conn, pipe, marker, subscribers, .. } = *list;
        self.answer(conn, Answer::TrackUsers { pipe, marker, subscribers }, effects);
        self.resume(conn, effects);
    }

    /// One page of one shard's subscribers. Whoever stays is in at least one of the pages, since slots are looked at from
    /// the last to the first and members only ever move to earlier ones.
    pub(in crate::hub) fn page_track_users(
        &mut self,
        conn: ConnId,
        pipe: PipeName,
        marker: Marker,
        cursor: TrackCursor,
        effects: &mut Effects,
    ) {
        let Some(entry) = self.conn(conn) else { return };
        let TrackCursor { shard, before } = cursor;
        if shard.0 >= self.config.placement.connection_shards() {
            return self.answer(conn, Answer::Error(ApiError::BadCursor), effects);
        }
        let pipe = PipeKey { dev: entry.dev, name: pipe };
        let id = self.wait(conn, Waiting::TrackPage { conn, marker, shard }, effects);
        let question = Question::Members { pipe, before, rows: TRACK_PAGE_ROWS };
        effects.send(shard, RingMessage::Ask(Box::new(Ask { id, question })));
    }

    /// Behind a shard's last page comes the next shard's first.
    pub(super) fn track_page_known(
        &mut self,
        conn: ConnId,
        marker: Marker,
        shard: ShardId,
        members: Vec<Member>,
        next: Option<u32>,
        effects: &mut Effects,
    ) {
        let next_shard = shard.0 + 1;
        let next = match next {
            Some(before) => Some(TrackCursor { shard, before: Some(before) }),
            None if next_shard < self.config.placement.connection_shards() => {
                Some(TrackCursor { shard: ShardId(next_shard), before: None })
            }
            None => None,
        };
        let subscribers = members.into_iter().map(|member| (member.user, member.uuid)).collect();
        self.answer(conn, Answer::TrackPage { marker, subscribers, next }, effects);
        self.resume(conn, effects);
    }

    /// Subscribers on this shard, newest first.
    pub(in crate::hub) fn members(&self, pipe: &PipeKey, before: Option<u32>, rows: u32) -> Replies {
        let members = self.pipes.members_of(pipe);
        let end = before.map_or(members.len(), |before| members.len().min(before as usize));
        let start = end.saturating_sub(rows as usize);
        let found = members.get(start..end).unwrap_or_default().iter().rev();
        let members = found.filter_map(|index| self.member(*index)).collect();
        Replies::Members { members, next: (start > 0).then_some(start as u32) }
    }

    fn member(&self, index: u32) -> Option<Member> {
        let (conn, detail) = (self.conns.at(index)?, self.details.get(index)?);
        Some(Member {
            user: conn.user,
            uuid: self.details.uuid(detail),
            details: self.details.headers(detail),
            address: self.details.address(detail),
        })
    }

    /// Names of a tenant's pipes with subscribers on this shard, in the order of their places.
    pub(in crate::hub) fn list_pipes(&self, dev: DevId, after: Option<u32>, rows: u32) -> Replies {
        let (names, next) = self.pipes.names(dev, after, rows);
        Replies::Pipes { names, next }
    }

    /// A tenant's connections on this shard, in the order of their places.
    pub(in crate::hub) fn list_connections(&self, dev: DevId, after: Option<u32>, rows: u32) -> Replies {
        let mut connections = Vec::new();
        let mut places = self.conns.indices_from(after.map_or(0, |after| after + 1));
        let mut last = None;
        for index in places.by_ref().take(PLACES_MAX) {
            last = Some(index);
            let Some((entry, conn)) = self.conns.at(index).zip(self.conns.id(index)) else { continue };
            if entry.dev != dev {
                continue;
            }
            if connections.len() >= rows as usize {
                let next = connections.last().map(|last: &ConnectionInfo| last.conn.index);
                return Replies::Connections { connections, next };
            }
            let Some(detail) = self.details.get(index) else { continue };
            connections.push(ConnectionInfo {
                shard: self.config.shard.0,
                conn,
                user: entry.user,
                address: self.details.address(detail),
                pipes: entry.memberships().iter().filter(|membership| !membership.is_expected()).count() as u32,
                since: UnixTime(detail.since.into()),
                queued_bytes: 0,
                memory: self.held_bytes(index) as u64,
            });
        }
        let next = places.next().and(last);
        Replies::Connections { connections, next }
    }
}

/// Places that are looked at for one question, whoever's they are.
const PLACES_MAX: usize = 4_096;

/// Entries of one page of such a list.
const TRACK_PAGE_ROWS: u32 = 512;

/// Entries of one list of a `track_` pipe's users.
const TRACK_USERS_MAX: u32 = 4_096;
