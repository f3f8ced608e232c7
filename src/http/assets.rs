//! The files that are part of the program: pages, their style and scripts, and the browser library.

use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;

/// One of them; its text never changes while the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asset {
    pub path: &'static str,
    pub content_type: &'static str,
    /// What stands in double braces in a page is filled in, see [`super::frame`].
    pub body: &'static str,
    /// Pages of other sites load it for hours; the others belong together and are asked for each time.
    pub is_library: bool,
}

impl Asset {
    pub fn find(path: &str) -> Option<&'static Self> {
        ASSETS.iter().find(|asset| asset.path == path)
    }

    /// Where the page is that a path means with one slash more or less, relative to that path.
    pub fn moved(path: &str) -> Option<&'static str> {
        match path {
            "/demo" => Some("demo/"),
            "/docs" => Some("docs/"),
            "/docs/ru" => Some("ru/"),
            "/dashboard/" => Some("../dashboard"),
            "/console/" => Some("../console"),
            "/demo/chat/" => Some("../chat"),
            "/demo/users/" => Some("../users"),
            _ => None,
        }
    }

    /// The text compressed with gzip, by whoever asks first.
    pub fn packed(&self) -> &'static [u8] {
        static PACKED: [OnceLock<Vec<u8>>; ASSETS.len()] = [const { OnceLock::new() }; ASSETS.len()];
        let place = ASSETS.iter().position(|asset| asset.path == self.path);
        let Some(kept) = place.and_then(|place| PACKED.get(place)) else { return &[] };
        kept.get_or_init(|| packed(self.body))
    }

    pub fn is_page(&self) -> bool {
        self.content_type == "text/html"
    }
}

/// Compressed with gzip.
pub(super) fn packed(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(text.as_bytes());
    keep(encoder.finish().unwrap_or_default())
}

/// Bytes of what was made by whoever asked first, and stays.
static MADE: AtomicUsize = AtomicUsize::new(0);

pub fn made_bytes() -> usize {
    MADE.load(Ordering::Relaxed)
}

/// The room that is not needed goes, and the rest is counted.
fn keep(mut made: Vec<u8>) -> Vec<u8> {
    made.shrink_to_fit();
    count_made(made.capacity());
    made
}

pub(super) fn count_made(bytes: usize) {
    MADE.fetch_add(bytes, Ordering::Relaxed);
}

const fn asset(path: &'static str, content_type: &'static str, body: &'static str) -> Asset {
    Asset { path, content_type, body, is_library: false }
}

const fn library(path: &'static str, content_type: &'static str, body: &'static str) -> Asset {
    Asset { path, content_type, body, is_library: true }
}

const PAGE: &str = "text/html";
const SCRIPT: &str = "text/javascript";
const STYLE: &str = "text/css";

/// Built by `web/client/build.mjs`, as `encke.js` is.
const CLASSIC_LIBRARY: &str = include_str!("../../web/client/dist/CometServerApi.js");

/// What both libraries load where WebSocket is blocked, from beside their own address.
const LIBRARY_PART: &str = include_str!("../../web/client/dist/encke-http.js");

const CHAT: &str = include_str!("../../web/demo/html_chat.js");
const CHAT_STYLE: &str = include_str!("../../web/demo/html_chat.css");

pub(super) static ASSETS: &[Asset] = &[
    library("/encke.js", SCRIPT, include_str!("../../web/client/dist/encke.js")),
    library("/encke-http.js", SCRIPT, LIBRARY_PART),
    library("/CometServerApi.js", SCRIPT, CLASSIC_LIBRARY),
    library("/api/CometServerApi.js", SCRIPT, CLASSIC_LIBRARY),
    library("/api/encke-http.js", SCRIPT, LIBRARY_PART),
    asset("/encke.css", STYLE, include_str!("../../web/pages/encke.css")),
    asset("/encke-start.js", SCRIPT, include_str!("../../web/start/start.js")),
    asset("/encke-pages.js", SCRIPT, include_str!("../../web/pages/pages.js")),
    asset("/encke-colours.js", SCRIPT, include_str!("../../web/pages/colours.js")),
    asset("/encke-docs.css", STYLE, include_str!("../../web/pages/docs.css")),
    asset("/encke-docs.js", SCRIPT, include_str!("../../web/pages/docs.js")),
    asset("/encke-console.css", STYLE, include_str!("../../web/pages/console.css")),
    asset("/encke-dashboard.css", STYLE, include_str!("../../web/pages/dashboard.css")),
    // Another one's, see the licence beside it.
    library("/uplot.js", SCRIPT, include_str!("../../web/pages/uplot/uPlot.iife.min.js")),
    library("/uplot.css", STYLE, include_str!("../../web/pages/uplot/uPlot.min.css")),
    asset("/dashboard", PAGE, include_str!("../../web/pages/dashboard.html")),
    asset("/encke-charts.js", SCRIPT, include_str!("../../web/pages/charts.js")),
    asset("/encke-attention.js", SCRIPT, include_str!("../../web/pages/attention.js")),
    asset("/encke-lists.js", SCRIPT, include_str!("../../web/pages/lists.js")),
    asset("/encke-dashboard.js", SCRIPT, include_str!("../../web/pages/dashboard.js")),
    asset("/console", PAGE, include_str!("../../web/pages/console.html")),
    asset("/encke-console.js", SCRIPT, include_str!("../../web/pages/console.js")),
    asset("/demo/", PAGE, include_str!("../../web/demo/index.html")),
    asset("/demo/chat", PAGE, include_str!("../../web/demo/chat.html")),
    asset("/demo/chat.js", SCRIPT, include_str!("../../web/demo/chat.js")),
    asset("/demo/users", PAGE, include_str!("../../web/demo/users.html")),
    asset("/demo/users.js", SCRIPT, include_str!("../../web/demo/users.js")),
    asset("/demo/lines.js", SCRIPT, include_str!("../../web/demo/lines.js")),
    library("/demo/demo.css", STYLE, include_str!("../../web/demo/demo.css")),
    library("/demo/users_chat.js", SCRIPT, include_str!("../../web/demo/users_chat.js")),
    library("/demo/html_chat.js", SCRIPT, CHAT),
    library("/demo/html_chat.css", STYLE, CHAT_STYLE),
    // Where pages of CppComet look for them.
    library("/doc/html_chat.js", SCRIPT, CHAT),
    library("/doc/html_chat.css", STYLE, CHAT_STYLE),
];
