//! What the shards share of the figures that the dashboard gets: whether anybody looks, what each shard has counted, and
//! what the system says.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::browsers::PRODUCT;
use crate::config::Config;
use crate::figures::Figures;
use crate::http::WithPassword;
use crate::hub::Tops;
use crate::model::{DevId, PipeKey, PipeName, ShardId, Time};
use crate::ring::Placement;

use super::board::Board;
use super::log;
use super::past::{self, Kept};
use super::process;

/// What the shards share.
pub(super) struct Watch {
    pipe: Arc<PipeKey>,
    watched: AtomicBool,
    /// By connection shard, written once a second while somebody looks.
    tops: Box<[Mutex<Tops>]>,
    board: Board,
    node_name: Mutex<String>,
    /// What viewers get beside the messages.
    pub(super) kept: Arc<Kept>,
}

impl Watch {
    /// `secret` must come from a cryptographic source.
    pub(super) fn new(secret: u128, placement: &Placement, board: Board, node_name: String) -> Self {
        let name = PipeName::new(format!("sys_figures_{secret:032x}").as_bytes());
        #[expect(clippy::expect_used, reason = "44 letters and digits are a name")]
        let name = name.expect("a name");
        Self {
            pipe: Arc::new(PipeKey { dev: DevId(0), name }),
            watched: AtomicBool::new(false),
            tops: (0..placement.connection_shards()).map(|_| Mutex::default()).collect(),
            board,
            node_name: Mutex::new(node_name),
            kept: Arc::default(),
        }
    }

    /// Another configuration is in force.
    pub(super) fn reconfigure(&self, config: &Config) {
        config.main.node_name.clone_into(&mut self.node_name.lock().unwrap_or_else(PoisonError::into_inner));
        self.kept.reconfigure(config);
    }

    /// Where the figures go.
    pub(super) fn pipe(&self) -> Arc<PipeKey> {
        self.pipe.clone()
    }

    pub(super) fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed)
    }

    pub(super) fn set_watched(&self, watched: bool) {
        self.watched.store(watched, Ordering::Relaxed);
    }

    pub(super) fn put_tops(&self, shard: ShardId, tops: Tops) {
        if let Some(place) = self.tops.get(usize::from(shard.0)) {
            *place.lock().unwrap_or_else(PoisonError::into_inner) = tops;
        }
    }

    /// The answer to a viewer who knows the password.
    pub(super) fn told(&self, wanted: WithPassword) -> Option<Box<[u8]>> {
        let told = match wanted {
            WithPassword::Statements | WithPassword::DashboardKey => return None,
            WithPassword::DashboardPast => self.kept.told(),
            WithPassword::DashboardLog => past::log_told(),
        };
        Some(told.to_string().into_bytes().into())
    }

    /// The message of now.
    pub(super) fn message(&self, now: Time) -> Box<str> {
        let copy = |place: &Mutex<Tops>| place.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let tops: Vec<Tops> = self.tops.iter().map(copy).collect();
        let mut others = self.board.storage();
        others.merge(&self.board.process());
        let figures = Figures {
            product: PRODUCT,
            node: &self.node_name.lock().unwrap_or_else(PoisonError::into_inner),
            uptime_ms: now.0 / 1000,
            resident_bytes: process::resident_bytes().unwrap_or_default(),
            processor_us: process::processor_us().unwrap_or_default(),
            browsers: &self.board.browsers(),
            cometql: &self.board.cometql(),
            others: &others,
            tops: &tops,
            warnings: log::warnings_count(),
            machine: &self.kept.machine(),
        };
        figures.message().into()
    }
}
