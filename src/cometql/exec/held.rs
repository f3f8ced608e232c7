//! What browser connections take: asked of one shard after the other, some places at a time, and added up.

use std::collections::BTreeMap;

use crate::cometql::rows::Row;
use crate::model::{DevId, ShardId};
use crate::ring::{HeldByTenant, Placement, Question};

/// How the sums are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// `dev_id`, `connections`, `memory`.
    Tenant,
    /// `kind`, `shard`, `bytes`, `items`.
    Shard,
}

/// How far the question has come.
#[derive(Debug)]
pub(super) struct Held {
    by: By,
    /// Of this tenant only.
    dev: Option<DevId>,
    shard: u16,
    after: Option<u32>,
    /// Connections and bytes by tenant or shard.
    sums: BTreeMap<u32, (u64, u64)>,
}

impl Held {
    /// A row for each tenant, or for this one.
    pub(super) fn by_tenant(dev: Option<DevId>) -> Self {
        Self { by: By::Tenant, dev, shard: 0, after: None, sums: BTreeMap::new() }
    }

    /// A row for each shard.
    pub(super) fn by_shard(dev: DevId) -> Self {
        Self { by: By::Shard, ..Self::by_tenant(Some(dev)) }
    }

    /// `None`: every shard has told all.
    pub(super) fn question(&self, placement: &Placement) -> Option<(ShardId, Question)> {
        let question = Question::Held { dev: self.dev, after: self.after };
        (self.shard < placement.connection_shards()).then_some((ShardId(self.shard), question))
    }

    /// The rows, if that was the last part of them.
    pub(super) fn told(&mut self, held: Vec<HeldByTenant>, next: Option<u32>, placement: &Placement) -> Vec<Row> {
        for HeldByTenant { dev, connections, bytes } in held {
            let key = match self.by {
                By::Tenant => dev.0,
                By::Shard => self.shard.into(),
            };
            let sum = self.sums.entry(key).or_default();
            *sum = (sum.0 + u64::from(connections), sum.1 + bytes);
        }
        self.after = next;
        self.shard += u16::from(next.is_none());
        if self.shard < placement.connection_shards() {
            return Vec::new();
        }
        std::mem::take(&mut self.sums).into_iter().map(|(key, sum)| self.row(key, sum)).collect()
    }

    fn row(&self, key: u32, (connections, bytes): (u64, u64)) -> Row {
        let (connections, bytes) = (connections.to_string(), bytes.to_string());
        match self.by {
            By::Tenant => [&key.to_string(), &connections, &bytes].map(|cell| cell.as_str().into()).into(),
            By::Shard => {
                let shard = format!("browsers-{key}");
                ["connections", &shard, &bytes, &connections].map(Box::from).into()
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.sums.len() * size_of::<(u32, (u64, u64))>() * 2
    }
}
