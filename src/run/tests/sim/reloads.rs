//! Another configuration at a random moment, of which the shards hear one after the other, and some not before the next one.

use std::sync::Arc;

use crate::config::Config;
use crate::model::Network;
use crate::run::in_force::InForce;

use super::session::PASSWORD;
use super::world::{COUNT_MAX, World};

/// What is in force at first.
pub(super) fn at_first(counts_addresses: bool) -> Arc<InForce> {
    let mut config = Config::default();
    if counts_addresses {
        set_limits(&mut config, COUNT_MAX);
    }
    Arc::new(InForce::load(config, PASSWORD.to_owned(), None).expect("nothing is read"))
}

fn set_limits(config: &mut Config, count: u32) {
    config.ws.connections_per_address_max = count;
    config.ws.connects_per_address_per_s = count;
    config.ws.publications_per_user_per_s = count;
    config.ws.key_attempts_max = count.min(8);
}

impl World {
    pub(super) fn reload(&mut self) {
        let mut config = self.in_force.config.clone();
        if self.random.chance(70) {
            let count = [0, COUNT_MAX][self.random.below(2)];
            set_limits(&mut config, count);
        }
        if self.random.chance(30) {
            // Nobody is there; but all begins anew.
            config.ws.trusted_proxies = match self.random.below(2) {
                0 => Vec::new(),
                _ => Network::parse("192.0.2.0/24").into_iter().collect(),
            };
        }
        config.main.offline_grace_s = [0, 3][self.random.below(2)];
        config.ws.devices_max = 2;
        let in_force = InForce::load(config, PASSWORD.to_owned(), Some(&self.in_force)).expect("nothing is read");
        self.counts_addresses = in_force.counting > 0;
        self.in_force = Arc::new(in_force);
        self.notice.put_up(self.in_force.clone());
        self.unwoken.extend(0..self.shards.len());
        self.totals.reloads += 1;
    }
}
