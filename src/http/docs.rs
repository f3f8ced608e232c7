//! The documentation at `/docs/`: the files of `docs` in the sources, made into pages by whoever asks first.

mod render;

use std::sync::OnceLock;

use super::assets::{count_made, packed};
use super::frame::{escaped, framed};

/// A page, or the list that a search looks through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doc {
    /// Address of its own, from the root.
    path: &'static str,
    content: Content,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    /// Markdown.
    Page(&'static str),
    /// What stands in all pages of a language.
    Index(Language),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    English,
    Russian,
}

impl Language {
    const ALL: [Self; 2] = [Self::English, Self::Russian];

    fn of(path: &str) -> Self {
        if path.starts_with("/docs/ru/") { Self::Russian } else { Self::English }
    }

    fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Russian => "ru",
        }
    }

    fn root(self) -> &'static str {
        match self {
            Self::English => "/docs/",
            Self::Russian => "/docs/ru/",
        }
    }

    /// What the box for the search, the list of pages and the link to the other language are called.
    fn words(self) -> [&'static str; 3] {
        match self {
            Self::English => ["Search", "Pages of the documentation", "По-русски"],
            Self::Russian => ["Поиск", "Страницы документации", "English"],
        }
    }
}

/// Made once: the text as it is sent, and compressed.
struct Made {
    body: String,
    packed: OnceLock<Vec<u8>>,
}

impl Doc {
    pub(super) fn find(path: &str) -> Option<&'static Self> {
        DOCS.iter().find(|doc| doc.path == path)
    }

    pub(super) fn is_page(&self) -> bool {
        matches!(self.content, Content::Page(_))
    }

    pub(super) fn content_type(&self) -> &'static str {
        if self.is_page() { "text/html" } else { "application/json" }
    }

    pub(super) fn body(&self) -> &'static str {
        self.made().map_or("", |made| &made.body)
    }

    pub(super) fn packed(&self) -> &'static [u8] {
        self.made().map_or(&[], |made| made.packed.get_or_init(|| packed(&made.body)))
    }

    fn made(&self) -> Option<&'static Made> {
        static MADE: [OnceLock<Made>; DOCS.len()] = [const { OnceLock::new() }; DOCS.len()];
        let place = DOCS.iter().position(|doc| doc.path == self.path)?;
        let make = || {
            let body = self.make();
            count_made(body.capacity());
            Made { body, packed: OnceLock::new() }
        };
        Some(MADE.get(place)?.get_or_init(make))
    }

    fn make(&self) -> String {
        match self.content {
            Content::Page(text) => self.page(text),
            Content::Index(language) => index(language),
        }
    }

    fn page(&self, text: &str) -> String {
        let rendered = render::page(text, self.path, |path| Self::find(path).is_some());
        let language = Language::of(self.path);
        let [search, list, other] = language.words();
        let code = language.code();
        let index = if language == Language::Russian { "ru/search.json" } else { "search.json" };
        let other_root = if language == Language::Russian { "docs/" } else { "docs/ru/" };
        let title = escaped(&rendered.title);
        let line =
            |(id, name): &(String, String)| format!("<li><a href=\"#{}\">{}</a></li>", escaped(id), escaped(name));
        let contents: String = rendered.contents.iter().map(line).collect();
        let pages: String = pages(language).map(|doc| self.entry(doc, &contents)).collect();
        let page = format!(
            "<!doctype html>\n<html lang=\"{code}\">\n<head>\n{{{{HEAD}}}}\n\
             <link rel=\"stylesheet\" href=\"{{{{ROOT}}}}encke-docs.css\">\n\
             <title>{title} - Encke</title>\n\
             <script type=\"module\" src=\"{{{{ROOT}}}}encke-docs.js\"></script>\n</head>\n\
             <body class=\"docs\" data-index=\"{{{{ROOT}}}}docs/{index}\" data-docs=\"{{{{ROOT}}}}{root}\">\n<div class=\"wrap\">\n{{{{BAR}}}}\n\
             <div class=\"book\">\n<aside>\n<search><label for=\"find\">{search}</label>\
             <input id=\"find\" type=\"search\" autocomplete=\"off\" spellcheck=\"false\" aria-controls=\"found\">\
             <div id=\"found\" role=\"status\" hidden></div></search>\n\
             <nav aria-label=\"{list}\"><ul class=\"pages\">{pages}</ul></nav>\n\
             <p class=\"hint\"><a href=\"{{{{ROOT}}}}{other_root}\">{other}</a></p>\n</aside>\n\
             <main class=\"prose\">\n{text}</main>\n</div>\n{{{{FOOT}}}}\n</div>\n</body>\n</html>\n",
            root = language.root().trim_start_matches('/'),
            text = "{{TEXT}}",
        );
        // The text comes last: what stands in double braces there is an example.
        framed(&page, self.path).replace("{{TEXT}}", &rendered.html)
    }

    /// Its line in the list of pages; the page that is shown has its parts below.
    fn entry(&self, doc: &Self, contents: &str) -> String {
        let Content::Page(text) = doc.content else { return String::new() };
        let name = escaped(&render::title(text));
        let is_here = doc.path == self.path;
        let here = if is_here { " aria-current=\"page\"" } else { "" };
        let below = if is_here && !contents.is_empty() { format!("<ul>{contents}</ul>") } else { String::new() };
        format!("<li><a href=\"{{{{ROOT}}}}{}\"{here}>{name}</a>{below}</li>", doc.path.trim_start_matches('/'))
    }
}

fn pages(language: Language) -> impl Iterator<Item = &'static Doc> {
    DOCS.iter().filter(move |doc| doc.is_page() && Language::of(doc.path) == language)
}

/// Shape: `[{"page":"cometql","title":"CometQL","heading":"Statements","id":"statements","text":"..."}, ...]`; `page` is
/// relative to the first page of the language.
fn index(language: Language) -> String {
    let parts: Vec<serde_json::Value> = pages(language)
        .flat_map(|doc| {
            let Content::Page(text) = doc.content else { return Vec::new() };
            render::parts(text, doc.path.strip_prefix(language.root()).unwrap_or_default())
        })
        .collect();
    serde_json::Value::from(parts).to_string()
}

const fn page(path: &'static str, text: &'static str) -> Doc {
    Doc { path, content: Content::Page(text) }
}

macro_rules! pages {
    ($($path:literal: $file:literal,)+) => {
        /// In the order in which they are listed.
        static DOCS: [Doc; [$($path),+].len() + Language::ALL.len()] = [
            $(page($path, include_str!(concat!("../../docs/", $file))),)+
            Doc { path: "/docs/search.json", content: Content::Index(Language::English) },
            Doc { path: "/docs/ru/search.json", content: Content::Index(Language::Russian) },
        ];
    };
}

pages! {
    "/docs/": "README.md",
    "/docs/getting-started": "getting-started.md",
    "/docs/php-sites": "php-sites.md",
    "/docs/pipes": "pipes.md",
    "/docs/javascript": "javascript.md",
    "/docs/authorisation": "authorisation.md",
    "/docs/history-and-recovery": "history-and-recovery.md",
    "/docs/cometql": "cometql.md",
    "/docs/publishing": "publishing.md",
    "/docs/install": "install.md",
    "/docs/operating": "operating.md",
    "/docs/migration": "migration.md",
    "/docs/faq": "faq.md",
    "/docs/errors": "errors.md",
    "/docs/glossary": "glossary.md",
    "/docs/bounds": "bounds.md",
    "/docs/browsers": "browsers.md",
    "/docs/bundlers": "bundlers.md",
    "/docs/from-pusher": "from-pusher.md",
    "/docs/from-socketio": "from-socketio.md",
    "/docs/apps-in-40-lines": "apps-in-40-lines.md",
    "/docs/javascript-protocol": "javascript-protocol.md",
    "/docs/transports": "transports.md",
    "/docs/ru/": "ru/README.md",
    "/docs/ru/getting-started": "ru/getting-started.md",
    "/docs/ru/php-sites": "ru/php-sites.md",
    "/docs/ru/javascript": "ru/javascript.md",
    "/docs/ru/authorisation": "ru/authorisation.md",
    "/docs/ru/cometql": "ru/cometql.md",
    "/docs/ru/operating": "ru/operating.md",
    "/docs/ru/migration": "ru/migration.md",
    "/docs/ru/faq": "ru/faq.md",
}

#[cfg(test)]
mod tests;
