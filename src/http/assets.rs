//! The files that are part of the program: pages, their style and scripts, and the browser library.

/// One of them; its text never changes while the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asset {
    pub path: &'static str,
    pub content_type: &'static str,
    pub body: &'static str,
    /// Pages of other sites load it for hours; the others belong together and are asked for each time.
    pub is_library: bool,
}

impl Asset {
    pub fn find(path: &str) -> Option<&'static Self> {
        ASSETS.iter().find(|asset| asset.path == path)
    }

    pub fn is_page(&self) -> bool {
        self.content_type == "text/html"
    }
}

const fn asset(path: &'static str, content_type: &'static str, body: &'static str) -> Asset {
    Asset { path, content_type, body, is_library: false }
}

/// Built by `web/client/build.mjs`.
const fn library(path: &'static str, body: &'static str) -> Asset {
    Asset { path, content_type: "text/javascript", body, is_library: true }
}

const CLASSIC_LIBRARY: &str = include_str!("../../web/client/dist/CometServerApi.js");

pub(super) static ASSETS: &[Asset] = &[
    library("/encke.js", include_str!("../../web/client/dist/encke.js")),
    library("/CometServerApi.js", CLASSIC_LIBRARY),
    library("/api/CometServerApi.js", CLASSIC_LIBRARY),
    asset("/encke.css", "text/css", include_str!("../../web/pages/encke.css")),
    asset("/encke-start.js", "text/javascript", include_str!("../../web/start/start.js")),
    asset("/encke-pages.js", "text/javascript", include_str!("../../web/pages/pages.js")),
    asset("/dashboard", "text/html", include_str!("../../web/pages/dashboard.html")),
    asset("/encke-dashboard.js", "text/javascript", include_str!("../../web/pages/dashboard.js")),
    asset("/console", "text/html", include_str!("../../web/pages/console.html")),
    asset("/encke-console.js", "text/javascript", include_str!("../../web/pages/console.js")),
];
