//! `floor`: what the same bytes cost without any server: a bare loop of `send(2)` over accepted sockets.
//!
//! The sender is a thread on the server's core with a descriptor table of its own, as a shard has; the receivers are
//! the same crowd that measures the server.

use super::fanout::{Audience, Measured};
use super::meter::{Meter, Reading};
use super::report::{Record, Report};
use super::window::{Listening, Outcome, Publisher, Round, drive, listen, rest};
use crate::crowd::{ConnectPlan, Crowd, Opening, wait};
use crate::error::Error;
use crate::process::{CpuTime, Process};
use crate::publication::PublicationShape;
use crate::system;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Connections the kernel keeps for the sender until it accepts them.
const BACKLOG: i32 = 4096;
/// How long the sender waits for one connection.
const ACCEPT_LIMIT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[arg(long, default_value_t = 1000)]
    pub subscribers: usize,
    /// Rounds of sends under way at most; joined into one send in the joined variant
    #[arg(long, default_value_t = 1)]
    pub window: u32,
    /// Publications in a round; as many as make a round of about a second if left out
    #[arg(long)]
    pub messages: Option<u32>,
    /// Bytes of each message
    #[arg(long, default_value_t = 128)]
    pub size: usize,
    #[arg(long, default_value_t = 3)]
    pub rounds: u32,
    /// Core of the sender
    #[arg(long, default_value_t = 0)]
    pub server_core: usize,
}

pub fn run(limit: Duration, client_core: Option<usize>, options: &Options, report: &mut Report) -> Result<(), Error> {
    system::pin_to_core(client_core)?;
    let mut floor = Floor::gather(limit, client_core, options.server_core, options.subscribers, options.size)?;
    let publications = options.messages.unwrap_or(super::fanout::publications_for(options.subscribers, options.window));
    let variants: &[Sends] = if options.window > 1 { &[Sends::Single, Sends::Joined] } else { &[Sends::Single] };
    floor.round(limit, 10, options.window, Sends::Single)?;
    for sends in variants {
        let (mut rates, mut costs) = (Vec::new(), Vec::new());
        for round in 0..options.rounds.max(1) {
            let measured = floor.round(limit, publications, options.window, *sends)?;
            let mut record = Record::new(sends.name());
            record.count("round", u64::from(round) + 1).count("frame_bytes", floor.frame_bytes() as u64);
            tell(&measured, &mut record, options.subscribers as u64, publications, options.window);
            rates.push(measured.rate());
            costs.extend(measured.reading.server_us_per(measured.outcome.summary.tally.delivered));
            let failed = record.is_failed();
            report.add(record);
            if failed {
                return Ok(());
            }
        }
        let mut record = Record::new(format!("{} median", sends.name()));
        record.count("subscribers", options.subscribers as u64).count("window", u64::from(options.window));
        record.rounds("deliveries_per_second", &rates).rounds("sender_cpu_us_per_delivery", &costs);
        report.add(record);
    }
    floor.finish()
}

/// The facts of a round; the sender stands where a server's process stands otherwise.
pub fn tell(measured: &Measured, record: &mut Record, subscribers: u64, publications: u32, window: u32) {
    let delivered = measured.outcome.summary.tally.delivered;
    if let Some(us) = measured.reading.server_us_per(delivered) {
        record.number("sender_cpu_us_per_delivery", us);
    }
    let without_server = Reading { server: None, ..measured.reading.clone() };
    Measured { reading: without_server, ..measured.clone() }.tell(record, subscribers, publications, window);
}

/// How publications that go out together are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sends {
    /// One send per publication and subscriber.
    Single,
    /// One send per subscriber with all of them.
    Joined,
}

impl Sends {
    pub fn name(self) -> &'static str {
        match self {
            Self::Single => "floor",
            Self::Joined => "floor joined",
        }
    }
}

/// Receivers and the sender thread.
#[derive(Debug)]
pub struct Floor {
    audience: Audience<NoPublisher>,
    sender: SenderHandle,
    shape: Arc<PublicationShape>,
}

impl Floor {
    pub fn gather(
        limit: Duration,
        client_core: Option<usize>,
        server_core: usize,
        subscribers: usize,
        size: usize,
    ) -> Result<Self, Error> {
        if system::threads_for(subscribers) > 1 {
            return Err(Error::usage(format!("{subscribers} subscribers are more than one sender thread can hold")));
        }
        let shape = Arc::new(PublicationShape::new("bench_floor", "tick", size)?);
        let mut crowd = Crowd::start(1, client_core)?;
        let sender = SenderHandle::start(server_core, shape.clone(), subscribers)?;
        let plan = ConnectPlan {
            target: sender.address,
            connections: subscribers,
            opening: Opening::Bare,
            under_way_max: 256,
            receive_bytes: None,
            limit: limit + Duration::from_millis(10) * subscribers as u32,
        };
        crowd.connect(&plan)?;
        wait(&sender.accepted, limit + ACCEPT_LIMIT, "the sender to accept all connections")??;
        Ok(Self { audience: Audience::new(crowd, NoPublisher, shape.clone()), sender, shape })
    }

    pub fn frame_bytes(&self) -> usize {
        self.shape.frame(0, unix_seconds()).len()
    }

    pub fn round(&mut self, limit: Duration, publications: u32, window: u32, sends: Sends) -> Result<Measured, Error> {
        let round = self.audience.plan(limit, publications, window);
        let listening = listen(&self.audience.crowd, &round)?;
        rest();
        let meter = Meter::start(None)?;
        let before = Process::ourselves().thread_cpu_ns(self.sender.thread)?;
        let (reply, outcome) = channel();
        let command = Command { round, listening, sends, reply };
        let sent = self.sender.commands.as_ref().is_some_and(|commands| commands.send(command).is_ok());
        if !sent {
            return Err(Error::Worker { what: "the sender of the bare loop".into() });
        }
        let longest = limit + Duration::from_millis(100) * publications;
        let outcome = wait(&outcome, longest, "the sender to finish its round")??;
        rest();
        let used = Process::ourselves().thread_cpu_ns(self.sender.thread)?.saturating_sub(before);
        let mut reading = meter.stop()?;
        reading.server = Some(CpuTime { total_ns: used, ..CpuTime::default() });
        Ok(Measured { outcome, reading })
    }

    /// Ends all connections: the receivers' first, as with a server.
    pub fn finish(mut self) -> Result<(), Error> {
        self.audience.crowd.close()
    }
}

/// The sender thread publishes by itself.
#[derive(Debug)]
struct NoPublisher;

impl Publisher for NoPublisher {
    fn publish(&mut self, _: Range<u32>) -> Result<(), Error> {
        Err(Error::usage("the bare loop is driven by its sender"))
    }

    fn arrived(&mut self, _: u32) -> Result<(), Error> {
        Ok(())
    }
}

struct Command {
    round: Round,
    listening: Listening,
    sends: Sends,
    reply: Sender<Result<Outcome, Error>>,
}

#[derive(Debug)]
struct SenderHandle {
    address: SocketAddr,
    /// Its thread number, to read its CPU.
    thread: u32,
    accepted: Receiver<Result<(), Error>>,
    commands: Option<Sender<Command>>,
    join: Option<JoinHandle<()>>,
}

impl SenderHandle {
    fn start(core: usize, shape: Arc<PublicationShape>, connections: usize) -> Result<Self, Error> {
        let (started, address) = channel();
        let (accepting, accepted) = channel();
        let (commands, received) = channel::<Command>();
        let work = move || {
            let listener = match listen_on_core(core) {
                Ok((listener, address)) => {
                    let _ = started.send(Ok((address, system::thread_number())));
                    listener
                }
                Err(error) => {
                    let _ = started.send(Err(error));
                    return;
                }
            };
            let mut sender = match accept_all(&listener, connections) {
                Ok(streams) => BareLoop { streams, shape, sends: Sends::Single, bytes: Vec::new() },
                Err(error) => {
                    let _ = accepting.send(Err(error));
                    return;
                }
            };
            let _ = accepting.send(Ok(()));
            while let Ok(command) = received.recv() {
                sender.sends = command.sends;
                let _ = command.reply.send(drive(&mut sender, &command.round, &command.listening));
            }
        };
        let join =
            thread::Builder::new().name("bare-sender".into()).spawn(work).map_err(Error::io("start a thread"))?;
        let (address, thread) = wait(&address, ACCEPT_LIMIT, "the sender to listen")??;
        Ok(Self { address, thread, accepted, commands: Some(commands), join: Some(join) })
    }
}

impl Drop for SenderHandle {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(join) = self.join.take() {
            // A sender that panicked has said so on standard error.
            let _ = join.join();
        }
    }
}

/// First of all a descriptor table of its own (see there for the rule), then everything else.
fn listen_on_core(core: usize) -> Result<(TcpListener, SocketAddr), Error> {
    system::own_descriptor_table()?;
    system::pin_to_core(Some(core))?;
    let open = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        // Accepted sockets inherit it.
        socket.set_tcp_nodelay(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        let listener = TcpListener::from(socket);
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    open().map_err(Error::io("listen for the bare loop"))
}

fn accept_all(listener: &TcpListener, connections: usize) -> Result<Vec<TcpStream>, Error> {
    let mut streams = Vec::with_capacity(connections);
    let mut last = Instant::now();
    while streams.len() < connections {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true).map_err(Error::io("prepare an accepted connection"))?;
                streams.push(stream);
                last = Instant::now();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if last.elapsed() > ACCEPT_LIMIT {
                    let waiting_for = format!("connection {} of {connections}", streams.len() + 1);
                    return Err(Error::TimedOut { waiting_for, limit: ACCEPT_LIMIT });
                }
                thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(Error::io("accept a connection")(error)),
        }
    }
    Ok(streams)
}

/// The loop that everything else is measured against.
struct BareLoop {
    streams: Vec<TcpStream>,
    shape: Arc<PublicationShape>,
    sends: Sends,
    bytes: Vec<u8>,
}

impl Publisher for BareLoop {
    fn publish(&mut self, sequences: Range<u32>) -> Result<(), Error> {
        let seconds = unix_seconds();
        match self.sends {
            Sends::Single => {
                for sequence in sequences {
                    self.bytes = self.shape.frame(sequence, seconds);
                    self.send_to_all()?;
                }
                Ok(())
            }
            Sends::Joined => {
                self.bytes.clear();
                for sequence in sequences {
                    self.bytes.extend_from_slice(&self.shape.frame(sequence, seconds));
                }
                self.send_to_all()
            }
        }
    }

    fn arrived(&mut self, _: u32) -> Result<(), Error> {
        Ok(())
    }
}

impl BareLoop {
    /// One send each; a socket that does not take all at once would make this another measurement.
    fn send_to_all(&mut self) -> Result<(), Error> {
        for stream in &mut self.streams {
            let sent = stream.write(&self.bytes).map_err(Error::io("send in the bare loop"))?;
            if sent != self.bytes.len() {
                let what = format!("a socket took {sent} of {} bytes: use a smaller window or size", self.bytes.len());
                return Err(Error::usage(what));
            }
        }
        Ok(())
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
