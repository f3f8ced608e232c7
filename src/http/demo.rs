//! The demo pages below `/demo/`, embedded; the sources are in `web/demo`.

/// One embedded file.
#[derive(Debug, PartialEq, Eq)]
pub struct Asset {
    pub(super) content_type: &'static str,
    /// `{{COMETQL_PORT}}` in a page stands for that port.
    pub(super) body: &'static str,
}

/// What is at a path behind `/demo/`.
pub(super) fn asset(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|(known, _)| *known == name).map(|(_, asset)| asset)
}

const fn html(body: &'static str) -> Asset {
    Asset { content_type: "text/html", body }
}

const fn script(body: &'static str) -> Asset {
    Asset { content_type: "text/javascript", body }
}

const fn style(body: &'static str) -> Asset {
    Asset { content_type: "text/css", body }
}

const ASSETS: &[(&str, Asset)] = &[
    ("", html(include_str!("../../web/demo/index.html"))),
    ("chat", html(include_str!("../../web/demo/chat.html"))),
    ("users", html(include_str!("../../web/demo/users.html"))),
    ("demo.css", style(include_str!("../../web/demo/demo.css"))),
    ("lines.js", script(include_str!("../../web/demo/lines.js"))),
    ("chat.js", script(include_str!("../../web/demo/chat.js"))),
    ("users.js", script(include_str!("../../web/demo/users.js"))),
    ("users_chat.js", script(include_str!("../../web/demo/users_chat.js"))),
    ("html_chat.js", script(include_str!("../../web/demo/html_chat.js"))),
    ("html_chat.css", style(include_str!("../../web/demo/html_chat.css"))),
];
