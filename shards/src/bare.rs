//! Shards without threads, for a simulation that is their kernel and decides when each of them wakes up. What turns is the
//! loop itself, and so are the rings, the wakers and the barriers of the stop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::core::Core;
use crate::entry::{Entry, Flags};
use crate::host::{Host, Token};
use crate::io::Io;
use crate::kernel::Kernel;
use crate::mesh::{Endpoint, Mesh};
use crate::settings::{Budgets, Settings, ShardSettings};
use crate::shard::{Blocked, Shard};
use crate::stats::Counters;
use crate::stop::{Leaving, Stop, Stopping};
use crate::waker::Waker;

/// What a bare shard runs on.
pub struct Ground<K: Kernel> {
    pub kernel: K,
    pub listener: Option<K::Listener>,
    pub signal: K::Signal,
}

/// A shard that sleeps whenever it does not turn.
pub struct Bare<H: Host> {
    shard: Shard<H>,
    /// As it was decided when it lay down; `None`: until something happens.
    sleep: Option<Duration>,
    until: Option<Instant>,
    /// Until its last turn.
    leaving: Option<Leaving<<H::Kernel as Kernel>::Signal>>,
}

impl<H: Host> Bare<H> {
    /// All shards of a server, one on each ground. The settings are not checked, so that they may be smaller than any real
    /// ones; those that need threads, ports or Linux mean nothing.
    pub fn all(
        settings: &Settings,
        grounds: Vec<Ground<H::Kernel>>,
        mut make: impl FnMut(u16) -> H,
    ) -> std::io::Result<Vec<Self>> {
        let endpoints = Mesh::new::<H::Message>(grounds.len() as u16, settings.ring_capacity);
        let mut wakers = Vec::with_capacity(grounds.len());
        let mut cores = Vec::with_capacity(grounds.len());
        for (((number, ground), endpoint), own) in (0..).zip(grounds).zip(endpoints).zip(&settings.shards) {
            wakers.push(Waker::of(ground.signal));
            let core = Core::new(number, own.clone(), settings.tick, settings.budgets(), ground.kernel, endpoint);
            cores.push((core, ground.listener));
        }
        let stopping = Stopping::new(wakers.clone());
        let shards = cores.into_iter().map(|(core, listener)| {
            let number = core.number;
            let stop = Stop::new(Arc::clone(&stopping), settings.stop_grace);
            let mut shard = Shard::new(make(number), core, listener, wakers.clone(), stop);
            shard.register()?;
            let leaving = Some(Leaving { shard: number, stopping: Arc::clone(&stopping) });
            Ok(Self { shard, sleep: Some(Duration::ZERO), until: None, leaving })
        });
        shards.collect()
    }

    /// Wakes up, takes a turn and lies down again.
    pub fn turn(&mut self) -> std::io::Result<()> {
        self.shard.wake_up(self.sleep)?;
        self.shard.work();
        if self.shard.last {
            self.leaving = None;
            return Ok(());
        }
        self.sleep = self.shard.lie_down();
        let now = self.shard.core.kernel.now();
        self.until = self.sleep.map(|sleep| now + sleep);
        Ok(())
    }

    /// Whether the server has stopped, and this shard takes no turn any more.
    pub fn is_over(&self) -> bool {
        self.leaving.is_none()
    }

    /// When it wakes up if nothing happens before.
    pub fn sleeps_until(&self) -> Option<Instant> {
        self.until
    }

    /// Whether it took the next turn without a sleep.
    pub fn is_awake(&self) -> bool {
        self.sleep == Some(Duration::ZERO)
    }

    /// What others wake it with.
    pub fn waker(&self) -> Waker<<H::Kernel as Kernel>::Signal> {
        self.shard.wakers[usize::from(self.shard.core.number)].clone()
    }

    /// Asks all shards of this server to stop.
    pub fn stop_all(&self) {
        if let Some(leaving) = &self.leaving {
            leaving.stopping.request();
        }
    }

    /// When the wheel is to look at connections next.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.shard.core.next_timeout()
    }

    pub fn host(&self) -> &H {
        &self.shard.host
    }

    pub fn host_mut(&mut self) -> &mut H {
        &mut self.shard.host
    }

    /// Calls the host from outside of a turn, to ask it something.
    pub fn ask<R>(&mut self, ask: impl FnOnce(&mut H, &mut Io<'_, H>) -> R) -> R {
        ask(&mut self.shard.host, &mut Io::new(&mut self.shard.core))
    }

    pub fn kernel(&self) -> &H::Kernel {
        &self.shard.core.kernel
    }

    pub fn kernel_mut(&mut self) -> &mut H::Kernel {
        &mut self.shard.core.kernel
    }

    pub fn endpoint(&self) -> &Endpoint<H::Message> {
        &self.shard.core.endpoint
    }

    pub fn settings_mut(&mut self) -> &mut ShardSettings {
        &mut self.shard.core.settings
    }

    pub fn budgets_mut(&mut self) -> &mut Budgets {
        &mut self.shard.core.budgets
    }

    pub fn counters(&self) -> &Counters {
        &self.shard.core.counters
    }

    pub fn is_open(&self, conn: Token) -> bool {
        self.shard.core.is_open(conn)
    }

    /// Whether nobody is accepted before a connection ends.
    pub fn is_full(&self) -> bool {
        self.shard.acceptor.blocked == Some(Blocked::Full) && self.shard.core.slab.is_full()
    }

    /// Whether connections wait to be read.
    pub fn has_input(&self) -> bool {
        !self.shard.core.readers.is_empty()
    }

    /// What is left to do, for a shard that sleeps for ever.
    pub fn left_undone(&self) -> Option<&'static str> {
        let core = &self.shard.core;
        let conns = || core.slab.tokens().filter_map(|conn| core.slab.get(conn));
        let checks = [
            ("messages in its rings", core.endpoint.can_receive()),
            ("messages that wait for room", core.endpoint.congested()),
            ("fan-outs", !core.fan_outs.is_empty()),
            ("flushes", !core.flushers.is_empty()),
            ("empty queues that nobody was told of", !core.sent.is_empty()),
            ("ends that nobody was told of", !core.endings.is_empty()),
            ("unread bytes", conns().any(|entry| entry.ext.as_ref().is_some_and(|ext| !ext.unread.is_empty()))),
            ("unsent bytes", conns().any(Entry::has_queue)),
            ("a paused connection", conns().any(|entry| entry.flags.has(Flags::PAUSED))),
            ("a connection that is being closed", conns().any(|entry| !entry.is_open())),
        ];
        checks.into_iter().find(|(_, is_left)| *is_left).map(|(what, _)| what)
    }
}
