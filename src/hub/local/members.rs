//! Who is where: comings and goings in `track_` pipes, and lists of subscribers and connections.

use crate::model::{
    Answer, ApiError, ConnId, DevId, EventName, Marker, PipeClass, PipeKey, PipeName, Publication, PublicationKind,
    ShardId, TrackCursor, UnixTime, UserId,
};

use super::super::owned::pace::{TRACK_CAME, TRACK_WENT};
use super::super::{Hub, Ticket, TrackUsers, Waiting};
use super::pipes::Interest;
use crate::ring::RingMessage;
use crate::ring::{Ask, AskId, ConnectionInfo, Member, Question, Replies};

impl Hub {
    /// A connection of this shard is a new subscriber.
    pub(in crate::hub) fn joined(&mut self, conn: ConnId, user: UserId, interest: Interest) {
        self.change(conn, user, interest, TRACK_CAME);
    }

    /// A connection of this shard is not a subscriber any longer.
    pub(in crate::hub) fn left(&mut self, conn: ConnId, user: UserId, interest: Interest) {
        self.change(conn, user, interest, TRACK_WENT);
    }

    fn change(&mut self, conn: ConnId, user: UserId, interest: Interest, event: &str) {
        let pipe = interest.key.clone();
        self.tell_interest(interest);
        if pipe.name.class() != PipeClass::Track {
            return;
        }
        let Ok(event) = EventName::new(event.as_bytes()) else { return };
        let uuid = self.details.get(conn.index).map(|detail| self.details.uuid(detail)).unwrap_or_default();
        let to = self.config.placement.owner_of_pipe(&pipe);
        let mut publication = Publication::new(pipe, event, "".into());
        publication.kind = PublicationKind::Track { user, uuid };
        publication.origin = Some((self.config.shard, conn));
        self.count_change(conn, &publication);
        self.send(to, RingMessage::Publish { publication: Box::new(publication), statement: None });
    }

    pub(in crate::hub) fn list_track_users(&mut self, conn: ConnId, pipe: PipeName, marker: Marker) {
        let Some(entry) = self.conns.get(conn) else { return };
        if pipe.class() != PipeClass::Track {
            return self.answer(conn, Answer::Error(ApiError::NotATrackPipe));
        }
        let key = PipeKey { dev: entry.dev, name: pipe.clone() };
        let shards = self.config.placement.connection_shards();
        let list = TrackUsers { conn, pipe, marker, subscribers: Vec::new(), shards_left: shards };
        let Ticket(ask) = self.wait(conn, Waiting::TrackUsers(Box::new(list)));
        let rows = TRACK_USERS_MAX / u32::from(shards);
        for shard in 0..shards {
            let question = Question::Members { pipe: key.clone(), before: None, rows };
            self.send(ShardId(shard), RingMessage::Ask(Box::new(Ask { id: AskId(ask), question })));
        }
    }

    /// One shard's part; whether that was the last one.
    pub(in crate::hub) fn track_users_known(&mut self, ask: u64, mut list: Box<TrackUsers>, members: Vec<Member>) {
        list.subscribers.extend(members.into_iter().map(|member| (member.user, member.uuid)));
        list.shards_left -= 1;
        if list.shards_left > 0 {
            self.waiting.insert(ask, Waiting::TrackUsers(list));
            return;
        }
        let TrackUsers { conn, pipe, marker, subscribers, .. } = *list;
        self.answer(conn, Answer::TrackUsers { pipe, marker, subscribers });
        self.resume(conn);
    }

    /// One page of one shard's subscribers. Whoever stays is in at least one of the pages, since slots are looked at from
    /// the last to the first and members only ever move to earlier ones.
    pub(in crate::hub) fn page_track_users(
        &mut self,
        conn: ConnId,
        pipe: PipeName,
        marker: Marker,
        cursor: TrackCursor,
    ) {
        let Some(entry) = self.conns.get(conn) else { return };
        let TrackCursor { shard, before } = cursor;
        if shard.0 >= self.config.placement.connection_shards() {
            return self.answer(conn, Answer::Error(ApiError::BadCursor));
        }
        let pipe = PipeKey { dev: entry.dev, name: pipe };
        let Ticket(ask) = self.wait(conn, Waiting::TrackPage { conn, marker, shard });
        let question = Question::Members { pipe, before, rows: TRACK_PAGE_ROWS };
        self.send(shard, RingMessage::Ask(Box::new(Ask { id: AskId(ask), question })));
    }

    /// Behind a shard's last page comes the next shard's first.
    pub(in crate::hub) fn track_page_known(
        &mut self,
        conn: ConnId,
        marker: Marker,
        shard: ShardId,
        members: Vec<Member>,
        next: Option<u32>,
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
        self.answer(conn, Answer::TrackPage { marker, subscribers, next });
        self.resume(conn);
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
