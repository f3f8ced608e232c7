//! The answers to plain requests, made once at the start where they never change.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use crate::http::{self, Head, Method, Route, Site};
use crate::model::SharedBytes;

pub(super) struct Pages {
    /// Known once every shard listens.
    cometql_port: Arc<OnceLock<u16>>,
    start_page: OnceLock<String>,
    node_name: String,
    /// By file extension; empty when no static files are served.
    content_types: HashMap<String, String>,
}

impl Pages {
    pub(super) fn new(
        cometql_port: Arc<OnceLock<u16>>,
        node_name: String,
        content_types: HashMap<String, String>,
    ) -> Self {
        Self { cometql_port, start_page: OnceLock::new(), node_name, content_types }
    }

    /// Whether files of this extension are served at all.
    pub(super) fn serves(&self, path: &str) -> bool {
        http::content_type(&self.content_types, path).is_some()
    }

    pub(super) fn answer(&self, head: &Head<'_>, route: &Route<'_>) -> SharedBytes {
        self.plain(route, head.method != Method::Head)
    }

    pub(super) fn not_found(&self) -> SharedBytes {
        self.plain(&Route::NotFound, true)
    }

    fn plain(&self, route: &Route<'_>, with_body: bool) -> SharedBytes {
        let start_page =
            self.start_page.get_or_init(|| http::start_page(self.cometql_port.get().copied().unwrap_or_default()));
        let site = Site { start_page, node_name: &self.node_name };
        http::plain_answer(route, with_body, &site)
            .or_else(|| http::plain_answer(&Route::NotFound, with_body, &site))
            .unwrap_or_default()
            .into()
    }

    /// What goes in front of a file's content.
    pub(super) fn file_head(&self, path: &str, length: u64) -> SharedBytes {
        let content_type = http::content_type(&self.content_types, path).unwrap_or("application/octet-stream");
        http::static_head(length, content_type).into()
    }
}

/// Too many files are being read or sent already.
pub(super) fn busy() -> SharedBytes {
    http::response(503, "text/plain", &[("Retry-After", "1")], b"Too busy, please try again.\n").into()
}
