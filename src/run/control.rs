//! The control thread: what sessions ask of the server as a whole, and signals, come to one thread that may open files and
//! wait for disks; and what it tells all shards.
//!
//! That thread is the one which started the server. It never holds up a shard: a session whose instruction is under way waits
//! for its answer as it waits for storage. What is asked comes through [`Control::next`], so one after the other; whoever
//! sits there calls the other methods of [`Control`] and answers.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use shards::Waker;
use tracing::error;

use crate::cometql::errors::{Code, Error};
pub use crate::cometql::sql::Instruction;
use crate::config::{self, Applies, Change, Config, Places, Tls};

use super::draining::Draining;
use super::figures;
use super::in_force::InForce;
use super::log;
use super::notice::Notice;
use super::pulse::Watch;
use super::systemd::Systemd;

/// Instructions of sessions under way; more are refused.
const INSTRUCTIONS_MAX: usize = 64;

/// What comes to the desk.
#[derive(Debug)]
pub enum Asked {
    /// Its number.
    Signal(i32),
    Instruction(Asking, Instruction),
}

/// Who waits for an answer: [`Control::answer`].
#[derive(Debug)]
pub struct Asking(u64);

/// What became of an instruction: a sentence, or why nothing was done.
type Answer = (u64, Result<Box<str>, Error>);

/// Both ends, for the control thread and for the sessions' shard.
pub(super) fn desk() -> (Desk, ControlClient) {
    // Signals come one by one, from a thread that may wait.
    let (asks, asked) = bounded(INSTRUCTIONS_MAX);
    // As many as there are instructions under way.
    let (answers, answered) = bounded(INSTRUCTIONS_MAX);
    let client = ControlClient { asks: asks.clone(), answered, under_way: 0 };
    (Desk { asks, asked, answers }, client)
}

/// The control thread's end.
pub(super) struct Desk {
    asks: Sender<Asked>,
    asked: Receiver<Asked>,
    answers: Sender<Answer>,
}

/// What the control thread has.
pub struct Control {
    desk: Desk,
    /// Of all shards, the sessions' last.
    wakers: Vec<Waker>,
    notice: Notice<InForce>,
    in_force: Arc<InForce>,
    /// Of the server's figures, which tell what is in force.
    figures: Arc<figures::Watch>,
    pub draining: Draining,
    watch: Watch,
}

impl Control {
    pub(super) fn new(
        desk: Desk,
        wakers: Vec<Waker>,
        notice: Notice<InForce>,
        in_force: Arc<InForce>,
        figures: Arc<figures::Watch>,
        draining: Draining,
        watch: Watch,
    ) -> Self {
        Self { desk, wakers, notice, in_force, figures, draining, watch }
    }

    /// How long SIGTERM gives connections to leave; zero: it stops the server at once.
    pub fn stop_drain(&self) -> Duration {
        Duration::from_secs(u64::from(self.in_force.config.main.stop_drain_s))
    }

    /// How long the server waits for its peers when it stops.
    pub fn stop_grace(&self) -> Duration {
        Duration::from_millis(u64::from(self.in_force.config.main.stop_grace_ms))
    }

    /// Tells the service manager how the server is, and that it is alive, unless a part of it is not.
    pub fn report(&mut self, systemd: &Systemd) {
        match self.draining.status() {
            // The end takes as long as the drain before it.
            Some(status) if self.draining.ends_with_stop() => systemd.waits(&status),
            status => systemd.status(&status.unwrap_or_else(|| self.draining.figures())),
        }
        let Some(beat) = systemd.beat() else { return };
        let still = self.watch.look();
        if still.is_empty() {
            return systemd.alive();
        }
        for part in still {
            error!("{part} has not turned for {} s", beat.as_secs_f32());
        }
    }

    /// Has a thread of its own put signals on the desk; `next` waits for one.
    pub fn take_signals(&self, mut next: impl FnMut() -> Option<i32> + Send + 'static) -> io::Result<()> {
        let asks = self.desk.asks.clone();
        let forward = move || {
            while let Some(signal) = next() {
                // Nobody sits there any more while the server stops.
                let _ = asks.send(Asked::Signal(signal));
            }
        };
        thread::Builder::new().name("signals".to_owned()).spawn(forward).map(|_| ())
    }

    /// What was asked next; `None`: nothing until this time.
    pub fn next(&self, until: Option<Instant>) -> Option<Asked> {
        // The desk has a sender of its own, so it never finds all of them gone.
        match until {
            Some(until) => self.desk.asked.recv_deadline(until).ok(),
            None => self.desk.asked.recv().ok(),
        }
    }

    /// A sentence, or an error of CometQL.
    pub fn answer(&self, Asking(number): Asking, result: Result<String, Error>) {
        let answer = (number, result.map(String::into_boxed_str));
        if self.desk.answers.try_send(answer).is_err() {
            never!("no more instructions are answered than there are");
        }
        if let Some(sessions) = self.wakers.last() {
            sessions.wake();
        }
    }

    /// Instructions that come while the server stops are refused, until this time.
    pub fn refuse_until(&self, until: Instant) {
        while let Some(asked) = self.next(Some(until)) {
            if let Asked::Instruction(asking, _) = asked {
                self.answer(asking, Err(Error::new(Code::Internal, STOPPING)));
            }
        }
    }

    /// Carries out what is not the end of the server.
    pub fn carry_out(&mut self, instruction: &Instruction) -> Result<String, Error> {
        match instruction {
            Instruction::ReopenLog => self.reopen_log().map_err(failed),
            Instruction::ReloadCertificate => self.reload_certificate().map_err(failed),
            Instruction::Set { name, value } => self.set(name, value.as_deref()),
            Instruction::ReloadSettings | Instruction::Stop => {
                never!("whoever sits at the desk does that");
                Err(failed(STOPPING.to_owned()))
            }
        }
    }

    /// Takes another configuration and password as far as a running server can, all of it or nothing. Says what has changed, or
    /// why nothing has.
    pub fn reload(&mut self, mut config: Config, places: &Places, password: String) -> Result<String, String> {
        config.storage.dir.clone_from(&self.in_force.config.storage.dir);
        let before = self.in_force.clone();
        let file = config.clone();
        let mut changes = config::changes(&before.config, &config);
        config::keep_until_restart(&mut config, &before.config);
        if *before.password != *password && changes.iter().all(|change| !change.is("main", "password")) {
            changes.push(Change { section: "main".to_owned(), key: "password", applies: Applies::Now });
        }
        let is_key_of_tokens = config.jwt.secret.is_none() && config.jwt.public_key.is_none();
        let in_force = InForce::load(config, password, Some(&before)).map_err(|error| error.to_string())?;
        if changes.iter().any(|change| change.section == "log") {
            let file = in_force.config.log.file.as_deref();
            if file != before.config.log.file.as_deref() {
                let name = file.map_or_else(|| "standard error".to_owned(), |file| file.display().to_string());
                log::open(file).map_err(|error| format!("the log's file {name} cannot be opened: {error}"))?;
            }
            log::set(&in_force.config.log);
        }
        self.figures.reconfigure(&in_force.config);
        self.put_in_force(in_force.with_settings(&file, places));
        let mut told = told_of(&changes);
        if is_key_of_tokens && changes.iter().any(|change| change.is("main", "password")) {
            told += "; the password of [main] is also the key of tokens for tenants without one of their own";
        }
        Ok(told)
    }

    /// After a rotation: the next line goes to a new file under the name that `[log] file` has.
    pub fn reopen_log(&self) -> Result<String, String> {
        let file = self.in_force.config.log.file.as_deref();
        let Some(name) = file.map(|file| file.display()) else {
            return Ok("the log has no file that could be opened anew, see file in [log] of comet.ini".to_owned());
        };
        match log::open(file) {
            Ok(()) => Ok(format!("the log's file {name} was opened anew")),
            Err(error) => Err(format!("the log's file {name} cannot be opened anew, the old one stays: {error}")),
        }
    }

    /// Sessions that begin from now on are enciphered with what the files hold now.
    fn reload_certificate(&mut self) -> Result<String, String> {
        let config = self.in_force.config.clone();
        if config.cometql.tls == Tls::Off {
            return Err("CometQL has no TLS, see tls in [cometql] of comet.ini".to_owned());
        }
        match InForce::load(config, self.in_force.password.to_string(), Some(&self.in_force)) {
            Ok(in_force) => {
                let settings = self.in_force.settings.clone();
                self.put_in_force(InForce { settings, ..in_force });
                Ok("certificate and key of CometQL were read anew".to_owned())
            }
            Err(error) => Err(format!("the certificate in use stays: {error}")),
        }
    }

    /// Errors: 3 for a variable or value that is not there.
    fn set(&mut self, name: &str, value: Option<&str>) -> Result<String, Error> {
        let wrong = |text: String| Error::new(Code::Syntax, text);
        let mut config = self.in_force.config.clone();
        match name {
            "log_level" => {
                let chosen =
                    config::log_level(value.unwrap_or("info")).map_err(|error| wrong(format!("log_level {error}")))?;
                (config.log.level, config.log.parts) = (chosen.level, chosen.parts);
                log::set(&config.log);
            }
            "offline_mode" => {
                return self.draining.set(value).map_err(|error| wrong(format!("offline_mode: {error}")));
            }
            _ => return Err(wrong(format!("There is no variable {name} of the whole server"))),
        }
        let mut settings = self.in_force.settings.to_vec();
        for setting in settings.iter_mut().filter(|setting| (&*setting.section, &*setting.key) == ("log", "level")) {
            (setting.value, setting.line) = (value.unwrap_or("info").into(), None);
        }
        let in_force = InForce { config, settings: settings.into(), ..(*self.in_force).clone() };
        self.put_in_force(in_force);
        Ok(format!("{name} is set until the settings are read anew"))
    }

    fn put_in_force(&mut self, in_force: InForce) {
        self.in_force = Arc::new(in_force);
        self.tell(&self.notice, self.in_force.clone());
    }

    /// Puts up what every shard is to know.
    fn tell<T>(&self, notice: &Notice<T>, news: Arc<T>) {
        notice.put_up(news);
        self.wakers.iter().for_each(Waker::wake);
    }
}

/// What a reload has changed, and what waits.
fn told_of(changes: &[Change]) -> String {
    const NAMED_MAX: usize = 20;
    let named = |wanted: &dyn Fn(Applies) -> bool| {
        let all: Vec<String> = changes
            .iter()
            .filter(|change| wanted(change.applies))
            .map(|change| match change.applies {
                Applies::NewConnections => format!("{change} for new connections"),
                Applies::Now | Applies::Restart => change.to_string(),
            })
            .collect();
        let more = all.len().saturating_sub(NAMED_MAX);
        let text = all.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
        (all.len(), if more > 0 { format!("{text} and {more} more") } else { text })
    };
    let (changed, names) = named(&|applies| applies != Applies::Restart);
    let told = match changed {
        0 => "reloaded: nothing changed".to_owned(),
        _ => format!("reloaded: {changed} changed ({names})"),
    };
    let (waiting, names) = named(&|applies| applies == Applies::Restart);
    match waiting {
        0 => told,
        1 => format!("{told}; {names} waits for a restart"),
        _ => format!("{told}; {names} wait for a restart"),
    }
}

/// What a session is told of what failed.
pub fn failed(text: String) -> Error {
    Error::new(Code::Internal, text)
}

const STOPPING: &str = "The server stops";

/// The end of the sessions' shard.
pub(super) struct ControlClient {
    asks: Sender<Asked>,
    answered: Receiver<Answer>,
    under_way: usize,
}

impl ControlClient {
    /// Without a control thread: every instruction is refused.
    pub(super) fn nowhere() -> Self {
        let ((asks, _), (_, answered)) = (bounded(0), bounded(0));
        Self { asks, answered, under_way: 0 }
    }

    /// Hands an instruction over, or says why not.
    pub(super) fn send(&mut self, number: u64, instruction: Instruction) -> Result<(), Error> {
        let refused = |text| Err(Error::new(Code::Internal, text));
        if self.under_way >= INSTRUCTIONS_MAX {
            return refused("Too many instructions are under way: try again");
        }
        match self.asks.try_send(Asked::Instruction(Asking(number), instruction)) {
            Ok(()) => {
                self.under_way += 1;
                Ok(())
            }
            Err(TrySendError::Full(_)) => refused("Too many instructions are under way: try again"),
            Err(TrySendError::Disconnected(_)) => refused(STOPPING),
        }
    }

    pub(super) fn poll(&mut self) -> Option<Answer> {
        let answer = self.answered.try_recv().ok()?;
        self.under_way -= 1;
        Some(answer)
    }
}
