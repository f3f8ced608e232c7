//! On the runtime of the server, complete with its queues, timers and bounds.

use super::{FRAME, announce};
use crate::Outcome;
use shards::{End, EngineChoice, Host, Io, Linux, Settings, ShardSettings, SharedBytes, Token, prepare};
use std::net::SocketAddr;
use std::time::Instant;

pub(super) fn serve(engine: EngineChoice) -> Outcome<()> {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let settings = Settings { shards: vec![ShardSettings::new("shard", Some(listen))], engine, ..Settings::default() };
    let running = prepare(settings)?.start(|_| Broadcaster::default())?;
    announce(running.addresses().first().copied().flatten().ok_or("no address")?)?;
    running.join()?;
    Ok(())
}

struct Broadcaster {
    conns: Vec<Token>,
    frame: SharedBytes,
    /// Publications that are not under way yet.
    due: usize,
}

impl Default for Broadcaster {
    fn default() -> Self {
        Self { conns: Vec::new(), frame: FRAME.into(), due: 0 }
    }
}

impl Host for Broadcaster {
    type Kernel = Linux;
    type Message = ();
    type State = ();

    fn accepted(&mut self, _: &mut Io<'_, Self>, conn: Token) {
        self.conns.push(conn);
    }

    fn received(&mut self, _: &mut Io<'_, Self>, _: Token, bytes: &mut [u8]) -> usize {
        self.due += bytes.len();
        bytes.len()
    }

    fn ended(&mut self, _: &mut Io<'_, Self>, conn: Token, _: End) {
        self.conns.retain(|other| *other != conn);
    }

    fn turn_ended(&mut self, io: &mut Io<'_, Self>) {
        if !io.fan_out_pending() {
            for _ in 0..std::mem::take(&mut self.due) {
                io.fan_out(self.conns.clone(), self.frame.clone());
            }
        }
    }

    fn timed_out(&mut self, _: &mut Io<'_, Self>, _: Token) {}

    fn message(&mut self, _: &mut Io<'_, Self>, _: u16, (): ()) {}

    fn woken(&mut self, _: &mut Io<'_, Self>) {}

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn farewell(&mut self, _: &mut Io<'_, Self>) {}
}
