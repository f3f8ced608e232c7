//! What the sources say that a constant is. Their text is read, because a maximum is nobody's business outside of its
//! module: a table that the compiler checks would need all of them to be public.

use crate::tidy::source::{Source, Token};
use std::collections::HashMap;
use std::fmt::Write as _;

pub(super) struct Sources {
    all: Vec<Source>,
    /// Where each constant and each field stands: the file and the place among its tokens.
    places: HashMap<String, Vec<(usize, usize)>>,
    /// What `a as b` calls `b`.
    originals: HashMap<String, String>,
}

/// A constant or a field of a default, as the table names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name<'a> {
    /// The file, as far as the name alone could mean several: `pipes`, `owned::pipes`, `tab`.
    pub module: Option<&'a str>,
    pub last: &'a str,
    /// `head.head_bytes_max` is the field of a value that stands in the file.
    pub field: bool,
}

/// In what a number is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    One,
    Bytes,
    Micros,
    Millis,
    Seconds,
}

impl<'a> Name<'a> {
    pub(super) fn read(text: &'a str) -> Self {
        if let Some((module, name)) = text.rsplit_once('.') {
            return Self { module: Some(module), last: name, field: true };
        }
        match text.rsplit_once("::") {
            Some((module, name)) => Self { module: Some(module), last: name, field: false },
            None => Self { module: None, last: text, field: false },
        }
    }
}

impl Sources {
    pub(super) fn new(all: Vec<Source>) -> Self {
        let mut places: HashMap<String, Vec<(usize, usize)>> = HashMap::new();
        let mut originals = HashMap::new();
        for (file, source) in all.iter().enumerate() {
            for (at, three) in source.tokens().windows(3).enumerate() {
                let [before, name, behind] = three else { continue };
                if before.text == "const" || behind.text == ":" {
                    places.entry(name.text.clone()).or_default().push((file, at + 1));
                }
                if name.text == "as" {
                    originals.insert(behind.text.clone(), before.text.clone());
                }
            }
        }
        Self { all, places, originals }
    }

    /// Names of the form `..._MAX`, each with its file and line, but those within `but`.
    pub(super) fn maxima(&self) -> impl Iterator<Item = (&Source, &Token)> {
        self.all.iter().flat_map(|source| {
            let declared = source.tokens().windows(3).filter(|three| three[0].text == "const" && three[2].text == ":");
            declared.map(|three| &three[1]).filter(|name| name.text.ends_with("_MAX")).map(move |name| (source, name))
        })
    }

    /// The one file that declares it.
    pub(super) fn file(&self, name: Name) -> Result<&Source, String> {
        let mut found: Vec<&Source> = self.expressions(name).into_iter().map(|(source, _)| source).collect();
        found.dedup_by_key(|source| &source.path);
        match found[..] {
            [file] => Ok(file),
            [] => Err(format!("no source declares {name:?}")),
            [one, other, ..] => Err(format!("{name:?} may be that of {} or of {}", one.name(), other.name())),
        }
    }

    /// What stands behind the name in each file that it may mean, up to the end of the item or of the field.
    fn expressions(&self, name: Name) -> Vec<(&Source, &[Token])> {
        let places = self.places.get(name.last).map_or(&[][..], Vec::as_slice).iter();
        let sources = places.map(|(file, at)| (&self.all[*file], *at));
        let sources = sources.filter(|(source, _)| name.module.is_none_or(|module| is_module(source, module)));
        sources.filter_map(|(source, at)| Some((source, expression(source.tokens(), at, name.field)?))).collect()
    }

    fn value(&self, name: Name, depth: usize) -> Option<(u64, Unit)> {
        let mut found = self.expressions(name).into_iter();
        found.find_map(|(file, tokens)| Expression { sources: self, file, tokens, at: 0, depth }.whole())
    }

    /// As a reader sees it: `64 KiB`, `30 seconds`, `1,000`.
    pub(super) fn shown(&self, name: Name, unit: Option<&str>) -> Result<String, String> {
        let file = self.file(name)?;
        let (value, unit_of_type) =
            self.value(name, 0).ok_or_else(|| format!("{name:?} of {} is no number", file.name()))?;
        let unit = match unit {
            None if unit_of_type != Unit::One => unit_of_type,
            None if name.last.to_lowercase().contains("bytes") => Unit::Bytes,
            None => Unit::One,
            Some("bytes") => Unit::Bytes,
            Some("us") => Unit::Micros,
            Some("ms") => Unit::Millis,
            Some("s") => Unit::Seconds,
            Some(other) => return Err(format!("{other} is no unit")),
        };
        Ok(shown(value, unit))
    }
}

/// `src/hub/owned/pipes.rs` is `pipes`, `owned::pipes` and so on; `src/run/mod.rs` is `run`.
fn is_module(source: &Source, module: &str) -> bool {
    let path = source.name().replace('/', "::");
    let path = path.trim_end_matches(".rs").trim_end_matches(".ts").trim_end_matches("::mod");
    path == module || path.ends_with(&format!("::{module}"))
}

/// The tokens of the value of the constant or field whose name stands at `at`.
fn expression(tokens: &[Token], at: usize, field: bool) -> Option<&[Token]> {
    let text = |at: usize| tokens.get(at).map_or("", |token: &Token| token.text.as_str());
    let begin = match (field, text(at - 1), text(at + 1)) {
        (true, _, ":") => at + 2,
        // With a type, as in Rust, or without one.
        (false, "const", ":" | "=") => at + 1 + tokens[at..].iter().position(|token| token.text == "=")?,
        _ => return None,
    };
    let ends: &[&str] = if field { &[",", "}"] } else { &[";"] };
    let length = tokens[begin..].iter().position(|token| ends.contains(&token.text.as_str()))?;
    Some(&tokens[begin..begin + length])
}

/// Sums, products and quotients of numbers, constants and durations.
struct Expression<'a> {
    sources: &'a Sources,
    file: &'a Source,
    tokens: &'a [Token],
    at: usize,
    /// Constants that led here.
    depth: usize,
}

impl Expression<'_> {
    fn whole(mut self) -> Option<(u64, Unit)> {
        let value = self.sum()?;
        (self.at == self.tokens.len()).then_some(value)
    }

    fn text(&self) -> &str {
        self.tokens.get(self.at).map_or("", |token| token.text.as_str())
    }

    fn sum(&mut self) -> Option<(u64, Unit)> {
        let (mut value, unit) = self.product()?;
        loop {
            let operator = self.text().to_owned();
            match operator.as_str() {
                "+" | "-" => self.at += 1,
                "<" => self.at += 2,
                _ => return Some((value, unit)),
            }
            let (other, _) = self.product()?;
            value = match operator.as_str() {
                "+" => value.checked_add(other)?,
                "-" => value.checked_sub(other)?,
                _ => value.checked_shl(u32::try_from(other).ok()?)?,
            };
        }
    }

    fn product(&mut self) -> Option<(u64, Unit)> {
        let (mut value, mut unit) = self.factor()?;
        loop {
            match self.text() {
                "*" => {
                    self.at += 1;
                    let (other, other_unit) = self.factor()?;
                    value = value.checked_mul(other)?;
                    unit = if unit == Unit::One { other_unit } else { unit };
                }
                "/" => {
                    self.at += 1;
                    value = value.checked_div(self.factor()?.0)?;
                }
                // A cast changes nothing that is shown.
                "as" => self.at += 2,
                _ => return Some((value, unit)),
            }
        }
    }

    fn factor(&mut self) -> Option<(u64, Unit)> {
        let mut name = self.text().to_owned();
        self.at += 1;
        if let Some(number) = number(&name) {
            return Some((number, Unit::One));
        }
        while self.text() == "::" {
            self.at += 1;
            name = format!("{name}::{}", self.text());
            self.at += 1;
        }
        let unit = match name.as_str() {
            "(" => Unit::One,
            "Duration::from_millis" => Unit::Millis,
            "Duration::from_secs" => Unit::Seconds,
            "Duration::from_mins" => {
                let (minutes, _) = self.factor()?;
                return Some((minutes.checked_mul(60)?, Unit::Seconds));
            }
            _ => return self.named(&name),
        };
        if unit != Unit::One {
            return self.factor().map(|(value, _)| (value, unit));
        }
        let value = self.sum();
        self.at += 1;
        value
    }

    /// Another constant: of this file, of the module that the path names, or of the only file that has one.
    fn named(&self, path: &str) -> Option<(u64, Unit)> {
        let name = Name::read(path);
        let name = Name { last: self.sources.originals.get(name.last).map_or(name.last, String::as_str), ..name };
        let own = self.file.name();
        let own = Name { module: Some(&own.replace('/', "::").replace(".rs", "").replace("::mod", "")), ..name };
        let anywhere = Name { module: None, ..name };
        let name = [own, name, anywhere].into_iter().find(|name| self.sources.file(*name).is_ok())?;
        // The name of a type may be that of a constant, and then it would lead to itself.
        (self.depth < 8).then(|| self.sources.value(name, self.depth + 1))?
    }
}

fn number(text: &str) -> Option<u64> {
    let digits = text.replace('_', "");
    let digits =
        ["usize", "u64", "u32", "u16", "u8"].iter().find_map(|kind| digits.strip_suffix(kind)).unwrap_or(&digits);
    digits.parse().ok()
}

fn shown(value: u64, unit: Unit) -> String {
    let scales: &[(u64, &str)] = match unit {
        Unit::One => &[],
        Unit::Bytes => &[(1 << 30, " GiB"), (1 << 20, " MiB"), (1 << 10, " KiB"), (1, " bytes")],
        Unit::Micros => &[(60_000_000, " min"), (1_000_000, " s"), (1_000, " ms"), (1, " us")],
        Unit::Millis => &[(60_000, " min"), (1_000, " s"), (1, " ms")],
        Unit::Seconds => &[(3_600, " h"), (60, " min"), (1, " s")],
    };
    let scale = scales.iter().find(|(size, _)| value >= *size && value.is_multiple_of(*size));
    scale.map_or_else(|| with_commas(value), |(size, name)| format!("{}{name}", with_commas(value / size)))
}

fn with_commas(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        let _ = text.write_char(digit);
    }
    text
}

#[test]
fn constants_are_read_as_the_compiler_does() {
    let sources = Sources::new(vec![
        Source::of(
            "src/a.rs",
            "const A_BYTES: usize = 64 * 1024; const N: u64 = 2 * crate::b::M - 1_000; use c::X as Y;",
        ),
        Source::of(
            "src/b.rs",
            "pub const M: u64 = (1 << 4) * 100; const W: Duration = Duration::from_mins(2); const Z: u8 = Y / 4;",
        ),
        Source::of(
            "src/c/mod.rs",
            "const X: u8 = 8; const N: u8 = 1; const P: P = P { rows: 50 + 2, bytes: X as u64 }; use X as Y;",
        ),
        Source::of("web/d.ts", "const Q_MS = 1_500;"),
    ]);
    let check = |text: &str, unit, expected: &str| {
        assert_eq!(sources.shown(Name::read(text), unit).as_deref(), Ok(expected), "{text}");
    };
    check("A_BYTES", None, "64 KiB");
    check("a::N", None, "2,200");
    check("c::N", None, "1");
    check("W", None, "2 min");
    check("c.rows", None, "52");
    check("c.bytes", None, "8 bytes");
    check("d::Q_MS", Some("ms"), "1,500 ms");
    let refused = |text: &str| sources.shown(Name::read(text), None).expect_err(text);
    assert!(refused("N").contains("may be that of"), "two files have it");
    assert!(refused("GONE").contains("no source declares"));
    assert!(refused("c::P").contains("is no number"));
    assert_eq!(sources.maxima().count(), 0);
}
