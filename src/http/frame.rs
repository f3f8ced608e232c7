//! What the pages of this server have in common: the links at their head and the line at their foot; and what the server
//! fills into them.
//!
//! In a page `{{HEAD}}` stands for its style and icon, `{{BAR}}` for the links, `{{FOOT}}` for the last line, `{{ROOT}}`
//! for the way to the start page (`../` for each level), `{{VERSION}}`, and what [`Site`] says in names of its own.
//! All links are relative, so that the pages work behind a prefix.

/// What the plain answers say of this server.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// The body of `/`, from [`super::start_page`].
    pub start_page: &'a str,
    pub cometql_port: u16,
    /// Where the CometQL password stands, for whoever is in the server's folder; empty if that is not for every page to know.
    pub password_file: &'a str,
    pub node_name: &'a str,
    /// Where `CometQL` listens; empty if that is on every address.
    pub cometql_host: &'a str,
    /// Who may sign in by HTTP: the word of `cometql` in `[ws]`.
    pub sign_in: &'a str,
}

/// Path below the root and what the link is called.
const LINKS: [(&str, &str); 5] =
    [("", "Start"), ("dashboard", "Dashboard"), ("console", "SQL console"), ("demo/", "Demos"), ("docs/", "Docs")];

/// More levels than a path of a page has; beyond, links lead nowhere, but no answer grows with its request.
const DEPTH_MAX: usize = 32;

/// The page with all that it leaves open; `path` is where it stands.
pub(super) fn filled(page: &str, path: &str, site: &Site<'_>) -> String {
    framed(page, path)
        .replace("{{COMETQL_PORT}}", &site.cometql_port.to_string())
        .replace("{{COMETQL_HOST}}", &escaped(site.cometql_host))
        .replace("{{PASSWORD_FILE}}", &escaped(site.password_file))
        .replace("{{NODE}}", &escaped(site.node_name))
        .replace("{{SIGN_IN}}", site.sign_in)
}

/// The same for a page that says nothing of this server in particular.
pub(super) fn framed(page: &str, path: &str) -> String {
    let root = "../".repeat(path.matches('/').count().saturating_sub(1).min(DEPTH_MAX));
    page.replace("{{HEAD}}", HEAD)
        .replace("{{BAR}}", &bar(path))
        .replace("{{FOOT}}", FOOT)
        .replace("{{VERSION}}", env!("CARGO_PKG_VERSION"))
        .replace("{{ROOT}}", &root)
}

/// The page that tells of nothing being there, so many levels below the root.
pub(super) fn not_found(depth: usize, site: &Site<'_>) -> String {
    filled(NOT_FOUND, &format!("{}-", "/".repeat(depth.saturating_add(1))), site)
}

/// A text as a part of a page, or of a value in quotes.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn bar(path: &str) -> String {
    let link = |(place, name): &(&str, &str)| {
        let is_here = match *place {
            "" => path == "/",
            place => path
                .strip_prefix('/')
                .is_some_and(|path| path == place || place.ends_with('/') && path.starts_with(place)),
        };
        let here = if is_here { " aria-current=\"page\"" } else { "" };
        let place = if place.is_empty() { "./" } else { place };
        format!("<a href=\"{{{{ROOT}}}}{place}\"{here}>{name}</a>")
    };
    let links: String = LINKS.iter().map(link).collect();
    format!(
        "<header class=\"bar\"><a class=\"brand\" href=\"{{{{ROOT}}}}./\"><img src=\"{{{{ROOT}}}}favicon.ico\" alt=\"\" width=\"32\" \
         height=\"32\">Encke</a><nav aria-label=\"Pages\">{links}</nav></header>"
    )
}

const HEAD: &str = "<meta charset=\"utf-8\">\n\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
    <meta name=\"color-scheme\" content=\"light dark\">\n\
    <meta name=\"robots\" content=\"noindex\">\n\
    <link rel=\"icon\" type=\"image/svg+xml\" href=\"{{ROOT}}favicon.ico\">\n\
    <link rel=\"stylesheet\" href=\"{{ROOT}}encke.css\">";

const FOOT: &str = "<footer class=\"foot\"><span>Encke {{VERSION}}</span> <a href=\"{{ROOT}}docs/\">Docs</a> \
    <a href=\"{{ROOT}}health\">Health</a></footer>";

const NOT_FOUND: &str = "<!doctype html>\n<html lang=\"en\">\n<head>\n{{HEAD}}\n<title>Not found - Encke</title>\n</head>\n\
    <body class=\"lost\">\n<div class=\"wrap\">\n{{BAR}}\n<main>\n<h1>Not found</h1>\n\
    <p class=\"intro\">This Encke server has nothing at this address.</p>\n\
    <p>Files of your own are served from the folder that <code>base_dir</code> in <code>comet.ini</code> names, those \
    with an extension that <code>[content-type]</code> lists. <a href=\"{{ROOT}}docs/operating\">More in the docs</a></p>\n\
    </main>\n{{FOOT}}\n</div>\n</body>\n</html>\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_relative_and_one_is_here() {
        let page = framed("{{HEAD}}{{BAR}}{{FOOT}}", "/demo/chat");
        assert!(page.contains("href=\"../encke.css\"") && page.contains("href=\"../docs/\">"), "{page}");
        assert!(page.contains("href=\"../demo/\" aria-current=\"page\">Demos"), "{page}");
        assert_eq!(page.matches("aria-current").count(), 1);
        assert!(!page.contains("{{"), "{page}");
        for (path, current) in [("/dashboard", "Dashboard"), ("/docs/ru/faq", "Docs"), ("/", "Start")] {
            assert!(framed("{{BAR}}", path).contains(&format!("aria-current=\"page\">{current}")), "{path}");
        }
        assert!(!framed("{{BAR}}", "/-").contains("aria-current"), "what is not found is none of the pages");
    }

    #[test]
    fn a_page_grows_with_no_address() {
        assert_eq!(framed("{{ROOT}}", &"/".repeat(10_000)).len(), 3 * DEPTH_MAX);
        assert_eq!(escaped("<a \"b\"&>"), "&lt;a &quot;b&quot;&amp;&gt;");
    }
}
