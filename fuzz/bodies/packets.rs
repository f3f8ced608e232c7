//! Bytes of a `CometQL` client, cut into pieces, against the protocol's state.
//!
//! Input: one byte of options, one byte that is the length of a piece (0: all at once), then the client's bytes. The
//! same bytes at once and in pieces must mean the same, nothing may panic, and the caps on memory must hold.

use encke::cometql::wire::{BORROWED_MAX, Command, Connection, Event, Limits, Method, Salt, ServerSettings, Verdict};

const LIMITS: Limits = Limits {
    packet_before_login_max: 4096,
    packet_max: 256 * 1024,
    query_max: 80 * 1024,
    statements_max: 8,
    long_data_max: 4096,
};

pub(crate) fn check(input: &[u8]) {
    let [options, piece, client @ ..] = input else { return };
    let at_once = run(*options, client.len().max(1), client);
    let in_pieces = run(*options, if *piece == 0 { client.len().max(1) } else { usize::from(*piece) }, client);
    assert_eq!(at_once, in_pieces);
}

/// What the bytes meant, as text.
fn run(options: u8, piece: usize, client: &[u8]) -> Vec<String> {
    let mut session = Session::new(options);
    for bytes in client.chunks(piece) {
        session.unread.extend_from_slice(bytes);
        if !session.read() {
            break;
        }
        assert!(session.connection.held_bytes() <= LIMITS.packet_max + LIMITS.long_data_max);
    }
    session.seen
}

struct Session {
    connection: Connection,
    /// Any login is right.
    trusting: bool,
    /// The parameters of the next prepared statement.
    parameters: u16,
    unread: Vec<u8>,
    out: Vec<u8>,
    seen: Vec<String>,
}

impl Session {
    fn new(options: u8) -> Self {
        let mut connection = Connection::new(1, Salt::from_random([options; 20]));
        let method = if options & 1 == 0 { Method::Native } else { Method::CachingSha2 };
        let mut out = Vec::new();
        connection.greeting(&ServerSettings { method, tls: options & 2 != 0, ..ServerSettings::default() }, &mut out);
        let trusting = options & 4 == 0;
        Self { connection, trusting, parameters: 0, unread: Vec::new(), out, seen: Vec::new() }
    }

    /// Reads all that can be read; false once the session is over.
    fn read(&mut self) -> bool {
        loop {
            let unread = std::mem::take(&mut self.unread);
            let (used, goes_on) = match self.connection.next(&LIMITS, &unread) {
                Ok(Some((used, event))) => (used, self.handle(&event)),
                Ok(None) => {
                    assert!(unread.len() < BORROWED_MAX + 4, "more is unread than a caller must keep");
                    self.unread = unread;
                    return true;
                }
                Err(fatal) => {
                    self.seen.push(format!("{fatal:?}"));
                    return false;
                }
            };
            self.unread = unread[used..].to_vec();
            if !goes_on {
                return false;
            }
        }
    }

    fn handle(&mut self, event: &Event<'_>) -> bool {
        if *event != Event::Partial {
            self.seen.push(format!("{event:?}"));
        }
        let verdict = match event {
            Event::Login(login) => Some(self.connection.verdict(login, b"password")),
            Event::AuthSwitchResponse(auth) => Some(self.connection.verdict_after_switch(auth, b"password")),
            Event::Tls => {
                self.connection.tls_started();
                None
            }
            Event::Partial => None,
            Event::Command { sequence, command } => return self.answer(*sequence, command),
        };
        verdict.is_none_or(|verdict| self.obey(verdict))
    }

    fn obey(&mut self, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Accepted(method) => self.connection.accept(method, &mut self.out),
            Verdict::SwitchPlugin(method) => self.connection.switch_plugin(method, &mut self.out),
            Verdict::Empty => self.connection.accept_unproved(&mut self.out),
            Verdict::Wrong if self.trusting => self.connection.accept(Method::Native, &mut self.out),
            Verdict::Wrong => {
                self.connection.refuse(16, "no", &mut self.out);
                return false;
            }
        }
        true
    }

    fn answer(&mut self, sequence: u8, command: &Command<'_>) -> bool {
        match command {
            Command::Quit => return false,
            Command::ChangeUser(login) => {
                let verdict = self.connection.verdict(login, b"password");
                return self.obey(verdict);
            }
            Command::Prepare(_) => {
                self.parameters = (self.parameters + 1) % 12;
                let id = self.connection.add_statement(&LIMITS, self.parameters);
                let mut reply = self.connection.reply(sequence, &mut self.out);
                match id {
                    Some(id) => reply.prepared(id, &[], self.parameters),
                    None => reply.error(1461, "too many"),
                }
            }
            Command::Execute(execute) => self.seen.push(format!("{:?}", execute.parameters().collect::<Vec<_>>())),
            _ => self.connection.reply(sequence, &mut self.out).ok(0, 0, false),
        }
        self.out.clear();
        true
    }
}
