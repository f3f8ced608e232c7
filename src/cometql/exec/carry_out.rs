//! Plans carried out: what owners are told and asked, what storage is given, and rows on their way to the client.

use std::cell::RefCell;
use std::sync::Arc;

use crate::cometql::budget::Budget;
use crate::cometql::errors::{Code, Error};
use crate::cometql::introspection::{Answered, Catalog, Figures, LiveQuery};
use crate::cometql::plan::{Draft, Letter, Plan, Reply, Source};
use crate::cometql::rows::Row;
use crate::model::{CloseReason, ConnId, DevId, Personal, PipeKey, PipeName, Publication, ShardId, UnixTime};
use crate::ring::{Ask, AskId, LengthChange, Placement, Question, Refusal, RingMessage, Send, SetLength, StatementId};
use crate::storage::{Job, Read, Request, Ticket, Write};

use super::answers::storage_failure;
use super::cursor::{Cursor, Step};
use super::session::Session;
use super::stage::{Entry, Gathering, Orders, Stage, Start, Stream};
use super::tenants::Reach;
use super::turns::{PUBLICATION_WORK, ROWS_WORK, STATEMENT_WORK};
use super::{Exec, LiveRows, Output, StoredFor, instruct, numbers, told};

impl Exec {
    /// The stage in which a lone statement comes into the queue. What may overlap with what is under way is sent at once.
    pub(super) fn stage(&mut self, session: &mut Session, planned: Result<Plan, Error>) -> Stage {
        let at_once = session.overlaps();
        let statement = StatementId { session: session.id, number: session.next_number() };
        match planned {
            Ok(Plan::Publish(drafts)) if at_once => {
                self.spend_on_rows(session, drafts.len());
                session.writes();
                self.publish_all(session.dev, statement, drafts)
            }
            Ok(Plan::Send(letters)) if at_once => {
                self.spend_on_rows(session, letters.len());
                session.writes();
                self.send_all(session.dev, statement, letters)
            }
            Ok(plan) => Stage::Planned(Box::new(plan)),
            Err(error) => {
                self.spend(session, STATEMENT_WORK);
                Stage::Failed(error)
            }
        }
    }

    /// So many rows are handed to owners or storage.
    fn spend_on_rows(&mut self, session: &mut Session, rows: usize) {
        self.spend(session, u32::try_from(rows).unwrap_or(u32::MAX).saturating_mul(PUBLICATION_WORK));
    }

    fn publish_all(&mut self, dev: DevId, statement: StatementId, drafts: Vec<Draft>) -> Stage {
        self.counters.inserts += drafts.len() as u64;
        let left = self.order(drafts, |placement, Draft { pipe, event, message, wishes }| {
            let key = Arc::new(PipeKey { dev, name: pipe });
            let to = placement.owner_of_pipe(&key);
            let mut publication = Box::new(Publication::new(key, event, message));
            publication.wishes = wishes;
            (to, RingMessage::Publish { publication, statement: Some(statement) })
        });
        Stage::Ordering(Orders {
            left,
            refusal: None,
            reply: Reply::Ok { affected: 0, insert_id: 0 },
            counted: false,
            overlap: true,
            repeated: false,
        })
    }

    fn send_all(&mut self, dev: DevId, statement: StatementId, letters: Vec<Letter>) -> Stage {
        let insert_id = letters.first().map_or(0, |letter| letter.user.get().into());
        let left = self.order(letters, |placement, Letter { user, event, message, expires_in }| {
            let personal = Arc::new(Personal::new(event, message));
            let send = Send { dev, user, personal, expires_in, statement };
            (placement.owner_of_user(dev, user), RingMessage::Send(Box::new(send)))
        });
        Stage::Ordering(Orders {
            left,
            refusal: None,
            reply: Reply::Ok { affected: 0, insert_id },
            counted: false,
            overlap: true,
            repeated: false,
        })
    }

    /// What is published behind it is kept by the new length, so nothing overtakes it.
    fn set_lengths(&mut self, dev: DevId, statement: StatementId, changes: Vec<(PipeName, LengthChange)>) -> u32 {
        self.order(changes, |placement, (name, change)| {
            let pipe = PipeKey { dev, name };
            (placement.owner_of_pipe(&pipe), RingMessage::SetLength(Box::new(SetLength { pipe, change, statement })))
        })
    }

    /// Tells owners what to do; each answers once. Returns how often that will be.
    fn order<T>(&mut self, orders: Vec<T>, message: impl Fn(&Placement, T) -> (ShardId, RingMessage)) -> u32 {
        let count = orders.len() as u32;
        for order in orders {
            let (to, message) = message(&self.config.placement, order);
            self.outputs.push_back(Output::Ring { to, message });
        }
        count
    }

    /// Answers what can be answered at the front of the queue, and begins what then stands there.
    pub(super) fn advance(&mut self, session: &mut Session, live: LiveRows<'_>) {
        self.answer_front(session);
        while session.can_go_on() && !self.has_done_enough(session) {
            if let Some((start, script)) = session.take_script() {
                self.read_next(session, start, script);
            } else if let Some(plan) = session.take_planned() {
                let stage = self.begin(session, plan, live);
                session.begun(stage);
            } else if let Some(gathering) = session.take_gathering() {
                let stage = self.gather(session, gathering, live);
                session.begun(stage);
            } else {
                self.stream(session);
            }
            self.answer_front(session);
        }
    }

    /// Answers what can be answered at the front of the queue, and begins nothing.
    pub(super) fn answer_front(&mut self, session: &mut Session) {
        while let Some(entry) = session.queue.pop_front() {
            let Entry { start, more, binary, stage, note } = entry;
            let result = match stage {
                Stage::Ordering(Orders { left: 0, refusal, reply, overlap, repeated, .. }) => {
                    if overlap {
                        session.memory.published(repeated);
                    }
                    refusal.map_or(Ok(reply), Err)
                }
                Stage::Ready(bytes) => {
                    session.out.extend_from_slice(&bytes);
                    session.popped();
                    continue;
                }
                Stage::Failed(error) => Err(error),
                Stage::Done(result) => result,
                waiting => {
                    session.queue.push_front(Entry { start, more, binary, stage: waiting, note });
                    break;
                }
            };
            self.counters.statement_errors += u64::from(result.is_err());
            let outcome = told::outcome(&result);
            session.answer(start, more, binary, result);
            self.tell(session, note, outcome);
        }
        if !session.out.is_empty() || session.paused || session.is_closing() {
            self.touch(session);
        }
    }

    fn begin(&mut self, session: &mut Session, plan: Plan, live: LiveRows<'_>) -> Stage {
        let statement = StatementId { session: session.id, number: session.front_number() };
        self.spend(session, STATEMENT_WORK);
        self.spend_on_rows(session, plan.rows_written());
        session.touches(&plan);
        match plan {
            Plan::Later(statement) => match self.plan_later(session, &statement) {
                Ok(plan) => self.begin(session, plan, live),
                Err(error) => Stage::Failed(error),
            },
            Plan::Remember(memory) => self.begin_set(session, *memory),
            Plan::Transaction(transaction) => session.carry_out(transaction),
            Plan::Reply(reply) => Stage::Done(Ok(reply)),
            Plan::Publish(drafts) => self.publish_all(session.dev, statement, drafts),
            Plan::Send(letters) => self.send_all(session.dev, statement, letters),
            Plan::SetLengths { lengths, reply } => {
                let deletes = lengths.iter().all(|(_, length)| length.is_none());
                let counted = deletes && self.config.delete_counts;
                let change =
                    |(pipe, length): (_, Option<u32>)| (pipe, length.map_or(LengthChange::Remove, LengthChange::Put));
                let left = self.set_lengths(session.dev, statement, lengths.into_iter().map(change).collect());
                Stage::Ordering(Orders { left, refusal: None, reply, counted, overlap: false, repeated: false })
            }
            Plan::UpdateLengths(lengths) => self.change_lengths(session, statement, lengths, LengthChange::Update),
            Plan::AddLengths(lengths) => self.change_lengths(session, statement, lengths, LengthChange::Add),
            Plan::Write { writes, reply } => {
                self.store(session, Request::Write(writes));
                Stage::Writing { reply, counted: false }
            }
            Plan::Delete(writes) => {
                self.store(session, Request::Write(writes));
                Stage::Writing { reply: NOTHING, counted: self.config.delete_counts }
            }
            Plan::Update(writes) => {
                self.store(session, Request::Write(writes));
                Stage::Writing { reply: NOTHING, counted: true }
            }
            Plan::Read { source, query } => {
                let cursor = Cursor::new(session.dev, session.reach, source);
                Stage::Streaming(Box::new(Stream::new(cursor, query.stream())))
            }
            Plan::UseDatabase(database) => Stage::Done(session.may_enter(database).map(|()| {
                session.use_database(database);
                Reply::Ok { affected: 0, insert_id: 0 }
            })),
            Plan::Instruct(instruction) => self.instruct(session, instruction),
            Plan::Kill(number) => self.kill(session, number),
            Plan::Live(LiveQuery { figures: Figures::Log, .. }) if !session.may_instruct() => {
                Stage::Failed(instruct::not_allowed())
            }
            Plan::Live(LiveQuery { figures, query }) => {
                let rows = self.figures(session, figures, live);
                self.spend_on_list(session, rows.len());
                Stage::Done(query.apply(rows).map(Reply::Rows))
            }
            Plan::Catalog(catalog) => match catalog.processes() {
                Some(now) => {
                    let cursor = Cursor::new(session.dev, session.reach, Source::Processes(now));
                    Stage::Gathering(Box::new(Gathering::new(catalog, cursor)))
                }
                None => self.answer_catalog(session, &catalog, Vec::new(), live),
            },
        }
    }

    /// The owners tell how many settings that concerns.
    fn change_lengths(
        &mut self,
        session: &Session,
        statement: StatementId,
        lengths: Vec<(PipeName, u32)>,
        change: fn(u32) -> LengthChange,
    ) -> Stage {
        let changes = lengths.into_iter().map(|(pipe, length)| (pipe, change(length))).collect();
        let left = self.set_lengths(session.dev, statement, changes);
        Stage::Ordering(Orders { left, refusal: None, reply: NOTHING, counted: true, overlap: false, repeated: false })
    }

    fn answer_catalog(
        &mut self,
        session: &mut Session,
        catalog: &Catalog,
        processes: Vec<Row>,
        live: LiveRows<'_>,
    ) -> Stage {
        let processes = RefCell::new(processes);
        let budget = Budget::default();
        let Answered { rows, assigned } = catalog.answer(&budget, &|figures| match figures {
            // Asked for once: they are remembered.
            Figures::Processes => processes.take(),
            other => self.figures(session, other, live),
        });
        self.spend_on_query(session, budget.spent());
        let kept = rows.and_then(|rows| self.keep_assigned(session, assigned).map(|()| rows));
        Stage::Done(kept.map(Reply::Rows))
    }

    /// Goes on with the list of sessions and connections that a query needs; its answer once that is whole.
    fn gather(&mut self, session: &mut Session, mut gathering: Box<Gathering>, live: LiveRows<'_>) -> Stage {
        loop {
            if let Some(error) = gathering.failure.take() {
                return Stage::Failed(error);
            }
            match gathering.cursor.next(&self.config.placement) {
                Step::End => {
                    let Gathering { catalog, rows, .. } = *gathering;
                    return self.answer_catalog(session, &catalog, rows, live);
                }
                Step::Sessions(now) => {
                    let rows = self.processes(session, now);
                    self.spend_on_list(session, rows.len());
                    gathering.push(rows);
                }
                Step::Ledger => {
                    self.ask_ledger(session);
                    return Stage::Gathering(gathering);
                }
                Step::Ask { questions, read } => {
                    self.ask(session, questions, read);
                    return Stage::Gathering(gathering);
                }
            }
        }
    }

    /// Goes on with the result set at the front: looks at what has come, writes what is known of it and asks for more,
    /// unless the client has enough to read or the session has done enough.
    fn stream(&mut self, session: &mut Session) {
        let Some(Entry { start, more, binary, stage, note }) = session.queue.pop_front() else {
            never!("what goes on stands at the front");
            return;
        };
        let mut stream = match stage {
            Stage::Streaming(stream) => stream,
            stage => return session.queue.push_front(Entry { start, more, binary, stage, note }),
        };
        let mut left = ROWS_WORK;
        loop {
            self.look(session, start, binary, &mut stream, &mut left);
            let idle = stream.is_idle();
            if stream.failure.is_some() || stream.rows.is_complete() && idle {
                self.counters.statement_errors += u64::from(stream.failure.is_some());
                let outcome = stream.failure.as_ref().map_or(Ok(stream.written), |error| Err(error.code.number()));
                session.end_rows(start, more, binary, &mut stream);
                return self.tell(session, note, outcome);
            }
            if left == 0 {
                self.rest(session);
            }
            if session.is_held_up() || session.rests {
                break;
            }
            if !idle {
                continue;
            }
            if !stream.rows.wants_more() {
                stream.rows.finish();
                continue;
            }
            match stream.cursor.next(&self.config.placement) {
                Step::End => stream.rows.finish(),
                Step::Sessions(now) => {
                    let rows = self.processes(session, now);
                    left = left.saturating_sub(self.spend_on_list(session, rows.len()));
                    stream.push(Ok(rows));
                }
                Step::Ledger => {
                    self.ask_ledger(session);
                    break;
                }
                Step::Ask { questions, read } => {
                    self.ask(session, questions, read);
                    break;
                }
            }
        }
        session.queue.push_front(Entry { start, more, binary, stage: Stage::Streaming(stream), note });
    }

    /// Looks at rows and writes them, for so many steps at the most.
    fn look(&mut self, session: &mut Session, start: Start, binary: bool, stream: &mut Stream, left: &mut u32) {
        let looked = stream.rows.look(*left).unwrap_or_else(|error| {
            stream.rows.abandon();
            stream.failure = Some(error);
            0
        });
        let steps_per_row = stream.rows.steps_per_row();
        let most = (left.saturating_sub(looked) / steps_per_row).max(u32::from(*left > 0));
        let written = session.write_known(start, binary, stream, most).saturating_mul(steps_per_row);
        let steps = looked.saturating_add(written);
        *left = left.saturating_sub(steps);
        self.spend_on_query(session, steps);
    }

    /// A list that only this shard has was made; says how many steps that took.
    fn spend_on_list(&mut self, session: &mut Session, rows: usize) -> u32 {
        let steps = u32::try_from(rows).unwrap_or(u32::MAX).saturating_mul(STEPS_PER_ROW);
        self.spend_on_query(session, steps);
        steps
    }

    /// What a cursor wants to know.
    fn ask(&mut self, session: &Session, questions: Vec<(ShardId, Vec<usize>, Question)>, read: Option<Read>) {
        for (to, places, question) in questions {
            self.send_question(session.id, to, places, question);
        }
        if let Some(read) = read {
            let bytes_max = self.config.statements.result_bytes_max;
            self.store(session, Request::Read { read, bytes_max });
        }
    }

    fn ask_ledger(&mut self, session: &Session) {
        let id = self.draw_number();
        self.asks.insert(id, (session.id, Vec::new()));
        self.outputs.push_back(Output::AskLedger(AskId(id)));
    }

    fn send_question(&mut self, session: ConnId, to: ShardId, places: Vec<usize>, question: Question) {
        let id = self.draw_number();
        self.asks.insert(id, (session, places));
        let message = RingMessage::Ask(Box::new(Ask { id: AskId(id), question }));
        self.outputs.push_back(Output::Ring { to, message });
    }

    fn store(&mut self, session: &Session, request: Request) {
        let (mut hashes_deleted, mut tokens_revoked) = (Vec::new(), Vec::new());
        if let Request::Write(writes) = &request {
            for write in writes {
                match write {
                    Write::DeleteHash { user, .. } => hashes_deleted.push(*user),
                    Write::PutRevoked { token, .. } => tokens_revoked.push(token.as_ref().into()),
                    _ => {}
                }
            }
        }
        let number = self.draw_number();
        self.jobs.insert(number, StoredFor { session: session.id, dev: session.dev, hashes_deleted, tokens_revoked });
        self.outputs.push_back(Output::Store(Job { ticket: Ticket(number), request }));
    }

    /// The rows of live figures.
    fn figures(&self, session: &Session, figures: Figures, live: LiveRows<'_>) -> Vec<Row> {
        match figures {
            // What the threads do concerns all tenants.
            Figures::Processlist if session.reach == Reach::Tenant => {
                let own = self.sessions_seen_by(session);
                own.iter()
                    .map(|seen| ["cometql", &seen.wire.id().to_string(), "0", "0"].map(Box::from).into())
                    .collect()
            }
            other => live(other, session.dev),
        }
    }

    /// Rows of the sessions in `SHOW FULL PROCESSLIST` and `information_schema.PROCESSLIST`.
    fn processes(&self, own: &Session, now: UnixTime) -> Vec<Row> {
        let seen = self.sessions_seen_by(own);
        // What asks is busy, though it is not in its queue while it is carried out.
        let busy = |seen: &Session| seen.id == own.id || !seen.queue.is_empty();
        seen.into_iter().map(|seen| seen.process(busy(seen), now)).collect()
    }

    /// This session, which is taken out of the list of all, and those that it may know of; by number.
    fn sessions_seen_by<'a>(&'a self, own: &'a Session) -> Vec<&'a Session> {
        let others = self.all_sessions();
        let mut seen: Vec<&Session> = others.filter(|other| own.sees(other)).chain([own]).collect();
        seen.sort_unstable_by_key(|session| session.wire.id());
        seen
    }

    /// Ends a session that this one may see, or a browser connection of its tenant.
    fn kill(&mut self, session: &mut Session, number: u64) -> Stage {
        if let Some((shard, conn)) = numbers::conn_of(number) {
            if shard.0 >= self.config.placement.connection_shards() {
                return Stage::Failed(session.no_connection(number));
            }
            self.send_question(session.id, shard, Vec::new(), Question::Kill { dev: session.dev, conn });
            return Stage::Killing(number);
        }
        let done = Stage::Done(Ok(Reply::Ok { affected: 0, insert_id: 0 }));
        if u64::from(session.wire.id()) == number {
            session.close_when_answered(CloseReason::Killed);
            return done;
        }
        let id = u32::try_from(number).unwrap_or_default();
        let target = self.connections.get(&id).copied().and_then(|target| self.session(target));
        let Some(target) = target.filter(|target| session.sees(target)).map(|target| target.id) else {
            return Stage::Failed(session.no_connection(number));
        };
        if target.is_polled() {
            self.kill_batch(target);
        } else {
            self.outputs.push_back(Output::Close { session: target, reason: CloseReason::Killed });
        }
        done
    }
}

const NOTHING: Reply = Reply::Ok { affected: 0, insert_id: 0 };

/// A row of live figures takes the time of so many steps of a query about the server.
const STEPS_PER_ROW: u32 = 8;

/// What the backend is told of an owner's refusal.
pub(super) fn refused(refusal: &Refusal) -> Error {
    match refusal {
        Refusal::Storage(error) => storage_failure(error),
        Refusal::TooManySettings => {
            Error::new(Code::Internal, "There are as many pipes with a length as there may be: delete some settings")
        }
        Refusal::TooManyKeys => {
            let text =
                "As many idempotency keys were used in the last five minutes as are remembered: nothing was published";
            Error::new(Code::Internal, text)
        }
    }
}
