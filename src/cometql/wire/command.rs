//! Commands: the first byte of a payload says which, the rest is its body.

use std::borrow::Cow;

use super::bytes::Reader;
use super::login::Login;
use super::payload::HEAD;
use super::statement::Execute;
use super::{Limits, code};

/// What a client asks for. Every command has exactly one answer except those where it says none.
///
/// Source: "Command Phase" of the `MySQL` protocol documentation.
#[derive(Clone, Debug, PartialEq)]
pub enum Command<'a> {
    /// No answer; close.
    Quit,
    /// The database's name.
    InitDatabase(&'a [u8]),
    /// The text, in any encoding. Also stands for `COM_PROCESS_INFO`, as `SHOW PROCESSLIST`.
    Query(Cow<'a, [u8]>),
    /// Answer with `Reply::fields`, an empty list included.
    FieldList {
        table: &'a [u8],
        wildcard: &'a [u8],
    },
    Ping,
    /// Answer with `Reply::text`.
    Statistics,
    /// 0: multi-statements on; 1: off. The connection has taken note; answer with `Reply::eof`.
    SetOption(u16),
    /// The connection has dropped its statements; the caller drops its own.
    ResetConnection,
    /// The connection has dropped its statements and waits for a verdict.
    ChangeUser(Login<'a>),
    /// A query or a statement to prepare that is longer than [`Limits::query_max`]; its text is gone. Answer with an
    /// error.
    TooLong,
    /// Answer with `Reply::prepared`, or an error.
    Prepare(Cow<'a, [u8]>),
    /// Answer with `Reply::start_binary`, `Reply::ok` or an error.
    Execute(Execute<'a>),
    /// Kept by the connection until the statement is executed; no answer.
    LongData {
        statement: u32,
        parameter: u16,
    },
    /// The connection has forgotten it; no answer.
    CloseStatement(u32),
    /// The connection has dropped its long data; answer with `Reply::ok`.
    ResetStatement(u32),
    /// There is never an open cursor: answer with error [`code::NO_CURSOR`].
    Fetch {
        statement: u32,
        rows: u32,
    },
    /// The id that a greeting gave.
    KillProcess(u32),
    /// Answer with `Reply::eof`.
    Debug,
    /// A command whose body is malformed or names nothing; answer with this error.
    Refused(Refusal),
    /// Answer with error [`code::UNKNOWN_COMMAND`].
    Unknown(u8),
}

/// An error that this module found; the session goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: u16,
    pub text: &'static str,
}

pub(super) const MALFORMED: Refusal = Refusal { code: code::MALFORMED_PACKET, text: "Malformed communication packet" };
pub(super) const UNKNOWN_OPTION: Refusal = Refusal { code: code::UNKNOWN_COMMAND, text: "Unknown option" };
pub(super) const BODY_TOO_LONG: Refusal = Refusal { code: code::TOO_LONG, text: "The command's body is too long" };

/// The largest body of a command that carries neither a text nor values.
pub(super) const SMALL_BODY_MAX: usize = 16 * 1024;

/// What the body of this command may have. What is longer is refused when it is complete; so nothing of it is kept.
pub(super) fn body_max(code: u8, payload_max: usize, limits: &Limits) -> usize {
    match code {
        number::QUERY | number::PREPARE => limits.query_max.min(payload_max),
        number::EXECUTE => payload_max,
        number::LONG_DATA => limits.long_data_max.saturating_add(HEAD).min(payload_max),
        _ => SMALL_BODY_MAX,
    }
}

/// First bytes of payloads.
pub(super) mod number {
    pub(in super::super) const QUIT: u8 = 0x01;
    pub(in super::super) const INIT_DATABASE: u8 = 0x02;
    pub(in super::super) const QUERY: u8 = 0x03;
    pub(in super::super) const FIELD_LIST: u8 = 0x04;
    pub(in super::super) const STATISTICS: u8 = 0x09;
    pub(in super::super) const PROCESS_INFO: u8 = 0x0a;
    pub(in super::super) const KILL_PROCESS: u8 = 0x0c;
    pub(in super::super) const DEBUG: u8 = 0x0d;
    pub(in super::super) const PING: u8 = 0x0e;
    pub(in super::super) const CHANGE_USER: u8 = 0x11;
    pub(in super::super) const PREPARE: u8 = 0x16;
    pub(in super::super) const EXECUTE: u8 = 0x17;
    pub(in super::super) const LONG_DATA: u8 = 0x18;
    pub(in super::super) const CLOSE_STATEMENT: u8 = 0x19;
    pub(in super::super) const RESET_STATEMENT: u8 = 0x1a;
    pub(in super::super) const SET_OPTION: u8 = 0x1b;
    pub(in super::super) const FETCH: u8 = 0x1c;
    pub(in super::super) const RESET_CONNECTION: u8 = 0x1f;
}

/// Reads a command that needs nothing of the session's state.
pub(super) fn read_small(code: u8, body: &[u8]) -> Command<'_> {
    let mut reader = Reader::new(body);
    let read = match code {
        number::QUIT => Some(Command::Quit),
        number::INIT_DATABASE => Some(Command::InitDatabase(body.strip_suffix(b"\0").unwrap_or(body))),
        number::FIELD_LIST => {
            Some(Command::FieldList { table: reader.until_nul_or_end(), wildcard: reader.until_nul_or_end() })
        }
        number::STATISTICS => Some(Command::Statistics),
        number::PROCESS_INFO => Some(Command::Query(Cow::Borrowed(b"SHOW PROCESSLIST"))),
        number::KILL_PROCESS => reader.u32().map(Command::KillProcess),
        number::DEBUG => Some(Command::Debug),
        number::PING => Some(Command::Ping),
        number::CLOSE_STATEMENT => reader.u32().map(Command::CloseStatement),
        number::RESET_STATEMENT => reader.u32().map(Command::ResetStatement),
        number::SET_OPTION => reader.u16().map(Command::SetOption),
        number::FETCH => read_fetch(&mut reader),
        number::RESET_CONNECTION => Some(Command::ResetConnection),
        _ => Some(Command::Unknown(code)),
    };
    read.unwrap_or(Command::Refused(MALFORMED))
}

fn read_fetch(reader: &mut Reader<'_>) -> Option<Command<'static>> {
    Some(Command::Fetch { statement: reader.u32()?, rows: reader.u32()? })
}
