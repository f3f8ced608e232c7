//! Delivery reports: what a browser that published is told, once every shard with subscribers has said what became of it.

use std::sync::Arc;

use crate::model::{Answer, ApiError, ConnId, PipeError, Publication};

use super::super::effects::Effects;
use super::Local;

/// A delivery report that is not complete yet.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Known once the owner has said to how many shards the publication went.
    fanned: Option<Fanned>,
    shards_heard: u16,
    delivered: u32,
}

#[derive(Debug)]
pub(in crate::hub) struct Fanned {
    pub(in crate::hub) publication: Arc<Publication>,
    pub(in crate::hub) shards: u16,
    /// In the history too, if the pipe keeps one.
    pub(in crate::hub) stored: bool,
}

impl Local {
    /// The owner of the pipe has said to how many shards the publication went.
    pub(in crate::hub) fn fanned(&mut self, conn: ConnId, fanned: Fanned, effects: &mut Effects) {
        if let Some(report) = self.reports.get_mut(&conn) {
            report.fanned = Some(fanned);
            self.finish_report(conn, effects);
        }
    }

    /// So many connections of one shard got it.
    pub(in crate::hub) fn delivered(&mut self, conn: ConnId, connections: u32, effects: &mut Effects) {
        if let Some(report) = self.reports.get_mut(&conn) {
            report.shards_heard += 1;
            report.delivered += connections;
            self.finish_report(conn, effects);
        }
    }

    fn finish_report(&mut self, conn: ConnId, effects: &mut Effects) {
        let complete = |report: &mut Report| {
            let fanned = report.fanned.as_ref()?;
            (report.shards_heard == fanned.shards).then(|| report.fanned.take())?
        };
        let Some(report) = self.reports.get_mut(&conn) else { return };
        let Some(Fanned { publication, stored, .. }) = complete(report) else { return };
        let delivered = report.delivered;
        self.reports.remove(&conn);
        if stored {
            let (pipe, message) = (publication.pipe.name.clone(), publication.message.clone());
            self.answer(conn, Answer::DeliveryReport { pipe, message, delivered }, effects);
        } else {
            self.answer(conn, Answer::Error(ApiError::Pipe(PipeError::NotStored)), effects);
        }
        self.resume(conn, effects);
    }
}
