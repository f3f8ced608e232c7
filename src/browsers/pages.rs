//! The answers to plain requests, made once at the start where they never change.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use crate::config::Config;
use crate::http::{self, Conditions, FileHead, Route, Site, Terms};
use crate::model::SharedBytes;

use super::effects::Trouble;

pub(crate) struct Pages {
    /// Known once every shard listens.
    cometql_port: Arc<OnceLock<u16>>,
    about: About,
    start_page: OnceLock<String>,
    /// By file extension; empty when no static files are served.
    content_types: HashMap<String, String>,
}

/// What pages say of this server.
#[derive(Default)]
pub(crate) struct About {
    pub(crate) password_file: String,
    pub(crate) node_name: String,
    /// Empty if that is every address.
    pub(crate) cometql_host: String,
    /// Who may sign in by HTTP, as the configuration has it.
    pub(crate) sign_in: &'static str,
}

impl About {
    pub(crate) fn new(config: &Config, password_file: String) -> Self {
        let host = config.cometql.ip;
        Self {
            password_file,
            node_name: config.main.node_name.clone(),
            cometql_host: if host.is_unspecified() { String::new() } else { host.to_string() },
            sign_in: config.ws.cometql.word(),
        }
    }
}

impl Pages {
    pub(crate) fn new(cometql_port: Arc<OnceLock<u16>>, about: About, content_types: HashMap<String, String>) -> Self {
        Self { cometql_port, about, start_page: OnceLock::new(), content_types }
    }

    /// Whether files of this extension are served at all.
    pub(super) fn serves(&self, path: &str) -> bool {
        http::content_type(&self.content_types, path).is_some()
    }

    pub(super) fn answer(&self, route: &Route<'_>, conditions: &Conditions, terms: &Terms) -> SharedBytes {
        let cometql_port = self.cometql_port.get().copied().unwrap_or_default();
        let About { password_file, node_name, cometql_host, sign_in } = &self.about;
        let site = Site { start_page: "", cometql_port, password_file, node_name, cometql_host, sign_in };
        let site = Site { start_page: self.start_page.get_or_init(|| http::start_page(&site)), ..site };
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

pub(super) const STOPPING: &str = "the server stops\n";
pub(super) const DRAINING: &str = "draining\n";

/// Whether this server can do its work, for whoever decides where browsers are sent. `no`: why not, whatever storage does.
pub(super) fn health(
    no: Option<&'static str>,
    storage: Option<Trouble>,
    conditions: &Conditions,
    terms: &Terms,
) -> SharedBytes {
    let (status, text) = match storage {
        _ if let Some(no) = no => (503, no),
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
