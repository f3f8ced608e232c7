//! What every engine has to do. Each test gets a place of its own, which it opens as often as it likes.

use encke::model::{DevId, EventName, MessageId, PipeKey, PipeName, Position, UnixTime, UserId};
use encke::storage::{
    Call, Completion, Expired, Job, Outcome, Page, Place, Read, Request, Retention, Since, Store, StoredMessage,
    Ticket, Write,
};

#[path = "ends.rs"]
mod ends;
#[path = "keys.rs"]
mod keys;
#[path = "missed.rs"]
mod missed;
#[path = "removals.rs"]
mod removals;
#[path = "starts.rs"]
mod starts;

pub(crate) use ends::*;
pub(crate) use keys::*;
pub(crate) use missed::*;
pub(crate) use removals::*;
pub(crate) use starts::*;

/// Opens the place of a test.
pub(crate) type Open<'a> = &'a mut dyn FnMut(Retention) -> Box<dyn Store>;

/// One `#[test]` for each function of this file, which hands it to `$run` with its name.
macro_rules! tests_of_any_engine {
    ($run:path) => {
        tests_of_any_engine! { $run:
            keys_come_in_their_order_page_by_page
            rows_survive_a_reopening_and_tenants_stay_apart
            a_group_sees_its_own_writes_in_order
            texts_are_kept_whole
            rows_are_counted
            what_is_updated_was_there
            what_is_put_if_absent_replaces_nothing
            a_login_hears_hash_and_revocation
            a_queue_is_read_in_pages_and_emptied_by_ids
            a_queue_keeps_the_newest
            a_history_keeps_its_length
            a_pipe_without_setting_keeps_nothing_unless_it_is_trusted
            settings_are_told_at_the_start
            a_deleted_setting_takes_its_history_along
            messages_of_a_history_are_deleted_by_id
            pages_end_after_rows_or_bytes
            revoked_tokens_are_listed_in_pages
            calls_are_read_by_name
            what_is_too_old_goes
            writes_may_be_repeated
            keys_of_publications_are_told_at_the_start_and_go
            what_has_expired_is_told_to_nobody_and_goes
            a_history_that_something_expired_from_is_as_whole_as_before
            a_great_many_ids_are_deleted_at_once
            a_large_group_is_carried_out_in_order
            what_was_missed_is_found_whole_or_not_at_all
            the_newest_are_told_in_any_case
            a_history_that_lost_messages_says_so
            a_longer_length_does_not_hide_what_went
            trusted_pipes_are_whole_as_far_as_the_retention_goes
            after_a_clock_that_was_ahead_positions_go_on
            histories_without_a_setting_are_told_at_the_start
            many_pipes_are_looked_into_at_once
            what_comes_while_a_history_is_removed_stays
            what_is_removed_goes_in_pieces
            what_is_removed_is_counted
            a_history_that_is_removed_is_not_whole
            settings_change_when_what_is_beyond_them_is_gone
            what_goes_with_a_setting_is_not_taken_for_whole
            names_that_differ_in_case_are_different
            what_is_too_old_goes_in_pieces
        }
    };
    ($run:path: $($name:ident)+) => {
        $(#[test]
        fn $name() {
            $run(stringify!($name), any::$name);
        })+
    };
}

const ALL: Page = Page { rows: 10_000, bytes: 1 << 30 };
const ONE: DevId = DevId(1);

fn user(id: u32) -> UserId {
    UserId::new(id).unwrap()
}

fn pipe(name: &str) -> PipeKey {
    PipeKey { dev: ONE, name: PipeName::new(name.as_bytes()).unwrap() }
}

/// The message of this number: they are in the order of their numbers, ten in a second.
fn numbered(number: u64) -> StoredMessage {
    let position = Position::default().next(1_700_000_000_000_000 + number * 100_000);
    StoredMessage {
        id: MessageId::new(position, number.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        time: position.time().0,
        event: EventName::new(b"event-1").unwrap(),
        message: format!("message {number}").into(),
        sender: user(0),
        expires: 0,
    }
}

fn run(store: &mut dyn Store, requests: Vec<Request>) -> Vec<Outcome> {
    let jobs: Vec<Job> =
        requests.into_iter().enumerate().map(|(n, request)| Job { ticket: Ticket(n as u64), request }).collect();
    let mut completions: Vec<Completion> = Vec::new();
    while completions.len() < jobs.len() {
        completions.extend(store.run(&jobs[completions.len()..]));
    }
    assert!(completions.iter().zip(&jobs).all(|(completion, job)| completion.ticket == job.ticket));
    completions.into_iter().map(|completion| completion.result.unwrap()).collect()
}

fn read(store: &mut dyn Store, read: Read) -> Outcome {
    run(store, vec![Request::Read { read, bytes_max: usize::MAX }]).remove(0)
}

fn write(store: &mut dyn Store, write: Write) -> u64 {
    writes(store, vec![write])
}

fn writes(store: &mut dyn Store, writes: Vec<Write>) -> u64 {
    match run(store, vec![Request::Write(writes)]).remove(0) {
        Outcome::Written { rows } => rows,
        other => panic!("{other:?}"),
    }
}

fn put_hash(dev: u32, id: u32, hash: &str) -> Write {
    Write::PutHash { dev: DevId(dev), user: user(id), hash: hash.into() }
}

fn hashes(dev: u32, ids: &[u32]) -> Request {
    let users = ids.iter().copied().map(user).collect();
    Request::Read { read: Read::Hashes { dev: DevId(dev), users }, bytes_max: usize::MAX }
}

fn queued(id: u32, number: u64) -> Write {
    Write::PutQueued { dev: ONE, user: user(id), message: numbered(number) }
}

fn put_history(pipe: &PipeKey, number: u64, trim: bool) -> Write {
    Write::PutHistory { pipe: pipe.clone(), message: numbered(number), trim }
}

fn setting(pipe: &PipeKey, length: u32) -> Write {
    Write::PutSetting { pipe: pipe.clone(), length, begun: Position::default() }
}

fn messages(outcome: Outcome) -> (Vec<StoredMessage>, bool) {
    match outcome {
        Outcome::Messages { rows, more } => (rows, more),
        other => panic!("{other:?}"),
    }
}

fn queue(store: &mut dyn Store, id: u32) -> Vec<StoredMessage> {
    messages(read(store, Read::Queue { dev: ONE, user: user(id), after: None, page: ALL })).0
}

fn history(store: &mut dyn Store, pipe: &PipeKey) -> Vec<StoredMessage> {
    let (rows, more) = messages(read(store, Read::History { pipe: pipe.clone(), after: None, page: ALL }));
    assert!(!more);
    rows
}

fn of_numbers(numbers: impl IntoIterator<Item = u64>) -> Vec<StoredMessage> {
    numbers.into_iter().map(numbered).collect()
}

pub(crate) fn rows_survive_a_reopening_and_tenants_stay_apart(open: Open<'_>) {
    let mut store = open(Retention::default());
    let puts = vec![put_hash(1, 5, "first"), put_hash(2, 5, "other"), put_hash(1, 6, "six")];
    assert_eq!(writes(&mut *store, puts), 3);
    assert_eq!(write(&mut *store, put_hash(1, 5, "second")), 1);
    writes(&mut *store, vec![queued(5, 1), setting(&pipe("news"), 5), put_history(&pipe("news"), 2, true)]);
    drop(store);
    let mut store = open(Retention::default());
    assert_eq!(
        run(&mut *store, vec![hashes(1, &[6, 7, 5])]),
        [Outcome::Texts(vec![(user(6), "six".into()), (user(5), "second".into())])]
    );
    assert_eq!(queue(&mut *store, 5), of_numbers([1]));
    assert_eq!(history(&mut *store, &pipe("news")), of_numbers([2]));
    let other = PipeKey { dev: DevId(2), ..pipe("news") };
    assert_eq!(history(&mut *store, &other), []);
    let of_other = Read::Queue { dev: DevId(2), user: user(5), after: None, page: ALL };
    assert_eq!(read(&mut *store, of_other), Outcome::Messages { rows: vec![], more: false });
    write(&mut *store, Write::DeleteHash { dev: ONE, user: user(5) });
    assert_eq!(
        run(&mut *store, vec![hashes(1, &[5]), hashes(2, &[5])]),
        [Outcome::Texts(vec![]), Outcome::Texts(vec![(user(5), "other".into())])]
    );
}

pub(crate) fn a_group_sees_its_own_writes_in_order(open: Open<'_>) {
    let mut store = open(Retention::default());
    let put = |hash| Request::Write(vec![put_hash(0, 1, hash)]);
    let requests = vec![put("a"), hashes(0, &[1]), put("b"), put("c"), hashes(0, &[1])];
    let outcomes = run(&mut *store, requests);
    assert_eq!(outcomes[1], Outcome::Texts(vec![(user(1), "a".into())]));
    assert_eq!(outcomes[4], Outcome::Texts(vec![(user(1), "c".into())]));
}

pub(crate) fn texts_are_kept_whole(open: Open<'_>) {
    let mut store = open(Retention::default());
    let text: Box<str> = "\u{1f600} \"'\\ \0 \n \u{ffff} trailing ".into();
    let long: Box<str> = "\u{1f600}".repeat(100_000).into();
    let nine = user(9);
    let message = StoredMessage { message: long.clone(), event: EventName::default(), ..numbered(1) };
    let puts = vec![
        Write::PutUserData { dev: ONE, user: nine, data: text.clone() },
        Write::PutLastSeen { dev: ONE, user: nine, time: 1_700_000_000 },
        Write::PutQueued { dev: ONE, user: nine, message: message.clone() },
        put_hash(1, 9, ""),
    ];
    assert_eq!(writes(&mut *store, puts), 4);
    assert_eq!(read(&mut *store, Read::UserData { dev: ONE, users: vec![nine] }), Outcome::Texts(vec![(nine, text)]));
    assert_eq!(
        read(&mut *store, Read::LastSeen { dev: ONE, users: vec![nine, user(1)] }),
        Outcome::Times(vec![(nine, 1_700_000_000)])
    );
    assert_eq!(queue(&mut *store, 9), [message]);
    assert_eq!(run(&mut *store, vec![hashes(1, &[9])]), [Outcome::Texts(vec![(nine, "".into())])]);
}

pub(crate) fn what_is_put_if_absent_replaces_nothing(open: Open<'_>) {
    let mut store = open(Retention::default());
    let absent = |write: Write| Write::IfAbsent(Box::new(write));
    let data = |text: &str| Write::PutUserData { dev: DevId(1), user: user(5), data: text.into() };
    let pipe = pipe("news");
    for (put, other) in [
        (put_hash(1, 5, "first"), put_hash(1, 5, "second")),
        (data("first"), data("second")),
        (setting(&pipe, 3), setting(&pipe, 9)),
    ] {
        assert_eq!(write(&mut *store, absent(put)), 1);
        assert_eq!(write(&mut *store, absent(other)), 0);
    }
    // Several in one group see each other.
    let group = vec![absent(put_hash(1, 6, "a")), absent(put_hash(1, 6, "b")), put_hash(1, 7, "c")];
    assert_eq!(writes(&mut *store, group), 2);
    let outcome = run(&mut *store, vec![hashes(1, &[5, 6, 7])]);
    let texts = [(user(5), "first".into()), (user(6), "a".into()), (user(7), "c".into())];
    assert_eq!(outcome, [Outcome::Texts(texts.to_vec())]);
    let read_data = Read::UserData { dev: DevId(1), users: vec![user(5)] };
    assert_eq!(read(&mut *store, read_data), Outcome::Texts(vec![(user(5), "first".into())]));
    let settings = Read::Settings { dev: pipe.dev, pipes: vec![pipe.name.clone()] };
    assert_eq!(read(&mut *store, settings), Outcome::Lengths(vec![(pipe.name, 3)]));
}

pub(crate) fn what_is_updated_was_there(open: Open<'_>) {
    let mut store = open(Retention::default());
    let (five, six) = (user(5), user(6));
    let hash = |user, hash: &str| Write::UpdateHash { dev: ONE, user, hash: hash.into() };
    let data = |user, data: &str| Write::UpdateUserData { dev: ONE, user, data: data.into() };
    let puts = vec![put_hash(1, 5, "old"), Write::PutUserData { dev: ONE, user: six, data: "old".into() }];
    assert_eq!(writes(&mut *store, puts), 2);
    assert_eq!(writes(&mut *store, vec![hash(five, "new"), hash(six, "new")]), 1);
    assert_eq!(writes(&mut *store, vec![data(five, "new")]), 0);
    assert_eq!(writes(&mut *store, vec![data(six, "new")]), 1);
    assert_eq!(writes(&mut *store, vec![data(six, "new"), hash(five, "new")]), 2, "as it was, and there all the same");
    assert_eq!(run(&mut *store, vec![hashes(1, &[5, 6])]), [Outcome::Texts(vec![(five, "new".into())])]);
    let read_data = Read::UserData { dev: ONE, users: vec![five, six] };
    assert_eq!(read(&mut *store, read_data), Outcome::Texts(vec![(six, "new".into())]));
    let news = pipe("news");
    let update = || Write::UpdateSetting { pipe: news.clone(), length: 1, begun: Position(0) };
    assert_eq!(writes(&mut *store, vec![update(), put_history(&news, 1, true)]), 0);
    assert_eq!(
        writes(&mut *store, vec![setting(&news, 3), put_history(&news, 1, true), put_history(&news, 2, true)]),
        3
    );
    assert_eq!(writes(&mut *store, vec![update()]), 1);
    assert_eq!(history(&mut *store, &news), of_numbers(2..=2), "a shorter length takes effect at once");
}

pub(crate) fn rows_are_counted(open: Open<'_>) {
    let mut store = open(Retention::default());
    let news = pipe("news");
    let token = || "a.b.c".into();
    let counted = |store: &mut dyn Store, each: Vec<(Write, u64)>| {
        for (one, rows) in each {
            assert_eq!(write(store, one.clone()), rows, "{one:?}");
        }
    };
    let (dev, user) = (ONE, user(1));
    counted(
        &mut *store,
        vec![
            (put_hash(1, 1, "x"), 1),
            (put_hash(1, 1, "x"), 1),
            (Write::DeleteHash { dev, user }, 1),
            (Write::DeleteHash { dev, user }, 0),
            (Write::DeleteUserData { dev, user }, 0),
            (queued(1, 1), 1),
            (queued(1, 2), 1),
            (queued(1, 3), 1),
            (Write::DeleteQueued { dev, user, ids: vec![numbered(2).id, numbered(9).id] }, 1),
            (Write::DeleteQueued { dev, user, ids: vec![] }, 0),
            (Write::DeleteQueue { dev, user }, 2),
            (Write::DeleteQueue { dev, user }, 0),
            (setting(&news, 2), 1),
            (setting(&news, 2), 1),
            (put_history(&news, 1, true), 1),
            (put_history(&news, 2, true), 1),
            (put_history(&news, 3, true), 1),
            (Write::DeleteHistory { pipe: news.clone() }, 2),
            (put_history(&news, 4, true), 1),
            (Write::DeleteSetting { pipe: news.clone(), begun: Position::default() }, 1),
            (Write::DeleteSetting { pipe: news.clone(), begun: Position::default() }, 0),
            (Write::PutRevoked { dev, token: token(), expires: None }, 1),
            (Write::PutRevoked { dev, token: token(), expires: Some(5) }, 1),
            (Write::DeleteRevoked { dev, token: token() }, 1),
            (Write::DeleteRevoked { dev, token: token() }, 0),
        ],
    );
    assert_eq!(writes(&mut *store, vec![put_hash(1, 1, "x"), put_hash(1, 2, "x"), put_hash(1, 1, "y")]), 3);
}

pub(crate) fn a_login_hears_hash_and_revocation(open: Open<'_>) {
    let mut store = open(Retention::default());
    let login = |id, token: Option<&str>| Read::Login { dev: ONE, user: user(id), token: token.map(Box::from) };
    writes(
        &mut *store,
        vec![put_hash(1, 1, "hash"), Write::PutRevoked { dev: ONE, token: "A.b.sig".into(), expires: None }],
    );
    for (read_, hash, revoked) in [
        (login(1, None), Some("hash"), false),
        (login(1, Some("A.b")), Some("hash"), true),
        (login(2, Some("A.b")), None, true),
        // Byte by byte, and as long as it was.
        (login(1, Some("a.b")), Some("hash"), false),
        (login(1, Some("A.b ")), Some("hash"), false),
        (login(1, Some("A.")), Some("hash"), false),
        (login(1, Some("A.bc")), Some("hash"), false),
        (login(1, Some("A.b.sig")), Some("hash"), false),
        (login(2, None), None, false),
        (Read::Login { dev: DevId(2), user: user(1), token: Some("A.b".into()) }, None, false),
    ] {
        let expected = Outcome::Login { hash: hash.map(Box::from), revoked };
        assert_eq!(read(&mut *store, read_.clone()), expected, "{read_:?}");
    }
    let tokens = ["x", "A.b", "A.b.sig"].map(Box::from).to_vec();
    let expected = Outcome::Tokens { rows: vec!["A.b.sig".into()], more: false };
    assert_eq!(read(&mut *store, Read::Revoked { dev: ONE, tokens }), expected);
}

pub(crate) fn a_queue_is_read_in_pages_and_emptied_by_ids(open: Open<'_>) {
    let mut store = open(Retention::default());
    // Written in another order than they were sent.
    for number in [3, 1, 2, 25, 4, 11] {
        write(&mut *store, queued(7, number));
    }
    write(&mut *store, queued(8, 5));
    let mut after = None;
    let mut seen = Vec::new();
    let page = Page { rows: 2, ..ALL };
    for more in [true, true, false] {
        let outcome = read(&mut *store, Read::Queue { dev: ONE, user: user(7), after, page });
        let (rows, told) = messages(outcome);
        assert_eq!((rows.len(), told), (2, more));
        after = rows.last().map(StoredMessage::place);
        seen.extend(rows);
    }
    assert_eq!(seen, of_numbers([1, 2, 3, 4, 11, 25]));
    assert!(seen.iter().map(StoredMessage::place).is_sorted());
    let ids = seen.iter().take(5).map(|message| message.id).collect();
    assert_eq!(write(&mut *store, Write::DeleteQueued { dev: ONE, user: user(7), ids }), 5);
    assert_eq!(queue(&mut *store, 7), of_numbers([25]));
    // An id alone reaches nobody else's queue.
    let foreign = Write::DeleteQueued { dev: ONE, user: user(7), ids: vec![numbered(5).id] };
    assert_eq!(write(&mut *store, foreign), 0);
    assert_eq!(queue(&mut *store, 8), of_numbers([5]));
}

pub(crate) fn a_queue_keeps_the_newest(open: Open<'_>) {
    let retention = Retention { queue_messages_max: 3, ..Retention::default() };
    let mut store = open(retention);
    for number in 1..=5 {
        write(&mut *store, queued(1, number));
    }
    assert_eq!(queue(&mut *store, 1), of_numbers(3..=5));
    // Counted again after a restart, and after deletions.
    drop(store);
    let mut store = open(retention);
    write(&mut *store, queued(1, 6));
    assert_eq!(queue(&mut *store, 1), of_numbers(4..=6));
    write(&mut *store, Write::DeleteQueued { dev: ONE, user: user(1), ids: vec![numbered(5).id] });
    writes(&mut *store, vec![queued(1, 7), queued(1, 8)]);
    assert_eq!(queue(&mut *store, 1), of_numbers(6..=8));
    write(&mut *store, Write::DeleteQueue { dev: ONE, user: user(1) });
    for number in 9..=13 {
        write(&mut *store, queued(1, number));
    }
    assert_eq!(queue(&mut *store, 1), of_numbers(11..=13));
    // A smaller number takes effect with the next message.
    drop(store);
    let mut store = open(Retention { queue_messages_max: 2, ..retention });
    write(&mut *store, queued(1, 14));
    assert_eq!(queue(&mut *store, 1), of_numbers(13..=14));
}

pub(crate) fn a_history_keeps_its_length(open: Open<'_>) {
    let mut store = open(Retention::default());
    let news = pipe("news");
    write(&mut *store, setting(&news, 3));
    for number in 1..=5 {
        write(&mut *store, put_history(&news, number, false));
    }
    // Reads give no more than the length, also when nothing was trimmed.
    assert_eq!(history(&mut *store, &news), of_numbers(3..=5));
    let after = |number| Read::History { pipe: news.clone(), after: Some(numbered(number).place()), page: ALL };
    assert_eq!(messages(read(&mut *store, after(1))).0, of_numbers(3..=5));
    assert_eq!(messages(read(&mut *store, after(4))).0, of_numbers([5]));
    assert_eq!(messages(read(&mut *store, after(5))).0, []);
    write(&mut *store, put_history(&news, 6, true));
    // What was trimmed does not come back.
    write(&mut *store, setting(&news, 10));
    assert_eq!(history(&mut *store, &news), of_numbers(4..=6));
    write(&mut *store, setting(&news, 1));
    write(&mut *store, setting(&news, 10));
    assert_eq!(history(&mut *store, &news), of_numbers([6]));
    write(&mut *store, setting(&news, 0));
    write(&mut *store, setting(&news, 10));
    assert_eq!(history(&mut *store, &news), []);
    for number in 7..=16 {
        write(&mut *store, put_history(&news, number, true));
    }
    let newest = |rows| Read::NewestHistory { pipe: news.clone(), page: Page { rows, ..ALL } };
    assert_eq!(messages(read(&mut *store, newest(4))), (of_numbers(13..=16), false));
    assert_eq!(messages(read(&mut *store, newest(99))), (of_numbers(7..=16), false));
    assert_eq!(messages(read(&mut *store, newest(0))), (vec![], false));
}

pub(crate) fn a_pipe_without_setting_keeps_nothing_unless_it_is_trusted(open: Open<'_>) {
    let mut store = open(Retention { trust_messages_max: 2, ..Retention::default() });
    let (news, trust) = (pipe("news"), pipe("trust_log"));
    assert_eq!(write(&mut *store, put_history(&news, 1, true)), 0);
    write(&mut *store, setting(&news, 0));
    assert_eq!(write(&mut *store, put_history(&news, 2, true)), 0);
    write(&mut *store, setting(&news, 5));
    assert_eq!(history(&mut *store, &news), []);
    for number in 1..=3 {
        assert_eq!(write(&mut *store, put_history(&trust, number, false)), 1);
    }
    assert_eq!(history(&mut *store, &trust), of_numbers(2..=3));
    // With a setting it is a pipe as any other.
    writes(&mut *store, vec![setting(&trust, 4), put_history(&trust, 4, true), put_history(&trust, 5, true)]);
    assert_eq!(history(&mut *store, &trust), of_numbers(2..=5));
    writes(&mut *store, vec![setting(&trust, 0), put_history(&trust, 6, true)]);
    assert_eq!(history(&mut *store, &trust), []);
}

pub(crate) fn a_deleted_setting_takes_its_history_along(open: Open<'_>) {
    let mut store = open(Retention::default());
    let (news, old) = (pipe("news"), pipe("old"));
    for pipe in [&news, &old] {
        writes(&mut *store, vec![setting(pipe, 5)]);
    }
    writes(&mut *store, vec![put_history(&news, 1, false), put_history(&old, 2, false)]);
    write(&mut *store, Write::DeleteSetting { pipe: news.clone(), begun: Position::default() });
    write(&mut *store, setting(&news, 5));
    assert_eq!(history(&mut *store, &news), []);
    assert_eq!(history(&mut *store, &old), of_numbers([2]));
}

pub(crate) fn messages_of_a_history_are_deleted_by_id(open: Open<'_>) {
    let mut store = open(Retention::default());
    let pipes = ["aaa", "bbb", "ccc"].map(pipe);
    let ids = |numbers: &[u64]| numbers.iter().map(|number| numbered(*number).id).collect::<Vec<_>>();
    for (pipe, number) in pipes.iter().zip([10, 20, 30]) {
        writes(
            &mut *store,
            vec![setting(pipe, 9), put_history(pipe, number, true), put_history(pipe, number + 1, true)],
        );
    }
    let delete = |pipes, ids| Write::DeleteFromHistory { dev: ONE, pipes, ids };
    assert_eq!(write(&mut *store, delete(None, ids(&[10, 21, 99]))), 2);
    let of = Some(vec![pipes[0].name.clone(), pipes[1].name.clone()]);
    assert_eq!(write(&mut *store, delete(of, ids(&[11, 20, 30]))), 2);
    let elsewhere = Write::DeleteFromHistory { dev: DevId(2), pipes: None, ids: ids(&[30]) };
    assert_eq!(write(&mut *store, elsewhere), 0);
    let left = pipes.each_ref().map(|pipe| history(&mut *store, pipe));
    assert_eq!(left, [vec![], vec![], of_numbers([30, 31])]);
}

pub(crate) fn pages_end_after_rows_or_bytes(open: Open<'_>) {
    let mut store = open(Retention::default());
    let news = pipe("news");
    write(&mut *store, setting(&news, 100));
    for number in 0..20 {
        let message = StoredMessage { message: "x".repeat(1000).into(), ..numbered(number) };
        let queued = Write::PutQueued { dev: ONE, user: user(1), message: message.clone() };
        writes(&mut *store, vec![Write::PutHistory { pipe: news.clone(), message, trim: true }, queued]);
    }
    for (page, rows, more) in [
        (Page { rows: 100, bytes: 1 }, 1, true),
        (Page { rows: 100, bytes: 0 }, 1, true),
        (Page { rows: 100, bytes: 4_500 }, 5, true),
        (Page { rows: 4, bytes: 4_500 }, 4, true),
        (Page { rows: 20, bytes: 1 << 20 }, 20, false),
        (Page { rows: 19, bytes: 1 << 20 }, 19, true),
    ] {
        let (found, told) = messages(read(&mut *store, Read::Queue { dev: ONE, user: user(1), after: None, page }));
        assert_eq!((found.len(), told), (rows, more), "{page:?}");
        let (found, told) = messages(read(&mut *store, Read::History { pipe: news.clone(), after: None, page }));
        assert_eq!((found.len(), told), (rows, more), "{page:?}");
        // Of the newest the oldest are left out, and nothing follows.
        let (found, told) = messages(read(&mut *store, Read::NewestHistory { pipe: news.clone(), page }));
        assert_eq!((found.len(), told), (rows, false), "{page:?}");
        assert_eq!(found.last().map(|message| message.id), Some(numbered(19).id));
    }
}

pub(crate) fn revoked_tokens_are_listed_in_pages(open: Open<'_>) {
    let mut store = open(Retention::default());
    let tokens: Vec<Box<str>> = ["", "B", "a", "b", "long"].map(Box::from).to_vec();
    for token in tokens.iter().rev() {
        write(&mut *store, Write::PutRevoked { dev: ONE, token: token.clone(), expires: None });
    }
    write(&mut *store, Write::PutRevoked { dev: DevId(2), token: "other".into(), expires: None });
    let mut after = None;
    let mut seen = Vec::new();
    for more in [true, true, false] {
        let page = Page { rows: 2, ..ALL };
        let outcome = read(&mut *store, Read::AllRevoked { dev: ONE, after, page });
        let Outcome::Tokens { rows, more: told } = outcome else { panic!("{outcome:?}") };
        assert_eq!(told, more);
        after = rows.last().cloned();
        seen.extend(rows);
    }
    assert_eq!(seen, tokens);
    let longest: Box<str> = "t".repeat(600).into();
    write(&mut *store, Write::PutRevoked { dev: DevId(3), token: longest.clone(), expires: None });
    let all = Read::AllRevoked { dev: DevId(3), after: None, page: ALL };
    assert_eq!(read(&mut *store, all), Outcome::Tokens { rows: vec![longest], more: false });
}

pub(crate) fn calls_are_read_by_name(open: Open<'_>) {
    let mut store = open(Retention::default());
    let call = |name: &str, id: u32, message: &str| Call {
        name: name.into(),
        user: user(id),
        caller: user(99),
        message: message.into(),
        profile: "default".into(),
        stream: "0".into(),
        node: "127.0.0.1:80".into(),
        time: 1_700_000_000,
    };
    let put = |call: &Call| Write::PutCall { dev: ONE, call: call.clone() };
    let (room, room_two, replaced, other) =
        (call("room", 2, "\u{1f600}"), call("room", 1, ""), call("room", 2, "old"), call("Room", 3, "x"));
    writes(&mut *store, vec![put(&replaced), put(&room), put(&room_two), put(&other)]);
    let names = ["none", "Room", "room"].map(Box::from).to_vec();
    let expected = vec![other, room_two.clone(), room];
    assert_eq!(read(&mut *store, Read::Calls { dev: ONE, names: names.clone() }), Outcome::Calls(expected));
    for id in [2, 3] {
        write(&mut *store, Write::DeleteCall { dev: ONE, name: "room".into(), user: user(id) });
    }
    let names = vec!["room".into()];
    assert_eq!(read(&mut *store, Read::Calls { dev: ONE, names }), Outcome::Calls(vec![room_two]));
}

/// Expires until nothing is left to do.
fn expire(store: &mut dyn Store, now: i64) -> Expired {
    let mut sum = Expired::default();
    for _ in 0..1000 {
        let Expired { queued, history, tokens, more } = store.expire(now).unwrap();
        assert!(queued <= 500 && history <= 500 && tokens <= 500, "{queued} {history} {tokens}");
        sum = Expired {
            queued: sum.queued + queued,
            history: sum.history + history,
            tokens: sum.tokens + tokens,
            more: false,
        };
        if !more {
            return sum;
        }
    }
    panic!("no end: {sum:?}");
}

pub(crate) fn what_is_too_old_goes(open: Open<'_>) {
    let retention =
        Retention { queue_seconds: 100, trust_seconds: 50, queue_messages_max: 5_000, ..Retention::default() };
    let mut store = open(retention);
    // Ten messages in a second; message n is of second n / 10.
    let start = numbered(0).time;
    let trusted = ["trust_", "trust_a", "trust_b", "trust_kept"].map(pipe);
    let others = ["trusu", "aaa", "trust"].map(pipe);
    let far = PipeKey { dev: DevId(70), ..pipe("trust_far") };
    for pipe in others.iter().chain([&trusted[3]]) {
        write(&mut *store, setting(pipe, 1000));
    }
    for number in 0..1200 {
        let mut group = vec![queued(1 + number as u32 % 2, number)];
        let pipes = trusted.iter().chain(&others).chain([&far]).enumerate();
        group.extend(pipes.filter(|_| number % 100 == 0).map(|(nth, pipe)| {
            // An id exists once in the whole database.
            let message = numbered(number);
            let id = MessageId::new(message.id.position().unwrap(), 4 * nth as u64);
            Write::PutHistory { pipe: pipe.clone(), message: StoredMessage { id, ..message }, trim: false }
        }));
        writes(&mut *store, group);
    }
    for (token, expires) in [("a", Some(start - DAY)), ("b", Some(start)), ("c", None), ("d", Some(0))] {
        write(&mut *store, Write::PutRevoked { dev: ONE, token: token.into(), expires });
    }
    // Tokens stay for a day when they are over, because the clock may be ahead.
    // Queued: those of seconds 0 to 99 are more than 100 seconds old at 200. Trusted: all twelve, in four pipes.
    let expired = expire(&mut *store, start + 200);
    assert_eq!(expired, Expired { queued: 1000, history: 48, tokens: 2, more: false });
    assert_eq!(queue(&mut *store, 1).len() + queue(&mut *store, 2).len(), 200);
    assert_eq!(expire(&mut *store, start + 200), Expired::default());
    for pipe in others.iter().chain([&trusted[3]]) {
        assert_eq!(history(&mut *store, pipe).len(), 12, "{pipe:?}");
    }
    for pipe in trusted[..3].iter().chain([&far]) {
        assert_eq!(history(&mut *store, pipe).len(), 0, "{pipe:?}");
    }
    let tokens = ["a", "b", "c", "d"].map(Box::from).to_vec();
    let left = Outcome::Tokens { rows: ["b", "c"].map(Box::from).to_vec(), more: false };
    assert_eq!(read(&mut *store, Read::Revoked { dev: ONE, tokens }), left);
    // Zero keeps them for ever.
    drop(store);
    let mut store = open(Retention { queue_seconds: 0, trust_seconds: 0, ..retention });
    write(&mut *store, Write::PutHistory { pipe: far, message: numbered(1), trim: false });
    assert_eq!(expire(&mut *store, i64::from(i32::MAX) - 1), Expired { tokens: 1, ..Expired::default() });
}

/// A write whose acknowledgement was lost is sent again.
pub(crate) fn writes_may_be_repeated(open: Open<'_>) {
    let mut store = open(Retention { queue_messages_max: 4, ..Retention::default() });
    let news = pipe("news");
    let group = vec![
        put_hash(1, 1, "hash"),
        Write::PutUserData { dev: ONE, user: user(1), data: "data".into() },
        Write::PutLastSeen { dev: ONE, user: user(1), time: 5 },
        setting(&news, 3),
        put_history(&news, 1, true),
        put_history(&news, 2, false),
        queued(1, 1),
        queued(1, 2),
        queued(1, 3),
        Write::PutRevoked { dev: ONE, token: "t".into(), expires: None },
    ];
    for _ in 0..3 {
        writes(&mut *store, group.clone());
        assert_eq!(history(&mut *store, &news), of_numbers(1..=2));
        assert_eq!(queue(&mut *store, 1), of_numbers(1..=3));
    }
    assert_eq!(write(&mut *store, queued(1, 3)), 0);
    write(&mut *store, queued(1, 4));
    assert_eq!(queue(&mut *store, 1), of_numbers(1..=4));
}

pub(crate) fn a_great_many_ids_are_deleted_at_once(open: Open<'_>) {
    let mut store = open(Retention::default());
    writes(&mut *store, (0..700).map(|number| queued(1, number)).collect());
    let ids = (0..650).map(|number| numbered(number).id).collect();
    assert_eq!(write(&mut *store, Write::DeleteQueued { dev: ONE, user: user(1), ids }), 650);
    assert_eq!(queue(&mut *store, 1), of_numbers(650..700));
    let after = Some(Place { time: i64::MAX, id: MessageId::NIL });
    let behind = Read::Queue { dev: ONE, user: user(1), after, page: ALL };
    assert_eq!(read(&mut *store, behind), Outcome::Messages { rows: vec![], more: false });
}

/// Engines may join writes that follow one another.
pub(crate) fn a_large_group_is_carried_out_in_order(open: Open<'_>) {
    let mut store = open(Retention { queue_messages_max: 3, ..Retention::default() });
    let one = |write: Write| Request::Write(vec![write]);
    let mut requests = Vec::new();
    // Ten values for each of 15 users, the last one counts; joined or not, and cut by reads.
    for value in 0..10_u32 {
        for id in 1..=15 {
            requests.push(one(put_hash(1, id, &format!("{id}-{value}"))));
            if (value + id) % 37 == 0 {
                requests.push(hashes(1, &[id]));
            }
        }
        let all = (1..=15).map(|id| put_hash(2, id, &format!("{id}-{value}")));
        requests.push(Request::Write(all.collect()));
    }
    for number in 0..200 {
        requests.push(one(queued(1 + number as u32 % 7, number)));
    }
    requests.push(Request::Write((200..300).map(|number| queued(1 + number as u32 % 7, number)).collect()));
    // History: of three pipes one keeps nothing.
    let pipes = ["aaa", "trust_b", "ccc"].map(pipe);
    requests.push(one(setting(&pipes[0], 5)));
    for number in 0..100 {
        requests.push(one(put_history(&pipes[number as usize % 3], number, number % 10 > 7)));
    }
    let long = "y".repeat(300_000);
    for id in 1..=10 {
        requests.push(one(Write::PutUserData { dev: ONE, user: user(id), data: format!("{id}{long}").into() }));
        requests.push(one(Write::PutLastSeen { dev: ONE, user: user(id), time: id.into() }));
    }
    requests.push(Request::Write(Vec::new()));
    let times =
        (1..=10).chain(5..=7).map(|id| Write::PutLastSeen { dev: ONE, user: user(id), time: i64::from(id) + 100 });
    requests.push(Request::Write(times.collect()));

    let outcomes = run(&mut *store, requests.clone());
    for (request, outcome) in requests.iter().zip(&outcomes) {
        match (request, outcome) {
            (Request::Write(writes), Outcome::Written { rows }) => {
                let is_kept = |write: &&Write| !matches!(write, Write::PutHistory { pipe, .. } if *pipe == pipes[2]);
                assert_eq!(*rows, writes.iter().filter(is_kept).count() as u64, "{writes:?}");
            }
            (Request::Read { .. }, Outcome::Texts(rows)) => assert_eq!(rows.len(), 1),
            other => panic!("{other:?}"),
        }
    }
    let ids: Vec<u32> = (1..=15).collect();
    let last: Vec<_> = ids.iter().map(|id| (user(*id), Box::from(format!("{id}-9")))).collect();
    let found = run(&mut *store, vec![hashes(1, &ids), hashes(2, &ids)]);
    assert_eq!(found, [Outcome::Texts(last.clone()), Outcome::Texts(last)]);
    for id in 1..=7 {
        let numbers: Vec<u64> = (0..300).filter(|number| number % 7 == u64::from(id) - 1).collect();
        assert_eq!(queue(&mut *store, id), of_numbers(numbers[numbers.len() - 3..].iter().copied()));
    }
    let of_pipe = |place: u64| (0..100).filter(move |number| number % 3 == place);
    assert_eq!(history(&mut *store, &pipes[0]), of_numbers(of_pipe(0).skip(29)));
    assert_eq!(history(&mut *store, &pipes[1]), of_numbers(of_pipe(1)));
    write(&mut *store, setting(&pipes[0], 99));
    // Trimmed for the last time by number 99.
    assert_eq!(history(&mut *store, &pipes[0]), of_numbers(of_pipe(0).skip(29)));
    let seen = Read::LastSeen { dev: ONE, users: vec![user(10), user(6)] };
    assert_eq!(read(&mut *store, seen), Outcome::Times(vec![(user(10), 110), (user(6), 106)]));
    let data = Read::UserData { dev: ONE, users: vec![user(10)] };
    assert_eq!(read(&mut *store, data), Outcome::Texts(vec![(user(10), format!("10{long}").into())]));
}

const DAY: i64 = 24 * 60 * 60;
/// Later than any database was made.
const LATER: i64 = 2_000_000_000;
