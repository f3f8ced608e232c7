//! The manual page comet.ini(5), made of the table of keys.

use super::keys::{CONTENT_TYPE, SECTIONS, keys};
use super::{Config, Key, tenants};
use std::fmt::Write;

/// The page as roff, for `man`.
pub fn manual(version: &str) -> String {
    let config = Config::default();
    let mut page = Page(String::new());
    page.request(&format!(r#"TH comet.ini 5 "" "encke {version}" """#));
    page.heading("NAME");
    page.text("comet.ini - configuration of the comet server encke");
    page.heading("DESCRIPTION");
    page.text(
        "Sections with keys, one line each. A line that begins with ; or # is a comment. Behind a value they begin one too, where \
         the value cannot contain them, or with a blank beside them; but passwords and secrets are whole lines. Relative paths \
         begin at the working directory. A change is tried with: encke check-config --conf FILE",
    );
    page.paragraph("The file is --conf, else ./config/comet.ini, else /etc/encke/comet.ini.");
    for (section, about) in SECTIONS {
        page.heading(&format!("[{section}]"));
        page.text(about);
        for key in keys().filter(|key| key.section == section) {
            page.key(key, &config);
        }
        if section == CONTENT_TYPE {
            page.paragraph("Each key is an extension. Without the section:");
            let types: Vec<String> =
                config.content_types.0.iter().map(|(extension, kind)| format!("{extension} = {kind}")).collect();
            page.paragraph(&types.join(", "));
        }
    }
    page.heading("[tenant N]");
    page.text(tenants::ABOUT);
    page.paragraph(&format!("Keys: {}.", tenants::KEYS.map(|(key, _)| key).join(", ")));
    page.heading("SEE ALSO");
    page.text("encke(1)");
    page.0
}

struct Page(String);

impl Page {
    /// A line that is a request to the formatter and not text.
    fn request(&mut self, request: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, ".{request}");
    }

    fn heading(&mut self, words: &str) {
        self.request(&format!("SH {}", plain(words)));
    }

    fn text(&mut self, words: &str) {
        let _ = writeln!(self.0, "{}", plain(words));
    }

    fn paragraph(&mut self, words: &str) {
        self.request("PP");
        self.text(words);
    }

    fn key(&mut self, key: &Key, config: &Config) {
        self.request("TP");
        match key.text(config).filter(|_| !key.is_secret()) {
            Some(default) => self.request(&format!("BR {} \" = {}\"", plain(key.name), quoted(&default))),
            None => self.request(&format!("B {}", plain(key.name))),
        }
        let values = key.values().map(|values| format!(" Values: {values}.")).unwrap_or_default();
        let later = key.without_effect.map(|because| format!(" No effect yet: {because}.")).unwrap_or_default();
        self.text(&format!("{}{values}{later}{}", key.doc, key.when()));
    }
}

/// Words that mean nothing to the formatter.
fn plain(words: &str) -> String {
    let mut text = words.replace('\\', "\\e").replace('-', "\\-");
    // At the beginning of a line these two would make it a request.
    if text.starts_with(['.', '\'']) {
        text.insert_str(0, "\\&");
    }
    text
}

/// The same within quotation marks.
fn quoted(words: &str) -> String {
    plain(words).replace('"', "\\(dq")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_and_key_is_in_the_manual() {
        let page = manual("1.2.3");
        for (section, _) in SECTIONS {
            assert!(page.contains(&format!("\n.SH {}\n", plain(&format!("[{section}]")))), "{section}");
        }
        for key in keys() {
            let name = plain(key.name);
            let found = page.contains(&format!("\n.B {name}\n")) || page.contains(&format!("\n.BR {name} "));
            assert!(found, "{} {}", key.section, key.name);
        }
    }

    #[test]
    fn nothing_in_a_text_is_a_request() {
        assert_eq!(plain(".TH a\\fB -c"), "\\&.TH a\\efB \\-c");
        assert_eq!(plain("'x'"), "\\&'x'");
        assert_eq!(quoted("a \"b\""), "a \\(dqb\\(dq");
    }
}
