//! A configuration as text: the commented file that is shipped, and any [`Config`] written out.

use super::keys::{CONTENT_TYPE, SECTIONS, keys};
use super::{Config, Key, tenants};
use std::fmt::Write;

/// `config/comet.ini` as it is shipped: every key with its meaning and its default.
pub fn sample() -> String {
    let config = Config::default();
    let mut text = String::new();
    comments(
        &mut text,
        "Configuration of Encke. A line that begins with ; or # is a comment. Behind a value they begin one too, where \
         the value cannot contain them, or with a blank beside them; but passwords and secrets are whole lines, and may \
         contain both. The keys below that are commented out show their defaults. Paths are relative to \
         the working directory. Try a change with encke check-config --conf FILE, and have the running server take it with encke reload; a key \
         says so if it has to be restarted for that.",
    );
    for (section, about) in SECTIONS {
        text.push('\n');
        comments(&mut text, about);
        line(&mut text, format_args!("[{section}]"));
        for key in keys().filter(|key| key.section == section) {
            text.push('\n');
            documented(&mut text, key, &config);
        }
        if section == CONTENT_TYPE {
            content_types(&mut text, &config);
        }
    }
    text.push('\n');
    comments(&mut text, tenants::ABOUT);
    line(&mut text, format_args!(";[tenant 1]"));
    for (key, _) in tenants::KEYS {
        line(&mut text, format_args!(";{key} ="));
    }
    text
}

/// A configuration as a file that [`super::parse`] reads back unchanged, the passwords included.
pub fn to_text(config: &Config) -> String {
    let mut text = String::new();
    for (section, _) in SECTIONS {
        line(&mut text, format_args!("[{section}]"));
        for key in keys().filter(|key| key.section == section) {
            if let Some(value) = key.text(config) {
                line(&mut text, format_args!("{} = {value}", key.name));
            }
        }
        if section == CONTENT_TYPE {
            content_types(&mut text, config);
        }
    }
    for (number, tenant) in &config.tenants.0 {
        line(&mut text, format_args!("[tenant {number}]"));
        let mut tenant = tenant.clone();
        for (key, field) in tenants::KEYS {
            if let Some(value) = field(&mut tenant) {
                line(&mut text, format_args!("{key} = {value}"));
            }
        }
    }
    text
}

fn documented(text: &mut String, key: &Key, config: &Config) {
    let later = key.without_effect.map(|because| format!(" No effect yet: {because}.")).unwrap_or_default();
    let values = key.values().map(|values| format!(" Values: {values}.")).unwrap_or_default();
    comments(text, &format!("{}{values}{later}{}", key.doc, key.when()));
    let value = key.text(config);
    let mark = if key.shipped && value.is_some() { "" } else { ";" };
    let value = value.unwrap_or_default();
    line(text, format_args!("{}", format!("{mark}{} = {value}", key.name).trim_end()));
}

fn content_types(text: &mut String, config: &Config) {
    for (extension, content_type) in &config.content_types.0 {
        line(text, format_args!("{extension} = {content_type}"));
    }
}

/// Words as comment lines of bounded length.
fn comments(text: &mut String, words: &str) {
    let mut row = String::from(";");
    for word in words.split_whitespace() {
        if row.len() + 1 + word.len() > COLUMNS_MAX {
            line(text, format_args!("{row}"));
            row.truncate(1);
        }
        row.push(' ');
        row.push_str(word);
    }
    line(text, format_args!("{row}"));
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{words}");
}

/// Comments of the sample file are no wider than this.
const COLUMNS_MAX: usize = 100;
