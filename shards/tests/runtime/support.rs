//! A host that obeys lines, a server around it, and clients. Every wait has a generous limit and no measured time is
//! ever compared.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use shards::{
    Counters, End, Engine, EngineChoice, Host, Io, Level, Linux, Memory, Running, Settings, ShardSettings, SharedBytes,
    Token, Waker, prepare,
};

/// Longer than anything takes on a loaded machine with sanitizers.
pub(crate) const LIMIT: Duration = Duration::from_mins(2);

/// What the shards tell the test.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) accepted: AtomicU64,
    pub(crate) lines: AtomicU64,
    pub(crate) woken: AtomicU64,
    pub(crate) timeouts: AtomicU64,
    pub(crate) replies: AtomicU64,
    pub(crate) farewells: AtomicU64,
    pub(crate) asked: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) order_broken: AtomicU64,
    ended: Mutex<Vec<End>>,
    /// By shard, as of the last turn.
    status: Mutex<Vec<(Counters, Memory)>>,
}

/// The locks are used in these methods only: that is how the list of suppressions names them.
impl Log {
    fn with_shards(count: usize) -> Self {
        Self { status: Mutex::new(vec![Default::default(); count]), ..Self::default() }
    }

    /// Why connections ended, in the order of their ends.
    pub(crate) fn ends(&self) -> Vec<End> {
        self.ended.lock().unwrap().clone()
    }

    fn add_end(&self, end: End) {
        self.ended.lock().unwrap().push(end);
    }

    pub(crate) fn counters(&self, shard: usize) -> Counters {
        self.status.lock().unwrap()[shard].0.clone()
    }

    pub(crate) fn all_counters(&self) -> Vec<Counters> {
        self.status.lock().unwrap().iter().map(|(counters, _)| counters.clone()).collect()
    }

    pub(crate) fn memory(&self, shard: usize) -> Memory {
        self.status.lock().unwrap()[shard].1
    }

    fn set_status(&self, shard: u16, counters: &Counters, memory: Memory) {
        self.status.lock().unwrap()[usize::from(shard)] = (counters.clone(), memory);
    }
}

/// What crosses the rings.
pub(crate) enum Message {
    /// Fan these bytes out to everybody who joined at the receiver.
    Cast(SharedBytes),
    /// Level 0: the receiver sends a [`Message::Numbered`] of level 1 to every shard.
    Spread,
    /// Level 1: answered to its origin with a reply; numbered by sender and receiver.
    Numbered(u64),
    /// Level 2.
    Reply(u64),
    /// A connection has ended. Told on to the next shard by a message of the next level, up to the last one.
    Ended(Level),
    /// Level 0, from a connection: told on in the same way. The last one is answered to the connection that asked.
    Question(Token),
    Asked {
        asker: (u16, Token),
        level: Level,
    },
}

/// Obeys lines:
///
/// * `echo TEXT`: writes the text and a line end.
/// * `big N SEED`, `shared N SEED`: writes N bytes of a pattern, copied or shared.
/// * `join`, `cast N SEED`: everybody who joined, on all shards, gets N bytes of a pattern. `joined` answers.
/// * `pause`: pauses this connection. `resume`: resumes all that are paused on this shard.
/// * `close`, `bye TEXT`: ends this connection at once, or after the text was sent.
/// * `last N SEED`: N bytes of a pattern, then the end, within a minute.
/// * `stream N SEED`: N pieces of 100,000 bytes of a pattern, each when the one before is sent.
/// * `deadline MS`, `idle MS`: `timeout` is written when it passes.
/// * `spread N`: N messages of level 0 to every shard.
/// * `ask`: `answer` is written when the question has gone through all levels.
/// * `enough`: no other connection is read in this turn; `first` is written, or `second` if one said so before in this turn.
/// * `panic`: breaks the shard.
pub(crate) struct Lines {
    shard: u16,
    log: Arc<Log>,
    joined: Vec<Token>,
    paused: Vec<Token>,
    conns: Vec<Token>,
    casts: Vec<SharedBytes>,
    /// Whose, and how many pieces of which pattern are left.
    streams: Vec<(Token, usize, usize)>,
    numbers_out: Vec<u64>,
    numbers_in: Vec<u64>,
    replies_in: Vec<u64>,
    /// Whether somebody had enough in this turn.
    has_enough: bool,
    /// Whether `farewell` closes the connections.
    obedient: bool,
    /// Whether the oldest connection goes when another one waits.
    gives_way: bool,
}

impl Lines {
    pub(crate) fn new(shard: u16, log: Arc<Log>) -> Self {
        Self {
            shard,
            log,
            joined: Vec::new(),
            paused: Vec::new(),
            conns: Vec::new(),
            casts: Vec::new(),
            streams: Vec::new(),
            numbers_out: vec![0; 16],
            numbers_in: vec![0; 16],
            replies_in: vec![0; 16],
            has_enough: false,
            obedient: true,
            gives_way: false,
        }
    }

    pub(crate) fn disobedient(mut self) -> Self {
        self.obedient = false;
        self
    }

    pub(crate) fn giving_way(mut self) -> Self {
        self.gives_way = true;
        self
    }

    /// A question goes round all shards, and comes back to the one that has the connection with the last level.
    fn tell_on(&mut self, io: &mut Io<'_, Self>, asker: (u16, Token), level: Level) {
        let Some(level) = next(level) else {
            io.write(asker.1, b"answer\n");
            return;
        };
        let to = if level == Level::Reply { asker.0 } else { (self.shard + 1) % io.shards() };
        io.send(level, to, Message::Asked { asker, level });
    }

    fn obey(&mut self, io: &mut Io<'_, Self>, conn: Token, line: &str) {
        self.log.lines.fetch_add(1, Ordering::Relaxed);
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let numbers: Vec<usize> = rest.split(' ').filter_map(|word| word.parse().ok()).collect();
        match (word, numbers.as_slice()) {
            ("echo", _) => io.write(conn, format!("{rest}\n").as_bytes()),
            ("big", [len, seed]) => io.write(conn, &pattern(*len, *seed)),
            ("shared", [len, seed]) => io.write_shared(conn, &pattern(*len, *seed).into()),
            ("join", _) => {
                self.joined.push(conn);
                io.write(conn, b"joined\n");
            }
            ("cast", [len, seed]) => {
                let bytes: SharedBytes = pattern(*len, *seed).into();
                for shard in 0..io.shards() {
                    io.send(Level::Deliver, shard, Message::Cast(SharedBytes::clone(&bytes)));
                }
            }
            ("pause", _) => {
                io.pause(conn);
                self.paused.push(conn);
            }
            ("resume", _) => self.paused.drain(..).for_each(|conn| io.resume(conn)),
            ("close", _) => io.close(conn),
            ("bye", _) => {
                io.write(conn, format!("{rest}\n").as_bytes());
                io.close_after_flush(conn);
            }
            ("last", [len, seed]) => io.write_last(conn, &pattern(*len, *seed).into(), Duration::from_mins(1)),
            ("stream", [count, seed]) => {
                self.streams.push((conn, *count, *seed));
                io.tell_when_drained(conn);
            }
            ("deadline", [ms]) => io.deadline_after(conn, Duration::from_millis(*ms as u64)),
            ("idle", [ms]) => io.idle_timeout(conn, Duration::from_millis(*ms as u64)),
            ("spread", [count]) => {
                for _ in 0..*count {
                    for shard in 0..io.shards() {
                        io.send(Level::Request, shard, Message::Spread);
                    }
                }
            }
            ("ask", _) => {
                self.log.asked.fetch_add(1, Ordering::Relaxed);
                io.send(Level::Request, (self.shard + 1) % io.shards(), Message::Question(conn));
            }
            ("enough", _) => {
                let text: &[u8] = if self.has_enough { b"second\n" } else { b"first\n" };
                self.has_enough = true;
                io.read_no_more();
                io.write(conn, text);
            }
            ("panic", _) => panic!("asked for"),
            _ => io.write(conn, b"what?\n"),
        }
    }
}

impl Host for Lines {
    type Kernel = Linux;
    type Message = Message;
    type State = u64;

    fn accepted(&mut self, io: &mut Io<'_, Self>, conn: Token) {
        assert!(io.peer_address(conn).is_some() && io.local_address(conn).is_some());
        assert_eq!(io.state(conn).copied(), Some(0));
        *io.state(conn).unwrap() = u64::from(conn.index) + 1;
        self.conns.push(conn);
        self.log.accepted.fetch_add(1, Ordering::Relaxed);
    }

    fn full(&mut self, io: &mut Io<'_, Self>) {
        if let (true, Some(oldest)) = (self.gives_way, self.conns.first()) {
            io.close(*oldest);
        }
    }

    fn received(&mut self, io: &mut Io<'_, Self>, conn: Token, bytes: &mut [u8]) -> usize {
        assert!(!bytes.is_empty());
        assert_eq!(io.state(conn).copied(), Some(u64::from(conn.index) + 1));
        let mut used = 0;
        while let Some(end) = bytes[used..].iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(&bytes[used..used + end]).into_owned();
            used += end + 1;
            self.obey(io, conn, &line);
            if self.paused.contains(&conn) || !io.is_open(conn) {
                break;
            }
        }
        // What is used up may be changed, and must not be seen again.
        bytes[..used].fill(b'#');
        used
    }

    fn ended(&mut self, io: &mut Io<'_, Self>, conn: Token, end: End) {
        assert!(!io.is_open(conn));
        assert_eq!(io.state(conn).copied(), Some(u64::from(conn.index) + 1), "the state outlives the socket");
        let before = self.conns.len();
        self.conns.retain(|other| *other != conn);
        assert_eq!(self.conns.len() + 1, before, "ended must come once for each accepted");
        self.joined.retain(|other| *other != conn);
        self.paused.retain(|other| *other != conn);
        self.streams.retain(|(whose, ..)| *whose != conn);
        self.log.add_end(end);
        io.send(Level::Request, (self.shard + 1) % io.shards(), Message::Ended(Level::Request));
    }

    fn drained(&mut self, io: &mut Io<'_, Self>, conn: Token) {
        assert_eq!(io.queued_bytes(conn), 0);
        let Some(place) = self.streams.iter().position(|(whose, ..)| *whose == conn) else { return };
        let (_, left, seed) = &mut self.streams[place];
        io.write(conn, &pattern(100_000, *seed));
        *left -= 1;
        if *left == 0 {
            self.streams.remove(place);
        } else {
            io.tell_when_drained(conn);
        }
    }

    fn timed_out(&mut self, io: &mut Io<'_, Self>, conn: Token) {
        self.log.timeouts.fetch_add(1, Ordering::Relaxed);
        io.write(conn, b"timeout\n");
    }

    fn message(&mut self, io: &mut Io<'_, Self>, from: u16, message: Message) {
        match message {
            Message::Cast(bytes) => self.casts.push(bytes),
            Message::Spread => {
                for shard in 0..io.shards() {
                    self.numbers_out[usize::from(shard)] += 1;
                    let number = self.numbers_out[usize::from(shard)];
                    io.send(Level::Deliver, shard, Message::Numbered(number));
                }
            }
            Message::Numbered(number) => {
                self.log.delivered.fetch_add(1, Ordering::Relaxed);
                self.numbers_in[usize::from(from)] += 1;
                let in_order = number == self.numbers_in[usize::from(from)];
                self.log.order_broken.fetch_add(u64::from(!in_order), Ordering::Relaxed);
                io.send(Level::Reply, from, Message::Reply(number));
            }
            Message::Reply(number) => {
                self.replies_in[usize::from(from)] += 1;
                let in_order = number == self.replies_in[usize::from(from)];
                self.log.order_broken.fetch_add(u64::from(!in_order), Ordering::Relaxed);
                self.log.replies.fetch_add(1, Ordering::Relaxed);
            }
            Message::Ended(level) => match next(level) {
                Some(level) => io.send(level, (self.shard + 1) % io.shards(), Message::Ended(level)),
                None => {
                    self.log.farewells.fetch_add(1, Ordering::Relaxed);
                }
            },
            Message::Question(conn) => self.tell_on(io, (from, conn), Level::Request),
            Message::Asked { asker, level } => self.tell_on(io, asker, level),
        }
    }

    fn woken(&mut self, _: &mut Io<'_, Self>) {
        self.log.woken.fetch_add(1, Ordering::Relaxed);
    }

    fn turn_ended(&mut self, io: &mut Io<'_, Self>) {
        self.has_enough = false;
        if !io.fan_out_pending() {
            for bytes in self.casts.drain(..) {
                io.fan_out(self.joined.clone(), bytes);
            }
        }
        self.log.set_status(self.shard, io.counters(), io.memory());
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn farewell(&mut self, io: &mut Io<'_, Self>) {
        if self.obedient {
            for conn in self.conns.clone() {
                io.write(conn, b"stopped\n");
                io.close_after_flush(conn);
            }
        }
    }
}

/// A running server; stopped and joined at the end of its test.
pub(crate) struct Server {
    pub(crate) log: Arc<Log>,
    pub(crate) wakers: Vec<Waker>,
    running: Option<Running>,
}

impl Server {
    pub(crate) fn start(settings: Settings) -> Self {
        Self::start_with(settings, Lines::new)
    }

    pub(crate) fn start_with<F>(settings: Settings, make: F) -> Self
    where
        F: Fn(u16, Arc<Log>) -> Lines + Send + Sync + 'static,
    {
        let log = Arc::new(Log::with_shards(settings.shards.len()));
        let prepared = prepare(settings).unwrap();
        let wakers = prepared.wakers();
        let running = prepared.start({
            let log = Arc::clone(&log);
            move |shard| make(shard, Arc::clone(&log))
        });
        Self { log, wakers, running: Some(running.unwrap()) }
    }

    pub(crate) fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running().addresses()[0].unwrap()
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// Waits for the end of so many connections and returns the reasons of all.
    pub(crate) fn wait_for_ends(&self, count: usize) -> Vec<End> {
        wait_until(|| self.log.ends().len() >= count);
        self.log.ends()
    }

    pub(crate) fn stop(mut self) -> Arc<Log> {
        let running = self.running.take().unwrap();
        running.stop();
        running.join().unwrap();
        Arc::clone(&self.log)
    }

    pub(crate) fn take_running(&mut self) -> Running {
        self.running.take().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
            if !std::thread::panicking() {
                running.join().unwrap();
            }
        }
    }
}

/// A free port, chosen by the system.
pub(crate) fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// So many shards at one free port, with ticks short enough for tests.
pub(crate) fn settings(shards: usize) -> Settings {
    Settings {
        // On a busy machine a client may be as slow as a test may take.
        shards: (0..shards)
            .map(|shard| ShardSettings {
                close_time_max: LIMIT,
                ..ShardSettings::new(format!("shard-{shard}"), Some(any_port()))
            })
            .collect(),
        tick: Duration::from_millis(5),
        // ThreadSanitizer takes equal numbers of descriptors in different tables for the same descriptor.
        own_descriptor_table: std::env::var_os("SHARDS_TEST_ONE_TABLE").is_none(),
        ..Settings::default()
    }
}

/// The engines that work here: always the plain one.
pub(crate) fn engines() -> Vec<EngineChoice> {
    let engine = prepare(settings(1)).unwrap().engine();
    match engine {
        Engine::IoUring => vec![EngineChoice::Plain, EngineChoice::IoUring],
        Engine::Plain => vec![EngineChoice::Plain],
    }
}

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_write_timeout(Some(LIMIT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn expect(&mut self, text: &str) {
        let mut buffer = vec![0; text.len()];
        self.stream.read_exact(&mut buffer).unwrap();
        assert_eq!(String::from_utf8_lossy(&buffer), text);
    }

    pub(crate) fn expect_pattern(&mut self, len: usize, seed: usize) {
        self.expect_bytes(&pattern(len, seed));
    }

    pub(crate) fn expect_bytes(&mut self, bytes: &[u8]) {
        let mut buffer = vec![0; bytes.len()];
        self.stream.read_exact(&mut buffer).unwrap();
        if buffer == bytes {
            return;
        }
        let damaged = buffer.iter().zip(bytes).position(|(received, expected)| received != expected);
        panic!("the first damaged byte is {damaged:?}");
    }

    /// Everything up to the end of the stream.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).unwrap();
        rest
    }
}

fn next(level: Level) -> Option<Level> {
    Level::ALL.into_iter().find(|other| *other > level)
}

/// Bytes of which no piece can be missing or doubled without being noticed.
pub(crate) fn pattern(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|at| (at.wrapping_mul(31) ^ (at >> 8).wrapping_mul(17) ^ seed.wrapping_mul(101)) as u8).collect()
}

pub(crate) fn wait_until(condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < LIMIT, "waited too long");
        std::thread::sleep(Duration::from_millis(1));
    }
}
