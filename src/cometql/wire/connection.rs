//! The protocol state of one session: which bytes mean what now.
//!
//! ```text
//!  Fresh --greeting--> Login --Event::Login--> Verdict --accept--> Commands --Event::Command--> Commands
//!                       |  ^                    |   ^                 |  COM_CHANGE_USER --> Verdict
//!           Event::Tls  v  | tls_started        |   | Event::AuthSwitchResponse
//!                       Tls          switch_plugin  |                 any state: Fatal, Quit, refuse --> Closed
//!                                               v   |
//!                                            SwitchResponse
//! ```
//!
//! In `Fresh`, `Tls`, `Verdict` and `Closed` no byte is looked at, so nothing that a client sends early is taken for
//! something else - least of all plain bytes behind an SSL request.

use std::borrow::Cow;

use crate::model::CloseReason;

use super::bytes::{HEADER_LENGTH, Header, PACKET_FULL, Reader, put_packet, put_u16, put_u32};
use super::capabilities::Capabilities;
use super::command::{self, BODY_TOO_LONG, Command, SMALL_BODY_MAX, UNKNOWN_OPTION, number};
use super::login::{self, Login, Method, Salt, Verdict};
use super::payload::{HEAD, Payloads, Step, TooLarge};
use super::reply::{PausedRows, Reply, RowWriter, StatusFlags};
use super::statement::Statements;
use super::{Limits, ServerSettings, code};

/// What a client's bytes mean.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<'a> {
    /// Ask [`Connection::verdict`], then accept, switch or refuse. Nothing else is read until then.
    Login(Login<'a>),
    /// The answer to [`Connection::switch_plugin`]: ask [`Connection::verdict_after_switch`].
    AuthSwitchResponse(&'a [u8]),
    /// The client wants TLS now: what follows the used bytes is its hello. Call [`Connection::tls_started`] once the
    /// bytes given to [`Connection::next`] are deciphered ones.
    Tls,
    Command {
        sequence: u8,
        command: Command<'a>,
    },
    /// Part of a long payload was taken into the connection; there is nothing to answer yet.
    Partial,
}

/// The client broke the protocol or a bound. Answer what was asked before, then with this error, and close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fatal {
    pub code: u16,
    pub text: &'static str,
    /// For [`Connection::reply`].
    pub sequence: u8,
    pub reason: CloseReason,
}

impl Fatal {
    fn too_large(sequence: u8) -> Self {
        Self { code: code::TOO_LONG, text: "The packet is too long", sequence, reason: CloseReason::TooLarge }
    }

    fn malformed_login(sequence: u8) -> Self {
        let text = "The login packet is malformed";
        Self { code: code::AUTHENTICATION, text, sequence, reason: CloseReason::ProtocolError }
    }

    /// Said before the client compresses; afterwards both sides would wait for a whole packet for ever.
    fn compression_not_offered(sequence: u8) -> Self {
        let text = "Compression is not offered here: connect without it (compress=False in Python, no \
                    MYSQLI_CLIENT_COMPRESS in PHP)";
        Self { code: code::AUTHENTICATION, text, sequence, reason: CloseReason::LoginRefused }
    }

    /// Said at the login, for a client quotes by what it named there even if it is told of nothing else later.
    fn quotes_otherwise(sequence: u8) -> Self {
        let text =
            "Text is read as UTF-8 here, and a client of this character set quotes otherwise: connect with utf8mb4";
        Self { code: code::AUTHENTICATION, text, sequence, reason: CloseReason::LoginRefused }
    }

    fn tls_not_offered(sequence: u8) -> Self {
        let text = "TLS is not offered here";
        Self { code: code::AUTHENTICATION, text, sequence, reason: CloseReason::ProtocolError }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fresh,
    Login,
    Tls,
    Verdict,
    SwitchResponse,
    Commands,
    Closed,
}

/// One session. It holds no heap memory while idle and without prepared statements.
#[derive(Debug)]
pub struct Connection {
    id: u32,
    salt: Salt,
    state: State,
    /// What the greeting advertised first.
    method: Method,
    tls_offered: bool,
    tls_started: bool,
    /// Whether the password was proved; else the small cap on packets stays.
    proved: bool,
    /// Number of the packet that asked for the verdict, or of the last one written while it was found.
    sequence: u8,
    /// What both sides know. Empty before login.
    capabilities: Capabilities,
    /// What every answer says of the session.
    status: StatusFlags,
    payloads: Payloads,
    /// `None` while no statement is open.
    statements: Option<Box<Statements>>,
}

impl Connection {
    /// `id` is what `KILL` will name. The salt must never have been used before.
    pub fn new(id: u32, salt: Salt) -> Self {
        Self {
            id,
            salt,
            state: State::Fresh,
            method: Method::Native,
            tls_offered: false,
            tls_started: false,
            proved: false,
            sequence: 0,
            capabilities: Capabilities::default(),
            status: StatusFlags::default(),
            payloads: Payloads::default(),
            statements: None,
        }
    }

    /// Of a session whose statements come by another way: nothing is read and written here. A query may hold several
    /// statements.
    pub fn without_client(id: u32) -> Self {
        let capabilities = Capabilities::default().with(Capabilities::MULTI_STATEMENTS);
        Self { state: State::Closed, capabilities, ..Self::new(id, Salt::from_random([0; Salt::LENGTH])) }
    }

    pub fn id(&self) -> u32 {
        self.id
    }

    /// What every answer begun from now on says of the session.
    pub fn set_status(&mut self, status: StatusFlags) {
        self.status = status;
    }

    /// Appends the first packet of all.
    ///
    /// Shape: 10, version NUL, id (4), salt (8) and 0, flags (low 2), character set, status (2), flags (high 2), 21,
    /// ten zeros, salt (12) NUL, plugin NUL.
    pub fn greeting(&mut self, settings: &ServerSettings<'_>, out: &mut Vec<u8>) {
        const CHARSET: u8 = 45;
        const AUTH_LENGTH: u8 = Salt::LENGTH as u8 + 1;
        self.method = settings.method;
        self.tls_offered = settings.tls;
        self.state = State::Login;
        let version = settings.version.split('\0').next().unwrap_or_default();
        let [low, high] = halves(Capabilities::offered(settings.tls));
        let (salt_first, salt_second) = self.salt.bytes().split_at(8);
        // The first packet's number is 0, so the one before it would be 255.
        put_packet(out, u8::MAX, |out| {
            out.push(10);
            out.extend_from_slice(version.as_bytes());
            out.push(0);
            put_u32(out, self.id);
            out.extend_from_slice(salt_first);
            out.push(0);
            put_u16(out, low);
            out.push(CHARSET);
            put_u16(out, self.status.bits());
            put_u16(out, high);
            out.push(AUTH_LENGTH);
            out.extend_from_slice(&[0; 10]);
            out.extend_from_slice(salt_second);
            out.push(0);
            out.extend_from_slice(settings.method.plugin().as_bytes());
            out.push(0);
        });
    }

    /// Looks at unread bytes: the number of bytes used and what they mean, or `None` if more are needed or an answer
    /// is due first. To be called until then, and again after [`Self::accept`], [`Self::switch_plugin`] and
    /// [`Self::tls_started`]. After an error, and after `Quit`, it always returns `None`.
    pub fn next<'a>(&mut self, limits: &Limits, input: &'a [u8]) -> Result<Option<(usize, Event<'a>)>, Fatal> {
        let result = match self.state {
            State::Login | State::SwitchResponse => self.next_of_login(limits, input),
            State::Commands => self.next_command(limits, input),
            State::Fresh | State::Tls | State::Verdict | State::Closed => Ok(None),
        };
        if let Err(fatal) = &result {
            self.sequence = fatal.sequence;
            self.close();
        }
        result
    }

    fn next_of_login<'a>(&mut self, limits: &Limits, input: &'a [u8]) -> Result<Option<(usize, Event<'a>)>, Fatal> {
        let Some(header) = Header::read(input) else { return Ok(None) };
        let Header { length, sequence } = header;
        if length > limits.packet_before_login_max || length == PACKET_FULL {
            return Err(Fatal::too_large(sequence));
        }
        let used = HEADER_LENGTH.saturating_add(length);
        let Some(payload) = input.get(HEADER_LENGTH..used) else { return Ok(None) };
        self.sequence = sequence;
        let event = if self.state == State::SwitchResponse {
            self.state = State::Verdict;
            Event::AuthSwitchResponse(payload)
        } else if login::is_tls_request(payload) {
            if !self.tls_offered || self.tls_started {
                return Err(Fatal::tls_not_offered(sequence));
            }
            self.state = State::Tls;
            Event::Tls
        } else {
            let login = Login::read(payload, sequence).ok_or(Fatal::malformed_login(sequence))?;
            if login.compresses() {
                return Err(Fatal::compression_not_offered(sequence));
            }
            if login.quotes_otherwise() {
                return Err(Fatal::quotes_otherwise(sequence));
            }
            self.capabilities = login.capabilities.both(Capabilities::offered(self.tls_offered));
            self.state = State::Verdict;
            Event::Login(login)
        };
        Ok(Some((used, event)))
    }

    fn next_command<'a>(&mut self, limits: &Limits, input: &'a [u8]) -> Result<Option<(usize, Event<'a>)>, Fatal> {
        let payload_max = if self.proved { limits.packet_max } else { limits.packet_before_login_max };
        let body_max = |command| command::body_max(command, payload_max, limits);
        let step = self.payloads.next(payload_max, body_max, input);
        match step.map_err(|TooLarge { sequence }| Fatal::too_large(sequence))? {
            Step::Wait => Ok(None),
            Step::Dropped { used, sequence, command, head } => {
                Ok(Some((used, Event::Command { sequence, command: self.dropped(command, head) })))
            }
            Step::Partial(used) => Ok(Some((used, Event::Partial))),
            Step::Payload { used, sequence, command, body } => {
                let command = match command {
                    Some(code) => self.command(limits, sequence, code, body)?,
                    None => Command::Refused(command::MALFORMED),
                };
                Ok(Some((used, Event::Command { sequence, command })))
            }
        }
    }

    /// What a command whose body was too long means.
    fn dropped(&mut self, code: u8, head: [u8; HEAD]) -> Command<'static> {
        match code {
            number::QUERY | number::PREPARE => Command::TooLong,
            number::LONG_DATA => {
                let [a, b, c, d, low, high] = head;
                let (statement, parameter) = (u32::from_le_bytes([a, b, c, d]), u16::from_le_bytes([low, high]));
                if let Some(statements) = &mut self.statements {
                    statements.lose(statement, parameter);
                }
                Command::LongData { statement, parameter }
            }
            _ => Command::Refused(BODY_TOO_LONG),
        }
    }

    /// Lets go of everything that the client sent and that was not answered, and reads nothing more. The caller answers
    /// with this error, and closes.
    pub fn abandon(&mut self) -> Fatal {
        let sequence = self.payloads.sequence().unwrap_or(self.sequence);
        self.close();
        Fatal { code: code::TOO_LONG, text: TOO_MUCH_UNREAD, sequence, reason: CloseReason::TooLarge }
    }

    /// Reads a command and does here what it means for the session's protocol.
    fn command<'a>(
        &mut self,
        limits: &Limits,
        sequence: u8,
        code: u8,
        body: Cow<'a, [u8]>,
    ) -> Result<Command<'a>, Fatal> {
        match code {
            number::QUERY | number::PREPARE if body.len() > limits.query_max => return Ok(Command::TooLong),
            number::QUERY => return Ok(Command::Query(body)),
            number::PREPARE => return Ok(Command::Prepare(body)),
            number::EXECUTE => return Ok(self.execute(limits, body)),
            number::LONG_DATA => return Ok(self.long_data(limits, &body)),
            _ => {}
        }
        let body = match body {
            Cow::Borrowed(body) if body.len() <= SMALL_BODY_MAX => body,
            _ => return Ok(Command::Refused(BODY_TOO_LONG)),
        };
        if code == number::CHANGE_USER {
            return self.change_user(sequence, body);
        }
        let command = command::read_small(code, body);
        Ok(self.apply(command))
    }

    fn apply<'a>(&mut self, command: Command<'a>) -> Command<'a> {
        match command {
            Command::Quit => self.close(),
            Command::ResetConnection => self.statements = None,
            Command::SetOption(0) => self.capabilities = self.capabilities.with(Capabilities::MULTI_STATEMENTS),
            Command::SetOption(1) => self.capabilities = self.capabilities.without(Capabilities::MULTI_STATEMENTS),
            Command::SetOption(_) => return Command::Refused(UNKNOWN_OPTION),
            Command::CloseStatement(id) => self.close_statement(id),
            Command::ResetStatement(id) => {
                let known = self.statements.get_or_insert_default().reset(id);
                self.drop_empty_statements();
                if let Err(refusal) = known {
                    return Command::Refused(refusal);
                }
            }
            _ => {}
        }
        command
    }

    fn execute<'a>(&mut self, limits: &Limits, body: Cow<'a, [u8]>) -> Command<'a> {
        let executed = self.statements.get_or_insert_default().execute(limits, body);
        self.drop_empty_statements();
        executed.map_or_else(Command::Refused, Command::Execute)
    }

    /// Shape: statement (4), parameter (2), data.
    fn long_data(&mut self, limits: &Limits, body: &[u8]) -> Command<'static> {
        let mut reader = Reader::new(body);
        let (Some(statement), Some(parameter)) = (reader.u32(), reader.u16()) else {
            // There is no answer to this command, not even to a malformed one: it would be taken for the next one's.
            return Command::LongData { statement: 0, parameter: 0 };
        };
        if let Some(statements) = &mut self.statements {
            statements.append(limits, statement, parameter, reader.rest());
        }
        Command::LongData { statement, parameter }
    }

    fn change_user<'a>(&mut self, sequence: u8, body: &'a [u8]) -> Result<Command<'a>, Fatal> {
        let login = Login::read_change(body, sequence, self.capabilities).ok_or(Fatal::malformed_login(sequence))?;
        if login.quotes_otherwise() {
            return Err(Fatal::quotes_otherwise(sequence));
        }
        self.statements = None;
        self.proved = false;
        self.sequence = sequence;
        self.state = State::Verdict;
        Ok(Command::ChangeUser(login))
    }

    fn close_statement(&mut self, id: u32) {
        if let Some(statements) = &mut self.statements {
            statements.remove(id);
        }
        self.drop_empty_statements();
    }

    fn drop_empty_statements(&mut self) {
        if self.statements.as_ref().is_some_and(|statements| statements.len() == 0) {
            self.statements = None;
        }
    }

    fn close(&mut self) {
        self.state = State::Closed;
        self.payloads = Payloads::default();
        self.statements = None;
    }

    /// Whether this login proves the password. A client before protocol 4.1, or without the flag for secure
    /// connections, never does.
    pub fn verdict(&self, login: &Login<'_>, password: &[u8]) -> Verdict {
        login.verdict(self.method, &self.salt, password)
    }

    /// Whether an [`Event::AuthSwitchResponse`] proves the password.
    pub fn verdict_after_switch(&self, auth: &[u8], password: &[u8]) -> Verdict {
        login::check(auth, &self.salt, password)
    }

    /// The same for a login that needs no password: whatever was sent, it is the right one.
    pub fn verdict_unasked(&self, login: &Login<'_>) -> Verdict {
        match self.verdict(login, b"") {
            Verdict::SwitchPlugin(method) => Verdict::SwitchPlugin(method),
            _ => Self::verdict_unasked_after_switch(login.auth),
        }
    }

    pub fn verdict_unasked_after_switch(auth: &[u8]) -> Verdict {
        Verdict::Accepted(login::method_of(auth))
    }

    /// Asks for another response. The caller remembers user and database of the login meanwhile.
    pub fn switch_plugin(&mut self, method: Method, out: &mut Vec<u8>) {
        debug_assert_eq!(self.state, State::Verdict);
        let mut reply = Reply::new(out, self.sequence, self.capabilities, self.status);
        reply.switch_plugin(method.plugin(), self.salt.bytes());
        self.sequence = reply.sequence();
        self.state = State::SwitchResponse;
    }

    /// Says OK to a login that proved the password by this method.
    pub fn accept(&mut self, method: Method, out: &mut Vec<u8>) {
        debug_assert_eq!(self.state, State::Verdict);
        let mut reply = Reply::new(out, self.sequence, self.capabilities, self.status);
        if method == Method::CachingSha2 {
            reply.fast_accepted();
        }
        reply.ok(0, 0, false);
        self.proved = true;
        self.state = State::Commands;
    }

    /// Says OK to a login that proved nothing, as to a health probe. The small cap on packets stays, no statement
    /// can be prepared, and the caller refuses every query.
    pub fn accept_unproved(&mut self, out: &mut Vec<u8>) {
        self.accept(Method::Native, out);
        self.proved = false;
    }

    /// Says why a login is refused. Nothing is read any more; the caller closes.
    pub fn refuse(&mut self, code: u16, text: &str, out: &mut Vec<u8>) {
        Reply::new(out, self.sequence, self.capabilities, self.status).error(code, text);
        self.close();
    }

    /// The bytes given to [`Self::next`] from now on are deciphered.
    pub fn tls_started(&mut self) {
        debug_assert_eq!(self.state, State::Tls);
        self.tls_started = true;
        self.state = State::Login;
    }

    /// Whether the bytes given to [`Self::next`] are deciphered.
    pub fn is_tls(&self) -> bool {
        self.tls_started
    }

    /// Whether a query may hold several statements.
    pub fn multi_statements(&self) -> bool {
        self.capabilities.has(Capabilities::MULTI_STATEMENTS)
    }

    /// Registers a prepared statement with this many parameters and returns its id, which is never 0. `None` if
    /// [`Limits::statements_max`] are open: answer with error [`code::TOO_MANY_STATEMENTS`].
    pub fn add_statement(&mut self, limits: &Limits, parameters: u16) -> Option<u32> {
        if !self.proved {
            return None;
        }
        let id = self.statements.get_or_insert_default().add(limits, parameters);
        self.drop_empty_statements();
        id
    }

    /// Begins the answer to the command with this sequence number.
    pub fn reply<'a>(&self, sequence: u8, out: &'a mut Vec<u8>) -> Reply<'a> {
        Reply::new(out, sequence, self.capabilities, self.status)
    }

    /// Goes on with a result set begun in an earlier turn.
    pub fn resume<'a>(&self, paused: PausedRows, out: &'a mut Vec<u8>) -> RowWriter<'a> {
        RowWriter::resume(self.reply(paused.sequence, out), paused)
    }

    /// Bytes that the session holds beyond its own size: a payload being collected, parameter types, long data. (Not
    /// counted are the statements themselves, about a hundred bytes each.)
    pub fn held_bytes(&self) -> usize {
        let statements = self.statements.as_ref().map_or(0, |statements| statements.held());
        self.payloads.held().saturating_add(statements)
    }
}

const TOO_MUCH_UNREAD: &str = "The server holds too much that is not complete yet, and most of it is this session's: \
                               send less at once";

fn halves(capabilities: Capabilities) -> [u16; 2] {
    let [a, b, c, d] = capabilities.0.to_le_bytes();
    [u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])]
}
