use std::collections::{BTreeSet, HashMap};

use super::*;

/// What stands between two marks, everywhere in a text.
fn all_between<'a>(text: &'a str, begin: &str, end: &str) -> Vec<&'a str> {
    text.split(begin).skip(1).filter_map(|rest| rest.split(end).next()).collect()
}

#[test]
fn every_file_of_the_documentation_is_a_page() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/");
    for (place, root) in [("", "/docs/"), ("ru/", "/docs/ru/")] {
        let files = std::fs::read_dir(format!("{folder}{place}")).expect("the folder");
        let names = files.filter_map(|file| file.ok()?.file_name().into_string().ok());
        let wanted: BTreeSet<String> = names
            .filter_map(|name| name.strip_suffix(".md").map(str::to_owned))
            .map(|name| format!("{root}{}", if name == "README" { "" } else { &name }))
            .collect();
        let there: BTreeSet<String> = DOCS
            .iter()
            .filter(|doc| doc.is_page() && Language::of(doc.path).root() == root)
            .map(|doc| doc.path.to_owned())
            .collect();
        assert_eq!(there, wanted);
    }
}

/// Links to other pages of the documentation, and to parts of them.
#[test]
fn links_lead_somewhere() {
    let ids: HashMap<&str, Vec<&str>> =
        DOCS.iter().filter(|doc| doc.is_page()).map(|doc| (doc.path, all_between(doc.body(), "id=\"", "\""))).collect();
    let mut looked_at = 0;
    for doc in DOCS.iter().filter(|doc| doc.is_page()) {
        let folder = doc.path.rsplit_once('/').unwrap_or_default().0;
        let up = "../".repeat(folder.matches('/').count());
        for target in all_between(doc.body(), "href=\"", "\"") {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let page = match file.strip_prefix(&up) {
                _ if file.is_empty() => doc.path.to_owned(),
                Some(rest) if rest.starts_with("docs/") => format!("/{rest}"),
                _ => continue,
            };
            let there = ids.get(page.as_str());
            assert!(there.is_some(), "{}: {target}", doc.path);
            let decoded = crate::percent::decoded_text(anchor).unwrap_or_default();
            let is_there = anchor.is_empty() || there.is_some_and(|ids| ids.contains(&decoded.as_str()));
            assert!(is_there, "{}: {target}", doc.path);
            looked_at += 1;
        }
    }
    assert!(looked_at > 500, "{looked_at}");
}

#[test]
fn what_a_page_is_made_of() {
    let text = "<!-- x -->\n# A & B\n\nWords, `a<b`, [a link](pipes.md#x), [out](../SECURITY.md).\n\n## `{{ROOT}}`, it's\n\n```sh\nls \"a\"\n```\n\n\
        | a |\n|---|\n| b |\n\n## `{{ROOT}}`, it's\n";
    let rendered = render::page(text, "/docs/ru/faq", |path| Doc::find(path).is_some());
    assert_eq!(rendered.title, "A & B");
    let names: Vec<&str> = rendered.contents.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(names, ["root-its", "root-its-1"]);
    for part in [
        "<h1 id=\"a--b\">A &amp; B</h1>",
        "<code>a&lt;b</code>",
        "/blob/main/docs/SECURITY.md\"",
        "<pre tabindex=\"0\"><code data-language=\"sh\">ls \"a\"\n</code></pre>",
        "<div class=\"table\" tabindex=\"0\"><table>",
    ] {
        assert!(rendered.html.contains(part), "{part} in {}", rendered.html);
    }
    let parts = render::parts(text, "faq");
    assert_eq!(parts.len(), 3);
    assert_eq!(parts[1]["text"], "ls \"a\" a b");
    assert_eq!((&parts[1]["id"], &parts[1]["page"]), (&"root-its".into(), &"faq".into()));
}

#[test]
fn pages_name_their_language_and_list_the_others() {
    let body = |path| Doc::find(path).expect("a page").body();
    let english = body("/docs/");
    assert!(english.contains("<html lang=\"en\">") && english.contains("../docs/cometql\""));
    assert!(
        body("/docs/ru/faq").contains("<html lang=\"ru\">") && body("/docs/ru/faq").contains("../../docs/ru/cometql\"")
    );
    // Examples in double braces stay what they are; what the frame has is filled in.
    assert!(english.contains("href=\"../encke.css\"") && !english.contains("{{HEAD}}"));
    let index: serde_json::Value = serde_json::from_str(body("/docs/search.json")).expect("JSON");
    let parts = index.as_array().expect("a list");
    assert!(parts.iter().any(|part| part["page"] == "cometql" && part["id"] == "statements"), "{parts:?}");
    assert!(body("/docs/ru/search.json").contains("\"page\":\"\""));
}
