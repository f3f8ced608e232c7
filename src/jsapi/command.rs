//! What browsers send: one command in one text message, a keyword and then lines.
//!
//! A command that is understood but wrong carries its [`ApiError`]; the connection stays. A keyword that nobody knows
//! is [`Unknown`], and the connection is dropped. Who may do what is not judged here.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::model::{
    ApiError, EventName, Had, Marker, NameError, PipeClass, PipeError, PipeName, Position, SubscriptionError,
    TrackCursor, UserId, is_name_byte,
};

/// The keyword is none of ours, or is not ended by a newline: the connection is dropped without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// `subscription\n<name>\n<name>...`: the whole new set of the connection's pipes.
    Subscription(SubscriptionList<'a>),
    /// `subscription2\n<name>[ <had>]\n...`: the same, with what the client has of each pipe, as [`Had::parse`] takes it. For
    /// clients of `api=js2` only, which is not checked here.
    Subscription2(RecoveryList<'a>),
    /// `user_status\n<user>`: since when that user is gone.
    UserStatus(UserId),
    /// `pipe_count\n<pipe>\n<marker>\n`
    PipeCount(Result<PipeCount, ApiError>),
    /// `statistics\n<anything>`: accepted and forgotten. Every classic client sends it.
    Statistics,
    /// `web_pipe2\n<pipe>\n<event>\n<one byte>\n<message>`
    WebPipe2(Result<WebPipe2<'a>, ApiError>),
    /// `pipe_log\n<pipe>\n<marker>\n`. A bad name or marker is told twice, as clients know it.
    PipeLog(Result<PipeLog, [ApiError; 2]>),
    /// `track_pipe_users\n<pipe>\n<marker>`
    TrackPipeUsers(Result<TrackPipeUsers, ApiError>),
    /// `track_pipe_page\n<pipe>\n<marker>\n<cursor>`: the same list in parts. For clients of `api=js2` only, which is not
    /// checked here.
    TrackPipePage(Result<TrackPipePage, ApiError>),
    /// `user_data\n<marker>\n<user>`
    UserData(Result<UserData, ApiError>),
    /// `cgi_call\n<anything>`: accepted, has no effect.
    CgiCall,
    /// `CometQL_call\n<anything>`: accepted, has no effect.
    CometQlCall,
}

/// How many connections a `web_` or `track_` pipe has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipeCount {
    pub pipe: PipeName,
    pub marker: Marker,
}

/// A message for a `web_` or `webauth_` pipe (the latter from authorised users only, which is not checked here).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebPipe2<'a> {
    /// The pipe was written with `@` before it: subscribers are told user 0.
    pub hide_sender: bool,
    pub pipe: PipeName,
    pub event: EventName,
    /// What subscribers shall get; see the reason at the function that makes it.
    pub body: Cow<'a, str>,
}

/// A question for a pipe's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipeLog {
    pub pipe: PipeName,
    pub marker: Marker,
}

/// Who is in a `track_` pipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackPipeUsers {
    pub pipe: PipeName,
    pub marker: Marker,
}

/// Some of those who are in a `track_` pipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackPipePage {
    pub pipe: PipeName,
    pub marker: Marker,
    pub cursor: TrackCursor,
}

/// A question for a user's public text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserData {
    pub marker: Marker,
    pub user: UserId,
}

pub fn parse_command(text: &str) -> Result<Command<'_>, Unknown> {
    let (keyword, arguments) = text.split_once('\n').unwrap_or((text, ""));
    Ok(match keyword {
        "subscription" => Command::Subscription(SubscriptionList { text: arguments }),
        "subscription2" => Command::Subscription2(RecoveryList { text: arguments }),
        "user_status" => Command::UserStatus(parse_status_user(arguments)),
        "pipe_count" => Command::PipeCount(parse_pipe_count(arguments).map_err(ApiError::Pipe)),
        "statistics" => Command::Statistics,
        "web_pipe2" => Command::WebPipe2(parse_web_pipe2(arguments)),
        "pipe_log" => Command::PipeLog(parse_pipe_log(arguments).map_err(|error| [error; 2].map(ApiError::Pipe))),
        "track_pipe_users" => Command::TrackPipeUsers(parse_track_pipe_users(arguments).ok_or(ApiError::NotATrackPipe)),
        "track_pipe_page" => Command::TrackPipePage(parse_track_pipe_page(arguments)),
        "user_data" => Command::UserData(parse_user_data(arguments).ok_or(ApiError::UserData)),
        "cgi_call" => Command::CgiCall,
        "CometQL_call" => Command::CometQlCall,
        _ => return Err(Unknown),
    })
}

/// The names of a `subscription`, not yet looked at: everything that is not a name character separates them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriptionList<'a> {
    text: &'a str,
}

impl<'a> SubscriptionList<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text }
    }

    /// Most errors that one command is answered with; further names that are too long are passed over in silence.
    pub const ERRORS_MAX: usize = 8;

    /// The names in their order, repetitions included. Tokens of fewer than two characters are no names.
    pub fn names(self) -> impl Iterator<Item = Result<&'a str, SubscriptionError>> {
        self.text
            .split(|c: char| !u8::try_from(c).is_ok_and(is_name_byte))
            .filter(|name| name.len() >= PipeName::LENGTH_MIN)
            .map(|name| if name.len() <= PipeName::LENGTH_MAX { Ok(name) } else { Err(SubscriptionError::NameTooLong) })
    }

    /// The first `names_max` different names, and the errors to answer with, at most [`Self::ERRORS_MAX`]. More
    /// different names than that are one error; those before it count.
    pub fn collect(self, names_max: usize) -> (Vec<PipeName>, Vec<ApiError>) {
        // A tree, because what a peer chooses must not decide how long a look-up takes.
        let mut seen = BTreeSet::new();
        let mut names = Vec::new();
        let mut errors = Vec::new();
        for name in self.names() {
            let error = match name {
                Ok(name) if seen.contains(name) => continue,
                Ok(_) if names.len() >= names_max => SubscriptionError::TooManyPipes,
                Ok(name) => {
                    seen.insert(name);
                    names.extend(PipeName::new(name.as_bytes()));
                    continue;
                }
                Err(error) => error,
            };
            if errors.len() < Self::ERRORS_MAX {
                errors.push(ApiError::Subscription(error));
            }
            if error == SubscriptionError::TooManyPipes {
                break;
            }
        }
        (names, errors)
    }
}

/// The lines of a `subscription2`, not yet looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveryList<'a> {
    text: &'a str,
}

impl<'a> RecoveryList<'a> {
    /// The lines one by one. A position that is no number is before all others, so that its client is told of a gap.
    fn entries(self) -> impl Iterator<Item = (&'a str, Had)> {
        let before_all = Position::default();
        self.text.lines().filter(|line| !line.is_empty()).map(move |line| match line.split_once(' ') {
            Some((name, had)) if had.trim().is_empty() => (name, Had::from(Some(before_all))),
            Some((name, had)) => (name, Had::parse(had.trim(), before_all)),
            None => (line, Had::default()),
        })
    }

    /// See [`collect_recovery`].
    pub fn collect(self, names_max: usize) -> (Vec<(PipeName, Had)>, Vec<ApiError>) {
        collect_recovery(self.entries(), names_max)
    }
}

/// The first `names_max` different names, each with what is said of it first, and the errors to answer with, at most
/// [`SubscriptionList::ERRORS_MAX`].
pub fn collect_recovery<'a>(
    entries: impl Iterator<Item = (&'a str, Had)>,
    names_max: usize,
) -> (Vec<(PipeName, Had)>, Vec<ApiError>) {
    let mut seen = BTreeSet::new();
    let (mut wanted, mut errors) = (Vec::new(), Vec::new());
    for (name, had) in entries {
        let error = match PipeName::new(name.as_bytes()) {
            Ok(_) if seen.contains(name) => continue,
            Ok(_) if wanted.len() >= names_max => SubscriptionError::TooManyPipes,
            Ok(pipe) => {
                seen.insert(name);
                wanted.push((pipe, had));
                continue;
            }
            Err(NameError::TooLong) => SubscriptionError::NameTooLong,
            Err(NameError::TooShort | NameError::BadCharacter) => SubscriptionError::BadName,
        };
        if errors.len() < SubscriptionList::ERRORS_MAX {
            errors.push(ApiError::Subscription(error));
        }
        if error == SubscriptionError::TooManyPipes {
            break;
        }
    }
    (wanted, errors)
}

fn leading_digits(text: &str) -> &str {
    text.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default()
}

/// The leading digits count; without any, or when no user can have the number, it is user 0.
fn parse_status_user(arguments: &str) -> UserId {
    leading_digits(arguments).parse().ok().and_then(UserId::new).unwrap_or(UserId::ANONYMOUS)
}

fn parse_pipe_count(arguments: &str) -> Result<PipeCount, PipeError> {
    let (pipe, marker) = parse_pipe_and_marker(arguments)?;
    match pipe.class() {
        PipeClass::Web | PipeClass::Track => Ok(PipeCount { pipe, marker }),
        _ => Err(PipeError::WrongClass),
    }
}

fn parse_pipe_log(arguments: &str) -> Result<PipeLog, PipeError> {
    parse_pipe_and_marker(arguments).map(|(pipe, marker)| PipeLog { pipe, marker })
}

fn parse_pipe_and_marker(arguments: &str) -> Result<(PipeName, Marker), PipeError> {
    let mut lines = arguments.split('\n');
    let mut line = || lines.next().unwrap_or_default().as_bytes();
    let pipe = PipeName::new(line()).map_err(|_: NameError| PipeError::BadName)?;
    let marker = Marker::new(line()).map_err(|_: NameError| PipeError::BadMarker)?;
    Ok((pipe, marker))
}

fn parse_web_pipe2(arguments: &str) -> Result<WebPipe2<'_>, ApiError> {
    let mut lines = arguments.splitn(4, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (pipe, event, flag, body) = (line(), line(), line(), line());
    let wanted = WebPipe2::new(pipe, event, body)?;
    // What the byte says was never defined; libraries send an asterisk.
    if flag.len() != 1 {
        return Err(ApiError::Pipe(PipeError::BadFlag));
    }
    Ok(wanted)
}

impl<'a> WebPipe2<'a> {
    /// `pipe` may have `@` before it.
    pub fn new(pipe: &str, event: &str, body: &'a str) -> Result<Self, ApiError> {
        let (hide_sender, pipe) = match pipe.strip_prefix('@') {
            Some(pipe) => (true, pipe),
            None => (false, pipe),
        };
        match PipeClass::of(pipe) {
            PipeClass::Web => {}
            PipeClass::WebAuthorised if !hide_sender => {}
            _ => return Err(ApiError::Pipe(PipeError::WrongClass)),
        }
        let pipe = PipeName::new(pipe.as_bytes()).map_err(|_: NameError| ApiError::Pipe(PipeError::BadName))?;
        let event = EventName::new(event.as_bytes()).map_err(|_: NameError| ApiError::EventName)?;
        Ok(Self { hide_sender, pipe, event, body: true_sender_body(body) })
    }
}

/// Classic libraries take a message `A::5;text` for `text` sent by user 5, so an anonymous page could speak for
/// anybody. As a JSON string the same message keeps its text, and its sender stays the true one.
fn true_sender_body(body: &str) -> Cow<'_, str> {
    if !body.starts_with("A::") {
        return Cow::Borrowed(body);
    }
    let mut literal = Vec::with_capacity(body.len().saturating_add(2));
    super::json::write_string(body.as_bytes(), &mut literal);
    String::from_utf8(literal).map_or(Cow::Borrowed(""), Cow::Owned)
}

fn parse_track_pipe_users(arguments: &str) -> Option<TrackPipeUsers> {
    let mut tokens = arguments.split_ascii_whitespace();
    let pipe = PipeName::new(tokens.next()?.as_bytes()).ok().filter(|pipe| pipe.class() == PipeClass::Track)?;
    let marker = Marker::new(tokens.next().unwrap_or_default().as_bytes()).ok()?;
    Some(TrackPipeUsers { pipe, marker })
}

fn parse_track_pipe_page(arguments: &str) -> Result<TrackPipePage, ApiError> {
    let (pipe, marker) = parse_pipe_and_marker(arguments).map_err(ApiError::Pipe)?;
    if pipe.class() != PipeClass::Track {
        return Err(ApiError::NotATrackPipe);
    }
    let cursor = TrackCursor::parse(arguments.split('\n').nth(2).unwrap_or_default()).ok_or(ApiError::BadCursor)?;
    Ok(TrackPipePage { pipe, marker, cursor })
}

fn parse_user_data(arguments: &str) -> Option<UserData> {
    let (marker, user) = arguments.split_once('\n')?;
    let marker = Marker::new(marker.as_bytes()).ok()?;
    // Pages pass what their forms hold: blanks and a sign before the digits, anything behind them.
    let user = user.trim_ascii_start();
    let user = user.strip_prefix('+').unwrap_or(user);
    let user = leading_digits(user).parse().ok().and_then(UserId::new)?;
    Some(UserData { marker, user })
}
