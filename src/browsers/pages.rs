//! The answers to plain requests, made once at the start where they never change.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use crate::http::{self, Conditions, FileHead, Route, Site, Terms};
use crate::model::SharedBytes;

use super::effects::Trouble;

pub(crate) struct Pages {
    /// Known once every shard listens.
    cometql_port: Arc<OnceLock<u16>>,
    password_file: String,
    start_page: OnceLock<String>,
    node_name: String,
    /// By file extension; empty when no static files are served.
    content_types: HashMap<String, String>,
}

impl Pages {
    pub(crate) fn new(
        cometql_port: Arc<OnceLock<u16>>,
        password_file: String,
        node_name: String,
        content_types: HashMap<String, String>,
    ) -> Self {
        Self { cometql_port, password_file, start_page: OnceLock::new(), node_name, content_types }
    }

    /// Whether files of this extension are served at all.
    pub(super) fn serves(&self, path: &str) -> bool {
        http::content_type(&self.content_types, path).is_some()
    }

    pub(super) fn answer(&self, route: &Route<'_>, conditions: &Conditions, terms: &Terms) -> SharedBytes {
        let cometql_port = self.cometql_port.get().copied().unwrap_or_default();
        let start_page = self.start_page.get_or_init(|| http::start_page(cometql_port, &self.password_file));
        let site = Site { start_page, cometql_port, password_file: &self.password_file, node_name: &self.node_name };
        http::plain_answer(route, conditions, &site, terms)
            .or_else(|| http::plain_answer(&Route::NotFound, conditions, &site, terms))
            .unwrap_or_default()
            .into()
    }

    pub(super) fn not_found(&self, conditions: &Conditions, terms: &Terms) -> SharedBytes {
        self.answer(&Route::NotFound, conditions, terms)
    }

    /// What goes in front of a file's content.
    pub(super) fn file_head(&self, path: &str, file: &FileHead, terms: &Terms) -> SharedBytes {
        let content_type = http::content_type(&self.content_types, path).unwrap_or("application/octet-stream");
        http::file_head(file, content_type, terms).into()
    }
}

/// Whether this server can do its work, for whoever decides where browsers are sent.
pub(super) fn health(stopping: bool, storage: Option<Trouble>, conditions: &Conditions, terms: &Terms) -> SharedBytes {
    let (status, text) = match storage {
        _ if stopping => (503, "the server stops\n"),
        Some(Trouble { keeps_out: true, text }) => (503, text),
        Some(Trouble { keeps_out: false, text }) => (200, text),
        None => (200, "ok"),
    };
    http::response_on(
        terms,
        status,
        "text/plain",
        &[("Cache-Control", "no-store")],
        text.as_bytes(),
        conditions.with_body,
    )
    .into()
}

/// Too many files are being read or sent already.
pub(super) fn busy() -> SharedBytes {
    http::response(503, "text/plain", &[("Retry-After", "1")], b"Too busy, please try again.\n").into()
}
