//! The demo pages below `/demo/`, embedded; the sources are in `web/demo`.

/// One embedded file.
#[derive(Debug, PartialEq, Eq)]
pub struct DemoFile {
    pub(super) content_type: &'static str,
    /// `{{COMETQL_PORT}}` in a page stands for that port.
    pub(super) body: &'static str,
    /// Pages of other sites load it, for hours; the others belong together and are asked for each time.
    pub(super) is_library: bool,
}

/// What is at a path behind `/demo/`.
pub(super) fn find(name: &str) -> Option<&'static DemoFile> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, file)| file)
}

const fn part(content_type: &'static str, body: &'static str) -> DemoFile {
    DemoFile { content_type, body, is_library: false }
}

const fn library(content_type: &'static str, body: &'static str) -> DemoFile {
    DemoFile { content_type, body, is_library: true }
}

const HTML: &str = "text/html";
const SCRIPT: &str = "text/javascript";
const STYLE: &str = "text/css";

static FILES: &[(&str, DemoFile)] = &[
    ("", part(HTML, include_str!("../../web/demo/index.html"))),
    ("chat", part(HTML, include_str!("../../web/demo/chat.html"))),
    ("chat.js", part(SCRIPT, include_str!("../../web/demo/chat.js"))),
    ("users", part(HTML, include_str!("../../web/demo/users.html"))),
    ("users.js", part(SCRIPT, include_str!("../../web/demo/users.js"))),
    ("lines.js", part(SCRIPT, include_str!("../../web/demo/lines.js"))),
    ("demo.css", library(STYLE, include_str!("../../web/demo/demo.css"))),
    ("users_chat.js", library(SCRIPT, include_str!("../../web/demo/users_chat.js"))),
    ("html_chat.js", library(SCRIPT, include_str!("../../web/demo/html_chat.js"))),
    ("html_chat.css", library(STYLE, include_str!("../../web/demo/html_chat.css"))),
];
