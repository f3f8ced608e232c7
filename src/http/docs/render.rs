//! Markdown to the text of a page: headings get names that links can lead to, links to other files lead to their pages.

use std::collections::HashMap;

use pulldown_cmark::{CodeBlockKind, CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};
use serde_json::{Value, json};

use super::super::frame::escaped;

/// Where files are that have no page here.
const SOURCES: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/");

pub(super) struct Rendered {
    pub(super) title: String,
    /// The headings of the second level: name for links, text.
    pub(super) contents: Vec<(String, String)>,
    pub(super) html: String,
}

/// `path` is the address of the page, from which its links are told; `is_page` says which addresses are pages too.
pub(super) fn page(text: &str, path: &str, is_page: fn(&str) -> bool) -> Rendered {
    let headings = headings(text);
    let mut names = headings.iter();
    let mut events = Vec::new();
    for event in parser(text) {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                let name = names.next().map(|heading| heading.id.clone().into());
                events.push(Event::Start(Tag::Heading { level, id: name, classes: Vec::new(), attrs: Vec::new() }));
            }
            Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
                let dest_url = link(&dest_url, path, is_page).into();
                events.push(Event::Start(Tag::Link { link_type, dest_url, title, id }));
            }
            // They scroll by themselves, so the keyboard has to reach them.
            Event::Start(Tag::Table(columns)) => {
                events.push(Event::Html("<div class=\"table\" tabindex=\"0\">".into()));
                events.push(Event::Start(Tag::Table(columns)));
            }
            Event::End(TagEnd::Table) => events.extend([event, Event::Html("</div>\n".into())]),
            Event::Start(Tag::CodeBlock(kind)) => events.push(Event::Html(code_begins(&kind).into())),
            Event::End(TagEnd::CodeBlock) => events.push(Event::Html("</code></pre>\n".into())),
            event => events.push(event),
        }
    }
    let mut html = String::with_capacity(text.len().saturating_mul(3) / 2);
    html::push_html(&mut html, events.into_iter());
    // A heading without a word heads nothing.
    let html = html.replace("<th></th>", "<td></td>");
    let second = |heading: &&Heading| heading.level == HeadingLevel::H2;
    let contents = headings.iter().filter(second).map(|heading| (heading.id.clone(), heading.text.clone())).collect();
    Rendered { title: title(text), contents, html }
}

/// The first heading.
pub(super) fn title(text: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or("Encke");
    line.trim().to_owned()
}

/// The text of a page in parts, each below its heading.
pub(super) fn parts(text: &str, page: &str) -> Vec<Value> {
    let title = title(text);
    let mut parts: Vec<(Heading, String)> = Vec::new();
    let mut headings = headings(text).into_iter();
    let mut is_heading = false;
    for event in parser(text) {
        match event {
            Event::Start(Tag::Heading { .. }) => {
                parts.extend(headings.next().map(|heading| (heading, String::new())));
                is_heading = true;
            }
            Event::End(TagEnd::Heading(_)) => is_heading = false,
            Event::Text(words) | Event::Code(words) if !is_heading => {
                if let Some((_, text)) = parts.last_mut() {
                    text.push_str(&words);
                }
            }
            // Words of two lines, paragraphs or cells are not one.
            Event::SoftBreak | Event::HardBreak | Event::End(TagEnd::Paragraph | TagEnd::TableCell | TagEnd::Item) => {
                if let Some((_, text)) = parts.last_mut() {
                    text.push(' ');
                }
            }
            _ => {}
        }
    }
    let part = |(heading, text): (Heading, String)| {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        json!({ "page": page, "title": title, "heading": heading.text, "id": heading.id, "text": text })
    };
    parts.into_iter().map(part).collect()
}

fn parser(text: &str) -> Parser<'_> {
    Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH)
}

struct Heading {
    level: HeadingLevel,
    text: String,
    /// Unlike that of any other heading of the page.
    id: String,
}

fn headings(text: &str) -> Vec<Heading> {
    let mut headings: Vec<Heading> = Vec::new();
    let mut begun: Option<(HeadingLevel, String)> = None;
    let mut taken: HashMap<String, usize> = HashMap::new();
    for event in parser(text) {
        match event {
            Event::Start(Tag::Heading { level, .. }) => begun = Some((level, String::new())),
            Event::Text(words) | Event::Code(words) => {
                if let Some((_, text)) = &mut begun {
                    text.push_str(&words);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                if let Some((level, text)) = begun.take() {
                    let name = name(&text);
                    let times = taken.entry(name.clone()).or_default();
                    let id = if *times == 0 { name } else { format!("{name}-{times}") };
                    *times = times.saturating_add(1);
                    headings.push(Heading { level, text, id });
                }
            }
            _ => {}
        }
    }
    headings
}

/// As GitHub names headings, because links in the files are written for it.
fn name(heading: &str) -> String {
    let kept = |c: char| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
        _ => None,
    };
    heading.to_lowercase().chars().filter_map(kept).collect()
}

fn code_begins(kind: &CodeBlockKind<'_>) -> String {
    let language: &str = match kind {
        CodeBlockKind::Fenced(CowStr::Borrowed(words)) => words.split([' ', ',']).next().unwrap_or_default(),
        _ => "",
    };
    format!("<pre tabindex=\"0\"><code data-language=\"{}\">", escaped(language))
}

/// Where a link of a file in `docs` leads from its page.
fn link(target: &str, path: &str, is_page: fn(&str) -> bool) -> String {
    if target.starts_with('#') || target.contains("://") || target.starts_with("mailto:") {
        return target.to_owned();
    }
    let (file, anchor) = target.split_once('#').map_or((target, String::new()), |(file, at)| (file, format!("#{at}")));
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let whole = resolved(folder, file);
    let address = whole.strip_suffix("README.md").or_else(|| whole.strip_suffix(".md")).unwrap_or(&whole);
    if is_page(address) {
        let up = "../".repeat(folder.matches('/').count());
        return format!("{up}{}{anchor}", address.trim_start_matches('/'));
    }
    format!("{SOURCES}{}{anchor}", whole.trim_start_matches('/'))
}

/// A relative path from a folder, from the root.
fn resolved(folder: &str, relative: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in relative.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
