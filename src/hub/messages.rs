//! What a hub does with what other shards tell it, and with what its own wings tell each other: which wing hears of it.

use crate::model::{Now, ShardId};
use crate::ring::{Answered, Ask, Question, Replies, RingMessage};

use super::Hub;
use super::local::Fanned;

impl Hub {
    pub(super) fn ring(&mut self, from: ShardId, message: RingMessage, now: Now) {
        let Self { local, owned, effects, .. } = self;
        match message {
            // To the owner of a pipe
            RingMessage::Publish { publication, statement } => {
                owned.publish(publication, statement.map(|statement| (from, statement)), now, effects);
            }
            RingMessage::Announce { publication } => owned.publish(publication, None, now, effects),
            RingMessage::Interest { pipe, subscribers, interest } => {
                owned.interest(from, (pipe, subscribers, interest));
            }
            RingMessage::Interests(interests) => interests.into_iter().for_each(|one| owned.interest(from, one)),
            RingMessage::Recover(recover) => owned.recover(from, *recover, now, effects),
            RingMessage::StopRecovering { conn } => owned.stop_recovering(from, conn),
            RingMessage::SetLength(set) => owned.set_length(from, *set, now, effects),

            // To the owner of a user
            RingMessage::UserCame { dev, user, conn } => owned.user_came((dev, user), from, conn, effects),
            RingMessage::UserWent { dev, user, conn } => owned.user_went((dev, user), from, conn, now, effects),
            RingMessage::Send(send) => owned.send_personal(from, *send, now, effects),
            RingMessage::PersonalTaken { ask, connections } => owned.personal_taken(ask, connections, effects),
            RingMessage::Flushed { flush, taken } => owned.flushed(from, *flush, taken, effects),

            // To the owner of an address or a publisher
            RingMessage::Admit { address, conn, counting } => {
                owned.decide_admission(from, conn, (address, counting), now, effects);
            }
            RingMessage::AddressLeft { address, counting } => owned.address_left(address, counting),
            RingMessage::AddressHas { address, connections, counting } => {
                owned.address_has(address, connections, counting);
            }
            RingMessage::Submit(submit) => owned.submitted(from, *submit, now, effects),
            RingMessage::Count { publisher } => owned.count(publisher, now),
            RingMessage::KeyTried(tried) => owned.key_tried(&tried, now, effects),
            RingMessage::AskKey(ask) => owned.key_asked(from, &ask, now, effects),

            // To the shard of connections
            RingMessage::Deliver { publication, interest } => local.deliver(publication, interest, effects),
            RingMessage::Recovered(recovered) => recovered.into_iter().for_each(|one| local.recovered(one)),
            RingMessage::Personal { dev, user, personal, ask } => {
                local.personal(from, (dev, user), personal, ask, effects);
            }
            RingMessage::Flush(flush) => local.flush(from, flush, effects),
            RingMessage::Fanned { conn, publication, shards, stored } => {
                local.fanned(conn, Fanned { publication, shards, stored }, effects);
            }
            RingMessage::Delivered { conn, connections } => local.delivered(conn, connections, effects),
            RingMessage::NotPublished { conn, wait_ms } => local.not_published(conn, wait_ms, effects),
            RingMessage::EndUsers(ended) => local.end_users(&ended, effects),
            RingMessage::EndToken { dev, token } => local.end_token(dev, &token, effects),
            RingMessage::KeyAnswer { id, may_be_tried } => local.key_answered(id, may_be_tried, effects),
            RingMessage::Wary { address } => local.be_wary(address, now.time),
            RingMessage::Admitted { address, conn, wait_s, counting } => {
                local.admitted(conn, address, wait_s, counting, effects);
            }
            RingMessage::Answered(answered) => local.answered(*answered, effects),

            RingMessage::Ask(ask) => self.asked(from, *ask),

            // Only the CometQL shard publishes for statements; polls and batches are the edge's.
            RingMessage::Accepted { .. }
            | RingMessage::Repeated { .. }
            | RingMessage::Refused { .. }
            | RingMessage::Poll(_)
            | RingMessage::Polled(_)
            | RingMessage::Batch(_)
            | RingMessage::BatchDone(_) => never!("a hub is not told what is for others"),
        }
    }

    fn asked(&mut self, from: ShardId, ask: Ask) {
        let Self { local, owned, effects, .. } = self;
        let replies = match ask.question {
            Question::PipeCounts(keys) => owned.subscribers(&keys),
            Question::HasHistory(pipe) => owned.has_history(&pipe),
            Question::Online(dev, users) => owned.online(dev, &users),
            Question::Members { pipe, before, rows } => local.members(&pipe, before, rows),
            Question::Connections { dev, after, rows } => local.list_connections(dev, after, rows),
            Question::Pipes { dev, after, rows } => local.list_pipes(dev, after, rows),
            Question::PipeCountsFrom { shard, pipes } => owned.subscribers_from(&pipes, shard),
            Question::Held { .. } => {
                never!("the edge, which knows what waits for connections, is asked for what they take");
                Replies::Held { held: Vec::new(), next: None }
            }
            Question::Kill { dev, conn } => local.kill(dev, conn, effects),
        };
        effects.send(from, RingMessage::Answered(Box::new(Answered { id: ask.id, replies })));
    }
}
