//! The MySQL engine against a real MariaDB: what every engine has to do, a database that CppComet made, the server on
//! top of it, and the death of the database under a running server.

use crate::server::{PATIENCE, Server, Setup};
use crate::tools;
use crate::transports::Http;
use encke::model::{DevId, MessageId, PipeKey, PipeName, Position, UnixTime, UserId};
use encke::storage::mysql::{Mysql, Place};
use encke::storage::{
    Expired, Job, Missed, Outcome, Page, PipeSetting, Read, Request, Retention, Since, StorageError, Store,
    StoredMessage, Ticket, Write,
};
use mysql::prelude::Queryable;
use rustix::process::{Pid, Signal};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

#[macro_use]
#[path = "../../src/storage/tests/any.rs"]
mod any;

/// A database server of this process: data in a folder of its own, reached through the loopback. It ends with its owner,
/// however that ends: the shell around it reads from a pipe that closes then.
pub(crate) struct MariaDb {
    folder: PathBuf,
    port: u16,
    shell: Option<Child>,
}

const USER: &str = "encke";
pub(crate) const PASSWORD: &str = "a pass#word; of it's own";

/// The program; packages keep it where only root looks.
fn find(test: &str) -> Option<PathBuf> {
    let kept = Path::new("/usr/sbin/mariadbd");
    if kept.is_file() { Some(kept.to_owned()) } else { tools::need(test, &["mariadbd"]) }
}

/// A folder of its own for temporary files: servers that begin at the same time take each other's away in a shared one.
fn tmpdir(folder: &Path) -> String {
    format!("--tmpdir={}", folder.join("tmp").display())
}

impl MariaDb {
    /// One for all tests that do no harm to it; `None`, and the test is skipped, without MariaDB.
    pub(crate) fn shared(test: &str) -> Option<&'static Self> {
        static SHARED: OnceLock<MariaDb> = OnceLock::new();
        find(test)?;
        Some(SHARED.get_or_init(|| Self::start("shared")))
    }

    /// One that a test may kill.
    pub(crate) fn own(test: &str) -> Option<Self> {
        find(test)?;
        Some(Self::start(test))
    }

    fn start(name: &str) -> Self {
        // Short, because the path of a socket must be.
        let folder = std::env::temp_dir().join(format!("encke-mariadb-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("data")).expect("a folder for MariaDB");
        fs::create_dir_all(folder.join("tmp")).expect("a folder for MariaDB");
        let install = tools::find(&["mariadb-install-db"]).expect("mariadb-install-db comes with mariadbd");
        let finished = tools::run(
            Command::new(install)
                .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
                .arg(format!("--datadir={}", folder.join("data").display()))
                .arg(tmpdir(&folder))
                .arg(format!("--user={}", user_name())),
            PATIENCE,
        );
        assert!(finished.status.success(), "{}{}", finished.stdout, finished.stderr);
        let mut database = Self { folder, port: 0, shell: None };
        database.run();
        let mut root = database.root();
        root.query_drop(format!("CREATE USER {USER}@'%' IDENTIFIED BY '{}'", PASSWORD.replace('\'', "''"))).unwrap();
        root.query_drop(format!("GRANT ALL ON *.* TO {USER}@'%'")).unwrap();
        database
    }

    /// Starts the server on its folder, and on its port of before if it had one.
    pub(crate) fn run(&mut self) {
        if self.port == 0 {
            let free = std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr());
            self.port = free.expect("a free port").port();
        }
        let log = fs::File::create(self.folder.join("log")).expect("a log");
        // The shared one is never dropped, so the shell tidies up behind it.
        let script = "\"$@\" & cat >/dev/null; kill -9 $!; wait; [ -z \"$REMOVE\" ] || rm -rf \"$REMOVE\"";
        let remove =
            if self.folder.to_string_lossy().ends_with("-shared") { self.folder.as_path() } else { Path::new("") };
        let shell = Command::new("sh")
            .args(["-c", script, "sh"])
            .env("REMOVE", remove)
            .arg(find("mariadb").expect("mariadbd"))
            .arg("--no-defaults")
            .arg(format!("--datadir={}", self.folder.join("data").display()))
            .arg(format!("--socket={}", self.folder.join("socket").display()))
            .arg(format!("--pid-file={}", self.folder.join("pid").display()))
            .arg(format!("--port={}", self.port))
            .arg(tmpdir(&self.folder))
            .arg(format!("--user={}", user_name()))
            .args(["--bind-address=127.0.0.1", "--skip-name-resolve", "--innodb-buffer-pool-size=32M"])
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn();
        self.shell = Some(shell.expect("a shell"));
        let up = tools::until(PATIENCE, || mysql::Conn::new(self.options("root", "", None)).ok());
        assert!(up.is_some(), "MariaDB does not start: {}", fs::read_to_string(self.folder.join("log")).unwrap());
    }

    /// Ends it at once, as a crash does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut shell) = self.shell.take() {
            drop(shell.stdin.take());
            let _ = shell.wait();
        }
    }

    /// `STOP` makes it hang: the system goes on to take connections for it, and nothing is answered.
    fn signal(&self, signal: Signal) {
        let pid = fs::read_to_string(self.folder.join("pid")).expect("its number");
        let pid = pid.trim().parse().ok().and_then(Pid::from_raw).expect("a number");
        rustix::process::kill_process(pid, signal).expect("it runs");
    }

    fn options(&self, user: &str, password: &str, database: Option<&str>) -> mysql::OptsBuilder {
        mysql::OptsBuilder::new()
            .ip_or_hostname(Some("127.0.0.1"))
            .tcp_port(self.port)
            .user(Some(user))
            .pass(Some(password))
            .db_name(database)
            .prefer_socket(false)
    }

    fn root(&self) -> mysql::Conn {
        mysql::Conn::new(self.options("root", "", None)).expect("root may log in")
    }

    /// A database that nobody else has, empty.
    pub(crate) fn database(&self) -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("it_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        // As old servers made it; tables say themselves what they need.
        self.root().query_drop(format!("CREATE DATABASE {name} CHARACTER SET latin1")).unwrap();
        Place {
            host: "127.0.0.1".into(),
            port: self.port,
            socket: None,
            user: USER.into(),
            password: Some(PASSWORD.into()),
            name,
        }
    }

    pub(crate) fn session(&self, place: &Place) -> mysql::Conn {
        let mut session = mysql::Conn::new(self.options(USER, PASSWORD, Some(&place.name))).expect("a session");
        session.query_drop("SET NAMES utf8mb4").unwrap();
        session
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn user_name() -> String {
    let finished = tools::run(Command::new("id").arg("-un"), PATIENCE);
    finished.stdout.trim().to_owned()
}

/// What `comet.ini` says of a database.
pub(crate) fn section(place: &Place) -> String {
    let Place { host, port, user, password, name, .. } = place;
    let password = password.as_deref().unwrap_or_default();
    format!("[db]\nhost = {host}\nport = {port}\nuser = {user}\npassword = {password}\nname = {name}\n")
}

fn in_mariadb(name: &str, test: fn(any::Open<'_>)) {
    let Some(database) = MariaDb::shared(&format!("mariadb::{name}")) else { return };
    let place = database.database();
    test(&mut |retention| -> Box<dyn Store> { Box::new(Mysql::open(&place, retention).unwrap()) });
}

tests_of_any_engine!(in_mariadb);

/// The tables as CppComet 4.09 made them.
pub(crate) const OLD_SCHEMA: &str = "
CREATE TABLE users_auth (dev_id int(11) NOT NULL, user_id int(11) NOT NULL, hash char(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    PRIMARY KEY (dev_id, user_id)) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE users_time (dev_id int(11) NOT NULL, user_id int(11) NOT NULL, time int(11) NOT NULL,
    PRIMARY KEY (dev_id, user_id)) ENGINE=MEMORY DEFAULT CHARSET=utf8;
CREATE TABLE users_data (dev_id int(11) NOT NULL, user_id int(11) NOT NULL, data text NOT NULL,
    PRIMARY KEY (dev_id, user_id)) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE users_messages (id char(36) NOT NULL, time int(11) NOT NULL, dev_id int(11) NOT NULL, user_id int(11) NOT NULL,
    event char(64) NOT NULL, message text NOT NULL, PRIMARY KEY (id), KEY dev_id (dev_id), KEY user_id (user_id),
    KEY dev_id_2 (dev_id, user_id), KEY time (time)) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE pipe_messages (id char(36) NOT NULL, time int(11) NOT NULL, dev_id int(11) NOT NULL, pipe_name char(64) NOT NULL,
    event char(64) NOT NULL, message text NOT NULL, user_id int(11) NOT NULL, PRIMARY KEY (id), KEY time (time),
    KEY pipe_name (pipe_name), KEY dev_id (dev_id)) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE pipes_settings (dev_id int(11) NOT NULL, name char(128) NOT NULL, type char(1) NOT NULL, length int(11) NOT NULL,
    PRIMARY KEY (dev_id, name)) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE revoked_tokens (dev_id int(11) NOT NULL, token varbinary(600) NOT NULL, time int(11) NOT NULL,
    PRIMARY KEY (dev_id, token)) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8;
CREATE TABLE conference (dev_id int(11) NOT NULL, name varchar(32) NOT NULL, user_id int(11) NOT NULL, caller_id int(11) NOT NULL,
    message text CHARACTER SET utf8mb4 NOT NULL, profile varchar(32) NOT NULL, stream varchar(255) NOT NULL,
    node varchar(64) NOT NULL, time int(11) NOT NULL, PRIMARY KEY (dev_id, name, user_id)) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE log_event (id int(11) NOT NULL AUTO_INCREMENT, text varchar(250) NOT NULL, PRIMARY KEY (id)) ENGINE=InnoDB DEFAULT CHARSET=utf8";

/// Rows that such a server left behind.
pub(crate) const OLD_ROWS: &str = "
INSERT INTO users_auth VALUES (0, 1, 'old hash'), (0, 2, ''), (3, 1, 'of tenant 3');
INSERT INTO users_time VALUES (0, 1, 0), (0, 2, 1700000000);
INSERT INTO users_data VALUES (0, 1, '{\"имя\": 1}');
INSERT INTO users_messages VALUES ('ffffffff-1111-4111-8111-111111111111', 1700000001, 0, 5, 'one', 'first'),
    ('00000000-1111-4111-8111-111111111111', 1700000002, 0, 5, 'two', 'second'),
    ('not a uuid', 1700000002, 0, 5, 'three', 'nobody could delete it by its id'),
    ('11111111-1111-4111-8111-111111111111', 1700000002, 0, 5, 'three', 'third');
INSERT INTO pipe_messages VALUES ('aaaaaaaa-1111-4111-8111-111111111111', 1700000001, 0, 'news', 'e', 'one', 0),
    ('bbbbbbbb-1111-4111-8111-111111111111', 1700000001, 0, 'news', 'undefined', 'two', 7),
    ('cccccccc-1111-4111-8111-111111111111', 1700000000, 0, 'news', 'e', 'zero', 0);
INSERT INTO pipes_settings VALUES (0, 'news', '0', 10), (0, 'no name of a pipe', '0', 3), (3, 'other', '0', 0);
INSERT INTO revoked_tokens VALUES (0, 'a.b.c', 9999999), (0, 'd.e.f', 9999999);
INSERT INTO conference VALUES (0, '55', 9, 8, 'ring', 'default', '0', 'host:5060', 1700000000)";

pub(crate) fn make_old(session: &mut mysql::Conn) {
    for statement in OLD_SCHEMA.split(';').chain(OLD_ROWS.split(';')) {
        session.query_drop(statement).unwrap();
    }
}

fn user(id: u32) -> UserId {
    UserId::new(id).unwrap()
}

fn results(store: &mut dyn Store, requests: Vec<Request>) -> Vec<Result<Outcome, StorageError>> {
    let jobs: Vec<Job> = requests.into_iter().map(|request| Job { ticket: Ticket(0), request }).collect();
    store.run(&jobs).into_iter().map(|completion| completion.result).collect()
}

fn read(store: &mut dyn Store, read: Read) -> Outcome {
    results(store, vec![Request::Read { read, bytes_max: usize::MAX }]).remove(0).unwrap()
}

const ALL: Page = Page { rows: 100, bytes: 1 << 20 };
const ZERO: DevId = DevId(0);

#[test]
fn a_database_of_cppcomet_is_used_as_it_is() {
    let Some(database) = MariaDb::shared("mariadb::a_database_of_cppcomet_is_used_as_it_is") else { return };
    let place = database.database();
    let mut session = database.session(&place);
    make_old(&mut session);
    let mut store = Mysql::open(&place, Retention::default()).unwrap();
    let store: &mut dyn Store = &mut store;

    let hashes = Read::Hashes { dev: ZERO, users: vec![user(1), user(2), user(3)] };
    let expected = Outcome::Texts(vec![(user(1), "old hash".into()), (user(2), "".into())]);
    assert_eq!(read(store, hashes), expected);
    let seen = Read::LastSeen { dev: ZERO, users: vec![user(2), user(1)] };
    assert_eq!(read(store, seen), Outcome::Times(vec![(user(2), 1_700_000_000), (user(1), 0)]));
    let data = Read::UserData { dev: ZERO, users: vec![user(1)] };
    assert_eq!(read(store, data), Outcome::Texts(vec![(user(1), "{\"имя\": 1}".into())]));

    // Places are unbroken, whatever the ids are; a row that could not be named is left out.
    let queue = |after, rows| Read::Queue { dev: ZERO, user: user(5), after, page: Page { rows, ..ALL } };
    let texts = |outcome: &Outcome| match outcome {
        Outcome::Messages { rows, .. } => rows.iter().map(|row| row.message.to_string()).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(texts(&read(store, queue(None, 100))), ["first", "second", "third"]);
    let Outcome::Messages { rows, more: true } = read(store, queue(None, 2)) else { panic!("a page has more") };
    let after = rows.last().map(StoredMessage::place);
    assert_eq!(texts(&read(store, queue(after, 2))), ["third"]);
    let taken = Write::DeleteQueued { dev: ZERO, user: user(5), ids: vec![rows[0].id] };
    assert_eq!(results(store, vec![Request::Write(vec![taken])]), [Ok(Outcome::Written { rows: 1 })]);

    let news = PipeKey { dev: ZERO, name: PipeName::new(b"news").unwrap() };
    let history = Read::History { pipe: news.clone(), after: None, page: ALL };
    assert_eq!(texts(&read(store, history.clone())), ["zero", "one", "two"]);
    let mut settings = store.beginning().unwrap().settings;
    settings.sort_by_key(|setting| setting.pipe.dev);
    let other = PipeKey { dev: DevId(3), name: PipeName::new(b"other").unwrap() };
    let setting = |pipe: &PipeKey, length| PipeSetting { pipe: pipe.clone(), length };
    assert_eq!(settings, [setting(&news, 10), setting(&other, 0)]);
    let revoked = Read::AllRevoked { dev: ZERO, after: None, page: ALL };
    let tokens = ["a.b.c", "d.e.f"].map(Box::from).to_vec();
    assert_eq!(read(store, revoked.clone()), Outcome::Tokens { rows: tokens.clone(), more: false });
    let Outcome::Calls(calls) = read(store, Read::Calls { dev: ZERO, names: vec!["55".into()] }) else { panic!() };
    assert_eq!((calls.len(), calls[0].user, &*calls[0].node), (1, user(9), "host:5060"));

    // What was meant to stay for ever does.
    let expired = store.expire(2_000_000_000).unwrap();
    assert_eq!(expired, Expired { queued: 3, ..Expired::default() });
    assert_eq!(read(store, revoked), Outcome::Tokens { rows: tokens, more: false });

    // What does not fit into the old columns is refused, whole and alone.
    let message = |id: u64, text: &str| StoredMessage {
        id: MessageId::new(Position(1_700_000_003_000 << 12), id << 2),
        time: 1_700_000_003,
        event: encke::model::EventName::default(),
        message: text.into(),
        sender: user(0),
        expires: 0,
    };
    let put = |id, text: &str| {
        Request::Write(vec![Write::PutHistory { pipe: news.clone(), message: message(id, text), trim: true }])
    };
    let answers = results(store, vec![put(1, "fits"), put(2, "\u{1f600}"), put(3, &"x".repeat(70_000)), put(4, "too")]);
    let well: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(well, [true, false, false, true], "{answers:?}");
    assert!(matches!(answers[1], Err(StorageError::Unfit(_))) && matches!(answers[2], Err(StorageError::Unfit(_))));
    assert_eq!(texts(&read(store, history)), ["zero", "one", "two", "fits", "too"]);
}

/// A trigger counts how often each row is tried: were the group to fail, all of it would be tried again and again.
#[test]
fn what_does_not_fit_into_old_columns_leaves_its_group_alone() {
    let test = "mariadb::what_does_not_fit_into_old_columns_leaves_its_group_alone";
    let Some(database) = MariaDb::shared(test) else { return };
    let place = database.database();
    let mut session = database.session(&place);
    make_old(&mut session);
    session.query_drop("CREATE TABLE tries (n INT) ENGINE = MyISAM").unwrap();
    let trigger = "CREATE TRIGGER counting BEFORE INSERT ON users_data FOR EACH ROW INSERT INTO tries VALUES (1)";
    session.query_drop(trigger).unwrap();
    let mut store = Mysql::open(&place, Retention::default()).unwrap();
    let put = |id: u32, text: &str| {
        let good = Write::PutUserData { dev: ZERO, user: user(id), data: format!("{id}").into() };
        let other = Write::PutUserData { dev: ZERO, user: user(1000 + id), data: text.into() };
        Request::Write(vec![good, other])
    };
    let long = "x".repeat(65_536);
    let of = |id: u32| match id % 10 {
        3 => "\u{1f600}",
        4 => &long,
        _ => "ж",
    };
    let answers = results(&mut store, (0..100).map(|id| put(id, of(id))).collect());
    for (id, answer) in (0..).zip(&answers) {
        match (id % 10, answer) {
            (3, Err(StorageError::Unfit(why))) => {
                assert!(why.starts_with("error 1366 (22007): Incorrect string value: '\\xF0\\x9F\\x98\\x80'"), "{why}");
            }
            (4, Err(StorageError::Unfit(why))) => {
                assert!(why.starts_with("error 1406 (22001): Data too long"), "{why}");
            }
            (_, answer) => assert_eq!(*answer, Ok(Outcome::Written { rows: 2 })),
        }
    }
    let stored: u32 = session.query_first("SELECT COUNT(*) FROM users_data").unwrap().unwrap();
    let tries: u32 = session.query_first("SELECT COUNT(*) FROM tries").unwrap().unwrap();
    assert_eq!((stored, tries), (1 + 160 - 1, 160), "the row of user 1 is replaced");
}

/// Some tests of any engine on such tables, as far as names and texts fit into them.
#[test]
fn a_database_of_cppcomet_does_what_every_engine_does() {
    let Some(database) = MariaDb::shared("mariadb::a_database_of_cppcomet_does_what_every_engine_does") else { return };
    for test in [
        any::what_is_too_old_goes,
        any::what_is_too_old_goes_in_pieces,
        any::writes_may_be_repeated,
        any::a_history_keeps_its_length,
        any::what_was_missed_is_found_whole_or_not_at_all,
    ] {
        let place = database.database();
        let mut session = database.session(&place);
        for statement in OLD_SCHEMA.split(';') {
            session.query_drop(statement).unwrap();
        }
        test(&mut |retention| -> Box<dyn Store> { Box::new(Mysql::open(&place, retention).unwrap()) });
    }
}

/// Those tables compare names without case, the server does not.
#[test]
fn in_a_database_of_cppcomet_names_are_told_apart_by_case() {
    let Some(database) = MariaDb::shared("mariadb::names_are_told_apart_by_case") else { return };
    let place = database.database();
    let mut session = database.session(&place);
    make_old(&mut session);
    let mut store = Mysql::open(&place, Retention { trust_seconds: 100, ..Retention::default() }).unwrap();
    let store: &mut dyn Store = &mut store;
    let pipe = |name: &str| PipeKey { dev: ZERO, name: PipeName::new(name.as_bytes()).unwrap() };
    let setting = |pipe: &PipeKey, length| Write::PutSetting { pipe: pipe.clone(), length, begun: Position::default() };
    let put = |pipe: &PipeKey, number: u64| {
        let position = Position::default().next(1_700_000_000_000_000 + number * 1_000_000);
        let id = MessageId::new(position, number << 2);
        let event = encke::model::EventName::default();
        let message = format!("{number}").into();
        let message = StoredMessage { id, time: position.time().0, event, message, sender: user(0), expires: 0 };
        Write::PutHistory { pipe: pipe.clone(), message, trim: true }
    };
    let write = |store: &mut dyn Store, write| results(store, vec![Request::Write(vec![write])]).remove(0);
    let written = |rows| Ok(Outcome::Written { rows });
    let texts = |outcome: Outcome| match outcome {
        Outcome::Messages { rows, .. } => rows.iter().map(|row| row.message.to_string()).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let both = |store: &mut dyn Store, pipe: &PipeKey| {
        let history = texts(read(store, Read::History { pipe: pipe.clone(), after: None, page: ALL }));
        assert_eq!(texts(read(store, Read::NewestHistory { pipe: pipe.clone(), page: ALL })), history);
        history
    };

    // A setting of another pipe is none of ours, and is not overwritten either.
    let (private, public) = (pipe("private_board"), pipe("PRIVATE_board"));
    assert_eq!(write(store, setting(&private, 10)), written(1));
    assert_eq!(write(store, put(&private, 1)), written(1));
    assert_eq!(write(store, put(&public, 2)), written(0));
    let pipes = vec![public.name.clone(), private.name.clone()];
    let lengths = Outcome::Lengths(vec![(private.name.clone(), 10)]);
    assert_eq!(read(store, Read::Settings { dev: ZERO, pipes }), lengths);
    let refused = write(store, setting(&public, 5));
    let Err(StorageError::Unfit(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains("small and capital letters"), "{why}");
    assert_eq!(both(store, &private), ["1"]);
    assert_eq!(both(store, &public), [""; 0]);
    let missed = |store: &mut dyn Store, pipe: &PipeKey, after| {
        let until = Position::last_of(UnixTime(2_000_000_000));
        let pipes = vec![Since { pipe: pipe.clone(), after: Some(after), until, newest: 0 }];
        let Outcome::Missed(mut found) = read(store, Read::Missed { pipes, page: ALL }) else { panic!() };
        found.remove(0)
    };
    assert_eq!(missed(store, &public, Position::last_of(UnixTime(1_900_000_000))), Missed::default());
    for delete in [
        Write::DeleteHistory { pipe: public.clone() },
        Write::DeleteSetting { pipe: public.clone(), begun: Position::default() },
        Write::DeleteFromHistory {
            dev: ZERO,
            pipes: Some(vec![public.name.clone()]),
            ids: vec![MessageId::new(Position::default().next(1_700_000_001_000_000), 4)],
        },
    ] {
        assert_eq!(write(store, delete.clone()), written(0), "{delete:?}");
        assert_eq!(both(store, &private), ["1"], "{delete:?}");
    }

    // Also when both are there: `trust_` pipes need no setting.
    let (small, capital, kept) = (pipe("trust_a"), pipe("trust_A"), pipe("trust_B"));
    for number in 11..=16 {
        let pipe = if number % 2 == 0 { &small } else { &capital };
        assert_eq!(write(store, put(pipe, number)), written(1));
    }
    assert_eq!(both(store, &small), ["12", "14", "16"]);
    assert_eq!(both(store, &capital), ["11", "13", "15"]);
    let after = Position::default().next(1_700_000_014_000_000);
    session.query_drop("UPDATE pipes_begun SET begun = 0").unwrap();
    let Missed { rows, .. } = missed(store, &capital, after);
    assert_eq!(texts(Outcome::Messages { rows, more: false }), ["15"]);
    assert_eq!(write(store, Write::DeleteHistory { pipe: capital.clone() }), written(3));
    assert_eq!(both(store, &small), ["12", "14", "16"]);
    assert_eq!(write(store, setting(&small, 2)), written(1));
    assert_eq!(write(store, put(&capital, 17)), written(1));
    assert_eq!(write(store, put(&small, 18)), written(1));
    assert_eq!((both(store, &small), both(store, &capital)), (vec!["16".into(), "18".into()], vec!["17".into()]));

    // The retention knows which one has a setting, in whatever order the table tells them.
    assert_eq!(write(store, setting(&kept, 5)), written(1));
    for (number, name) in [(21, "trust_b"), (22, "trust_B"), (23, "Trust_b"), (24, "trust_c"), (25, "trust_C")] {
        let insert = format!(
            "INSERT INTO pipe_messages VALUES (UUID(), {}, 0, '{name}', 'e', '{number}', 0)",
            1_700_000_000 + number
        );
        session.query_drop(insert).unwrap();
    }
    let mut gone = 0;
    loop {
        let expired = store.expire(1_800_000_000).unwrap();
        gone += expired.history;
        if !expired.more {
            break;
        }
    }
    assert_eq!(gone, 4, "17, 21, 24 and 25");
    let left: Vec<String> =
        session.query("SELECT message FROM pipe_messages WHERE pipe_name LIKE 'trust%' ORDER BY time").unwrap();
    assert_eq!(left, ["16", "18", "22", "23"]);

    // Calls.
    let call = |name: &str| encke::storage::Call {
        name: name.into(),
        user: user(1),
        caller: user(2),
        message: name.into(),
        profile: "p".into(),
        stream: "s".into(),
        node: "n".into(),
        time: 1,
    };
    assert_eq!(write(store, Write::PutCall { dev: ZERO, call: call("room") }), written(1));
    assert!(write(store, Write::PutCall { dev: ZERO, call: call("Room") }).is_err());
    assert_eq!(write(store, Write::DeleteCall { dev: ZERO, name: "Room".into(), user: user(1) }), written(0));
    let calls = Read::Calls { dev: ZERO, names: vec!["Room".into(), "room".into()] };
    assert_eq!(read(store, calls), Outcome::Calls(vec![call("room")]));
}

/// Rows without a place of their own do not hide those behind them.
#[test]
fn rows_that_cannot_be_named_hide_no_others() {
    let Some(database) = MariaDb::shared("mariadb::rows_that_cannot_be_named_hide_no_others") else { return };
    let place = database.database();
    let mut session = database.session(&place);
    let mut store = Mysql::open(&place, Retention::default()).unwrap();
    let odd = "INSERT INTO users_messages SELECT CONCAT('odd ', seq), 1700000000 + seq DIV 100, 0, 1, 'e', 'odd' FROM seq_1_to_1000";
    session.query_drop(odd).unwrap();
    let good = "INSERT INTO users_messages SELECT UUID(), 1700000000 + seq * 3, 0, 1, 'e', 'good' FROM seq_1_to_5";
    session.query_drop(good).unwrap();
    for rows in [1, 2, 4, 5, 100] {
        let (mut after, mut seen, mut pages) = (None, 0, 0);
        loop {
            let page = Page { rows, bytes: 1 << 20 };
            let outcome = read(&mut store, Read::Queue { dev: ZERO, user: user(1), after, page });
            let Outcome::Messages { rows, more } = outcome else { panic!("{outcome:?}") };
            seen += rows.len();
            pages += 1;
            assert!(pages < 20 && (!more || !rows.is_empty()));
            after = rows.last().map(StoredMessage::place);
            if !more {
                break;
            }
        }
        assert_eq!(seen, 5, "pages of {rows}");
    }
}

#[test]
fn a_database_that_cannot_be_used_is_told_without_the_password() {
    let Some(database) = MariaDb::shared("mariadb::a_database_that_cannot_be_used") else { return };
    let good = database.database();
    for (place, unreachable) in [
        (Place { password: Some("hunter2".into()), ..good.clone() }, false),
        (Place { name: "there_is_none".into(), ..good.clone() }, false),
        (Place { port: 1, password: Some("hunter2".into()), ..good.clone() }, true),
        (Place { socket: Some("/nowhere".into()), ..good.clone() }, true),
    ] {
        let error = Mysql::open(&place, Retention::default()).err().expect("it cannot be used");
        assert_eq!(error.is_unreachable(), unreachable, "{error}");
        assert!(!format!("{error} {error:?} {place:?}").contains("hunter2"), "{error:?}");
        assert!(error.to_string().starts_with("The database ") && error.to_string().ends_with('.'), "{error}");
    }
    let socket = Place { socket: Some(database.folder.join("socket")), host: String::new(), ..good };
    assert!(Mysql::open(&socket, Retention::default()).unwrap().describe().contains("socket"));
}

#[test]
fn a_server_keeps_its_data_in_the_database() {
    let Some(database) = MariaDb::shared("mariadb::a_server_keeps_its_data_in_the_database") else { return };
    let place = database.database();
    let server = Server::start(&Setup { more: section(&place), ..Setup::default() });
    let storage = server.await_line(|line| line.starts_with("  storage "), "where its data is");
    assert!(storage.contains("MariaDB ") && storage.ends_with(&format!("database {place}")), "{storage}");
    assert!(!server.log().contains(PASSWORD));
    let mut backend = server.backend();
    backend.execute("INSERT INTO users_auth (id, hash) VALUES (7, 'ofSeven')").expect("stored");
    let found: Option<String> = database.session(&place).query_first("SELECT hash FROM users_auth").unwrap();
    assert_eq!(found.as_deref(), Some("ofSeven"));
    assert!(!server.folder().join("data/encke.db").exists());
}

fn put(user: u32) -> String {
    format!("INSERT INTO users_auth (id, hash) VALUES ({user}, 'of{user}')")
}

/// What monitoring sees: the state of storage, and the writes that wait.
fn state(server: &Server) -> (String, String) {
    let rows = server.backend().rows("SHOW GLOBAL STATUS").expect("figures");
    let value = |name: &str| {
        let row = rows.iter().find(|row| row[0].as_deref() == Some(name));
        row.and_then(|row| row[1].clone()).unwrap_or_else(|| panic!("{name}"))
    };
    (value("encke_storage_state"), value("encke_storage_waiting"))
}

#[test]
fn a_database_that_dies_and_comes_back() {
    let Some(mut database) = MariaDb::own("dies") else { return };
    let place = database.database();
    let server = Server::start(&Setup { more: section(&place), ..Setup::default() });
    let mut backend = server.backend();
    backend.execute(&put(1)).expect("stored");
    let state = || state(&server);
    assert_eq!(state(), ("ok".to_owned(), "0".to_owned()));
    database.kill();

    // Reads fail at once, publishing goes on, writes wait.
    let begun = Instant::now();
    backend.rows("SELECT hash FROM users_auth WHERE id = 1").expect_err("nobody can know");
    let mut browser = server.browser();
    browser.send("subscription\nnews");
    server.await_subscribers("news", 1);
    backend.execute("INSERT INTO pipes_messages (name, event, message) VALUES ('news', 'e', 'on')").expect("published");
    assert_eq!(browser.receive()["data"], "on");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let mut writers: Vec<_> = (2..6).map(|_| server.backend()).collect();
    for (writer, user) in writers.iter_mut().zip(2..) {
        writer.send_query(&put(user)).expect("sent");
    }
    let waiting = ("waiting".to_owned(), "4".to_owned());
    assert!(tools::until(PATIENCE, || (state() == waiting).then_some(())).is_some(), "{:?}", state());
    server.await_line(|line| line.contains("the database cannot be reached"), "the beginning");

    database.run();
    for writer in &mut writers {
        writer.set_limit(PATIENCE);
        let answer = writer.read_answer().expect("an answer");
        assert!(matches!(answer, loadtest::Answer::Ok { affected: 1, .. }), "{answer:?}");
    }
    server.await_line(|line| line.contains("the database can be reached again"), "the end");
    let healed = ("ok".to_owned(), "0".to_owned());
    assert!(tools::until(PATIENCE, || (state() == healed).then_some(())).is_some(), "{:?}", state());
    let rows = backend.rows("SELECT id FROM users_auth WHERE id IN (1, 2, 3, 4, 5)").expect("the rows");
    assert_eq!(rows.len(), 5);
    for said in ["the database cannot be reached", "the database can be reached again"] {
        assert_eq!(server.log().matches(said).count(), 1, "{}", server.log());
    }
}

/// The system takes connections for a database that hangs, so nothing but its silence tells.
#[test]
fn a_database_that_hangs_and_goes_on() {
    let Some(database) = MariaDb::own("hangs") else { return };
    let start = |place: &Place, retry_s: u32| {
        let more = format!("{}[storage]\nretry_s = {retry_s}\n", section(place));
        let server = Server::start(&Setup { more, ..Setup::default() });
        server.backend().execute(&put(1)).expect("stored");
        server
    };
    let server = start(&database.database(), 3600);
    let impatient = start(&database.database(), 1);
    let health = |server: &Server| Http::connect(server).get("/health", "").status;
    let session = |server: &Server| {
        let mut session = server.backend();
        session.set_limit(PATIENCE);
        session
    };
    assert_eq!((health(&server), health(&impatient)), (200, 200));
    let late = |answer: loadtest::Answer| {
        let loadtest::Answer::Error { code, text, .. } = answer else { panic!("{answer:?}") };
        assert!(code == 500 && text.ends_with("the server did not answer in time"), "{code} {text}");
    };

    // Who reads when it begins to hang is told so, and with that everybody knows.
    database.signal(Signal::STOP);
    let (mut reader, mut writers) = (session(&server), [session(&server), session(&server)]);
    let read = "SELECT hash FROM users_auth WHERE id = 1";
    reader.send_query(read).expect("sent");
    writers[0].send_query(&put(2)).expect("sent");
    late(session(&impatient).query(&put(2)).expect("an answer"));
    late(reader.read_answer().expect("an answer"));
    for server in [&server, &impatient] {
        assert!(tools::until(PATIENCE, || (health(server) == 503).then_some(())).is_some());
        let line = server.await_line(|line| line.contains("the database cannot be reached"), "the beginning");
        assert!(line.contains("the server did not answer in time"), "{line}");
    }
    late(reader.query(read).expect("an answer"));
    writers[1].send_query(&put(3)).expect("sent");
    let waiting = ("waiting".to_owned(), "2".to_owned());
    let seen = tools::until(PATIENCE, || (state(&server) == waiting).then_some(()));
    assert!(seen.is_some(), "{:?}", state(&server));

    database.signal(Signal::CONT);
    for writer in &mut writers {
        let answer = writer.read_answer().expect("an answer");
        assert!(matches!(answer, loadtest::Answer::Ok { affected: 1, .. }), "{answer:?}");
    }
    for server in [&server, &impatient] {
        server.await_line(|line| line.contains("the database can be reached again"), "the end");
        assert!(tools::until(PATIENCE, || (health(server) == 200).then_some(())).is_some());
        assert_eq!(state(server), ("ok".to_owned(), "0".to_owned()));
        for said in ["the database cannot be reached", "the database can be reached again"] {
            assert_eq!(server.log().matches(said).count(), 1, "{}", server.log());
        }
    }
    let rows = reader.rows("SELECT id FROM users_auth WHERE id IN (1, 2, 3)").expect("the rows");
    assert_eq!(rows.len(), 3);
    let rows = impatient.backend().rows("SELECT id FROM users_auth WHERE id IN (1, 2)").expect("the rows");
    assert_eq!(rows.len(), 1, "what was refused is not there");
}

#[test]
fn writes_that_waited_too_long_fail() {
    let Some(mut database) = MariaDb::own("away") else { return };
    let place = database.database();
    let more = format!("{}[storage]\nretry_s = 1\n", section(&place));
    let server = Server::start(&Setup { more, ..Setup::default() });
    database.kill();
    let mut backend = server.backend();
    let error = backend.execute("INSERT INTO users_auth (id, hash) VALUES (1, 'x')").expect_err("the database is away");
    assert!(error.to_string().contains("cannot be reached"), "{error}");
    let (status, _) = server.stop();
    assert!(status.success(), "{status}");
}

/// A folder with the configuration of a server whose database is not there.
fn without_database(attempts: u32) -> (crate::server::Folder, Command) {
    let place = Place {
        host: "127.0.0.1".into(),
        port: 1,
        socket: None,
        user: USER.into(),
        password: Some("hunter2".into()),
        name: "comet".into(),
    };
    let folder = crate::server::Folder::new();
    let more = format!("{}connection_attempts = {attempts}\n", section(&place));
    let config = folder.file(
        "comet.ini",
        &format!("[main]\npassword = 0123456789abcdef\n[ws]\nport = 0\n[cometql]\nport = 0\n{more}"),
    );
    let mut command = Command::new(crate::server::program());
    command.arg("--conf").arg(config).current_dir(folder.path());
    (folder, command)
}

#[test]
fn a_start_without_its_database_says_so() {
    let (_folder, mut command) = without_database(1);
    let finished = tools::run(&mut command, PATIENCE);
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    let said = "encke: The database comet at 127.0.0.1:1 cannot be used: ";
    assert!(finished.stderr.contains(said) && !finished.stderr.contains("hunter2"), "{}", finished.stderr);
}

#[test]
fn a_start_that_waits_for_its_database_can_be_stopped() {
    let (_folder, mut command) = without_database(1000);
    let mut child = command.stderr(Stdio::piped()).spawn().expect("the program starts");
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    assert!(lines.any(|line| line.is_ok_and(|line| line.contains("Trying again"))));
    rustix::process::kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
    let status = tools::wait(&mut child, Duration::from_secs(20));
    assert!(status.is_some_and(|status| status.success()), "{status:?}");
}
