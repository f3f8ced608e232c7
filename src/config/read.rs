//! Sections to a checked [`Config`]: what the names mean, whether the values are possible, what to say if not.

use crate::model::{Network, TokenAlgorithm};

use super::key::{Field, Key};
use super::keys::{CONTENT_TYPE, SECTIONS, TOKEN_ALGORITHMS, keys, level_word};
use super::problem::{Nearest, Problem, ProblemKind, Severity, shown};
use super::values::{self, Mark, ValueError};
use super::{
    ByHttp, CONTENT_TYPES_MAX, Config, ContentTypes, HOSTS_MAX, Log, PROXIES_MAX, TENANTS_MAX, Tenant, ignored, ini,
    tenants,
};
use std::collections::HashMap;

/// More problems than this help nobody.
const PROBLEMS_MAX: usize = 100;
/// A password of fewer characters is told to be weak. CppComet's documentation asks for 64.
const PASSWORD_CHARS_MIN: usize = 16;

/// The text of a `comet.ini` as a configuration, and everything there is to say about it, by line.
///
/// Keys that are missing or wrong keep their defaults, so that one pass finds all problems; a caller must not start a
/// server while one of them is a [`Severity::Error`]. At most 101 problems are returned.
pub fn parse(text: &str) -> (Config, Vec<Problem>) {
    let Read { config, problems, .. } = read(text);
    (config, problems)
}

/// The same, and where each key stands.
pub fn read(text: &str) -> Read {
    let (sections, problems) = ini::parse(text);
    let mut reader = Reader { config: Config::default(), problems, seen: HashMap::new(), tenants: Vec::new() };
    for section in &sections {
        reader.section(section);
    }
    reader.relations();
    reader.finish()
}

/// What a text says.
#[derive(Clone, Debug, Default)]
pub struct Read {
    pub config: Config,
    pub problems: Vec<Problem>,
    pub places: Places,
}

/// In which line each key was given last.
#[derive(Clone, Debug, Default)]
pub struct Places(HashMap<(Box<str>, Box<str>), u32>);

impl Places {
    pub fn line(&self, section: &str, key: &str) -> Option<u32> {
        self.0.get(&(section.into(), key.into())).copied()
    }
}

/// What `[log] level` says with this value.
pub fn log_level(text: &str) -> Result<Log, ValueError> {
    let mut reader =
        Reader { config: Config::default(), problems: Vec::new(), seen: HashMap::new(), tenants: Vec::new() };
    let written = ini::Entry { key: "level", value: text.trim(), item: false, line: 0 };
    if let Some(key) = keys().find(|key| (key.section, key.name) == ("log", "level")) {
        reader.set(key, &written, false)?;
    } else {
        never!("the log has a level");
    }
    Ok(reader.config.log)
}

struct Reader<'a> {
    config: Config,
    problems: Vec<Problem>,
    /// Line of each key that was given: section, key.
    seen: HashMap<(&'a str, &'a str), u32>,
    /// Tenants with a section, and its line.
    tenants: Vec<(u32, u32)>,
}

impl<'a> Reader<'a> {
    fn section(&mut self, section: &ini::Section<'a>) {
        if section.name == CONTENT_TYPE {
            return self.content_types(section);
        }
        if let Some((name, _)) = SECTIONS.iter().find(|(name, _)| *name == section.name) {
            return section.entries.iter().for_each(|entry| self.entry(name, entry));
        }
        if let Some(number) = tenants::number(section.name) {
            return self.tenant(section, number);
        }
        let kind = match ignored::section(section.name) {
            Some(ignored) => ProblemKind::Ignored {
                name: format!("[{}]", ignored.section),
                because: ignored.because,
                severity: ignored.severity,
            },
            None => ProblemKind::UnknownSection {
                name: shown(section.name),
                nearest: nearest(section.name, SECTIONS.iter().map(|(name, _)| *name)),
            },
        };
        self.say(section.line, kind);
    }

    fn entry(&mut self, section: &'static str, entry: &ini::Entry<'a>) {
        let old_list = if entry.item { ignored::list(section, entry.key) } else { None };
        if old_list.is_none()
            && let Some(key) = keys().find(|key| key.section == section && key.name == entry.key)
        {
            return self.known(key, entry);
        }
        let kind = match old_list.or_else(|| ignored::key(section, entry.key)) {
            Some(ignored) => ProblemKind::Ignored {
                name: format!("{} in [{section}]", shown(entry.key)),
                because: ignored.because,
                severity: ignored.severity,
            },
            None => {
                ProblemKind::UnknownKey { section, key: shown(entry.key), nearest: nearest_key(section, entry.key) }
            }
        };
        self.say(entry.line, kind);
    }

    fn known(&mut self, key: &'static Key, written: &ini::Entry<'a>) {
        let is_text = matches!(key.field, Field::Text { .. });
        let value = match key.field {
            Field::Text { secret: true, .. } => written.value,
            Field::Text { .. } => values::before_comment(written.value),
            _ => values::before_mark(written.value),
        };
        let entry = &ini::Entry { value, ..*written };
        if entry.value.is_empty() && !entry.item {
            return self.say(entry.line, ProblemKind::Empty { key: key.name.to_owned() });
        }
        let first_line = self.seen.insert((key.section, key.name), entry.line);
        let continues = entry.item && key.is_list();
        if let Some(first_line) = first_line.filter(|_| !continues) {
            self.say(entry.line, ProblemKind::Repeated { key: key.name.to_owned(), first_line });
        }
        if let Err(error) = self.set(key, entry, first_line.is_some()) {
            let shown = (!key.is_secret()).then(|| shown(entry.value));
            return self.say(entry.line, ProblemKind::BadValue { key: key.name.to_owned(), shown, error });
        }
        if let Some(because) = key.without_effect {
            self.say(entry.line, ProblemKind::WithoutEffect { key: key.name, because });
        }
        if is_text {
            self.comment_in_value(key.name, written, value);
        }
        if (key.section, key.name) == ("main", "password") && entry.value.chars().count() < PASSWORD_CHARS_MIN {
            self.say(entry.line, ProblemKind::ShortPassword { chars_min: PASSWORD_CHARS_MIN });
        }
    }

    /// `again`: the key was given before, so an item of a list continues it.
    fn set(&mut self, key: &Key, entry: &ini::Entry<'a>, again: bool) -> Result<(), ValueError> {
        let text = entry.value;
        if entry.item && !key.is_list() {
            return Err(ValueError::NotAList);
        }
        match &key.field {
            Field::Number { min, max, set, .. } => set(&mut self.config, values::number(text, *min, *max)?),
            Field::Switch { set, .. } => set(&mut self.config, values::boolean(text)?),
            Field::Address { set, .. } => set(&mut self.config, values::address(text)?),
            Field::Word { words, set, .. } => set(&mut self.config, values::word(text, words)?),
            Field::Level { words, parts, set, set_part, .. } => {
                for item in text.split(',').map(str::trim) {
                    if let Some((part, word)) = item.split_once('=') {
                        let part = values::word(part.trim_end(), parts)?;
                        set_part(&mut self.config, part, values::word(word.trim_start(), words)?);
                    } else if let Ok(number) = values::number(item, 0, u64::MAX) {
                        let word = level_word(number);
                        set(&mut self.config, word);
                        self.say(entry.line, ProblemKind::LogLevel { number, word });
                    } else {
                        set(&mut self.config, values::word(item, words)?);
                    }
                }
            }
            Field::Text { bytes_max, set, .. } => set(&mut self.config, values::line_of_text(text, *bytes_max)?),
            Field::Hosts { get, set } => {
                let before = if entry.item && again { get(&self.config).to_vec() } else { Vec::new() };
                let all_hosts = entry.item && again && before.is_empty();
                let hosts = hosts(before, text)?;
                set(&mut self.config, if all_hosts { Vec::new() } else { hosts });
            }
            Field::Networks { get, set } => {
                let before = if entry.item && again { get(&self.config).to_vec() } else { Vec::new() };
                set(&mut self.config, networks(before, text)?);
            }
        }
        Ok(())
    }

    /// `[tenant N]`. Several sections of one tenant are one.
    fn tenant(&mut self, section: &ini::Section<'a>, number: Result<u32, ()>) {
        let known = &mut self.config.tenants.0;
        let room = known.len() < TENANTS_MAX;
        let error = match number {
            Err(()) => Some(ValueError::OutOfRange { min: 1, max: i32::MAX as u64 - 1 }),
            Ok(number) if !room && !known.contains_key(&number) => Some(ValueError::TooMany { max: TENANTS_MAX }),
            Ok(_) => None,
        };
        let number = match (number, error) {
            (Ok(number), None) => number,
            (_, error) => {
                let error = error.unwrap_or(ValueError::TooMany { max: TENANTS_MAX });
                let key = "the number of a tenant's section".to_owned();
                return self.say(section.line, ProblemKind::BadValue { key, shown: Some(shown(section.name)), error });
            }
        };
        known.entry(number).or_default();
        self.tenants.push((number, section.line));
        for entry in &section.entries {
            self.tenant_entry(number, section.name, entry);
        }
    }

    fn tenant_entry(&mut self, number: u32, section: &'a str, written: &ini::Entry<'a>) {
        let value = match written.key {
            key if tenants::SECRETS.contains(&key) => written.value,
            tenants::ALGORITHM => values::before_mark(written.value),
            _ => values::before_comment(written.value),
        };
        let entry = &ini::Entry { value, ..*written };
        let Some((name, field)) = tenants::KEYS.into_iter().find(|(name, _)| *name == entry.key) else {
            let nearest = nearest(entry.key, tenants::KEYS.into_iter().map(|(name, _)| name));
            let nearest = nearest.map(|key| Nearest { section: "tenant N", key });
            return self
                .say(entry.line, ProblemKind::UnknownKey { section: "tenant N", key: shown(entry.key), nearest });
        };
        if entry.value.is_empty() && !entry.item {
            return self.say(entry.line, ProblemKind::Empty { key: name.to_owned() });
        }
        if let Some(first_line) = self.seen.insert((section, entry.key), entry.line) {
            self.say(entry.line, ProblemKind::Repeated { key: name.to_owned(), first_line });
        }
        let text = if entry.item {
            Err(ValueError::NotAList)
        } else {
            values::line_of_text(entry.value, tenants::SECRET_BYTES_MAX).and_then(|text| {
                let fits = name != tenants::ALGORITHM || TOKEN_ALGORITHMS.contains(&text);
                if fits { Ok(text) } else { Err(ValueError::NotAWord(TOKEN_ALGORITHMS)) }
            })
        };
        match text {
            Ok(text) => {
                if let Some(tenant) = self.config.tenants.0.get_mut(&number) {
                    *field(tenant) = Some(text.to_owned());
                }
            }
            Err(error) => {
                return self.say(entry.line, ProblemKind::BadValue { key: name.to_owned(), shown: None, error });
            }
        }
        if name != tenants::ALGORITHM {
            self.comment_in_value(name, written, value);
        }
        if tenants::SECRETS.contains(&name) && entry.value.chars().count() < PASSWORD_CHARS_MIN {
            self.say(entry.line, ProblemKind::ShortPassword { chars_min: PASSWORD_CHARS_MIN });
        }
    }

    /// What there is to say of a text that was read as this value.
    fn comment_in_value(&mut self, key: &str, written: &ini::Entry<'a>, value: &str) {
        let key = key.to_owned();
        if value.len() < written.value.len() {
            return self.say(written.line, ProblemKind::CommentCut { key });
        }
        let Some(mark) = values::mark(value) else { return };
        self.say(written.line, ProblemKind::MarkInValue { key, like_comment: mark == Mark::LikeComment });
    }

    /// The section replaces the built-in list the first time it appears; later ones add to it.
    fn content_types(&mut self, section: &ini::Section<'a>) {
        if self.seen.insert((CONTENT_TYPE, ""), section.line).is_none() {
            self.config.content_types = ContentTypes(std::collections::BTreeMap::new());
        }
        for entry in &section.entries {
            let written = entry;
            let entry = &ini::Entry { value: values::before_mark(written.value), ..*written };
            if entry.value.is_empty() && !entry.item {
                self.say(entry.line, ProblemKind::Empty { key: shown(entry.key) });
                continue;
            }
            if let Some(first_line) = self.seen.insert((CONTENT_TYPE, entry.key), entry.line) {
                self.say(entry.line, ProblemKind::Repeated { key: shown(entry.key), first_line });
            }
            // What was cut off may be the character set of a media type; the server always sends its own.
            if entry.value.len() < written.value.len() {
                self.say(entry.line, ProblemKind::CommentCut { key: shown(entry.key) });
            }
            if let Err(error) = self.content_type(entry) {
                let kind = ProblemKind::BadValue { key: shown(entry.key), shown: Some(shown(entry.value)), error };
                self.say(entry.line, kind);
            }
        }
    }

    fn content_type(&mut self, entry: &ini::Entry<'a>) -> Result<(), ValueError> {
        if entry.item {
            return Err(ValueError::NotAList);
        }
        let extension = values::extension(entry.key)?;
        let content_type = values::content_type(entry.value)?;
        let known = &mut self.config.content_types.0;
        if known.len() >= CONTENT_TYPES_MAX && !known.contains_key(extension) {
            return Err(ValueError::TooMany { max: CONTENT_TYPES_MAX });
        }
        known.insert(extension.to_owned(), content_type.to_owned());
        Ok(())
    }

    /// Values that are possible one by one, but not together.
    fn relations(&mut self) {
        let (ws, cometql) = (&self.config.ws, &self.config.cometql);
        let mut found = Vec::new();
        let shares_address = ws.ip == cometql.ip || ws.ip.is_unspecified() || cometql.ip.is_unspecified();
        if ws.port == cometql.port && ws.port != 0 && shares_address {
            found.push((self.line_of(&[("ws", "port"), ("cometql", "port")]), ProblemKind::SamePort { port: ws.port }));
        }
        if cometql.packet_bytes_max < cometql.query_bytes_max {
            found.push((
                self.line_of(&[("cometql", "packet_bytes_max"), ("cometql", "query_bytes_max")]),
                ProblemKind::Smaller {
                    smaller: "packet_bytes_max",
                    larger: "query_bytes_max, so longer statements end their session",
                    severity: Severity::Error,
                },
            ));
        }
        if cometql.result_bytes_max < cometql.query_bytes_max {
            found.push((
                self.line_of(&[("cometql", "result_bytes_max"), ("cometql", "query_bytes_max")]),
                ProblemKind::Smaller {
                    smaller: "result_bytes_max",
                    larger: "query_bytes_max, so a row of users_data can be stored that cannot be read",
                    severity: Severity::Warning,
                },
            ));
        }
        let alone = match (&cometql.tls_cert, &cometql.tls_key) {
            (Some(_), None) => Some(("tls_cert", "tls_key")),
            (None, Some(_)) => Some(("tls_key", "tls_cert")),
            _ => None,
        };
        if let Some((given, missing)) = alone {
            found.push((self.line_of(&[("cometql", given)]), ProblemKind::Alone { given, missing }));
        }
        if ws.metrics == ByHttp::On && ws.metrics_token.is_none() {
            let line = self.line_of(&[("ws", "metrics")]);
            found.push((line, ProblemKind::Alone { given: "metrics = on", missing: "metrics_token" }));
        }
        let jwt = &self.config.jwt;
        let is_shared_secret = jwt.algorithm == TokenAlgorithm::Hs256;
        for (is_wrong, given, missing) in [
            (!is_shared_secret && jwt.public_key.is_none(), "algorithm", "public_key"),
            (!is_shared_secret && jwt.secret.is_some(), "secret", "algorithm = HS256"),
            (is_shared_secret && jwt.public_key.is_some(), "public_key", "algorithm = RS256, ES256 or EdDSA"),
        ] {
            if is_wrong {
                found.push((self.line_of(&[("jwt", given)]), ProblemKind::Alone { given, missing }));
            }
        }
        let given = ["password", "socket"].into_iter().find(|key| self.seen.contains_key(&("db", *key)));
        if let (Some(given), None) = (given, &self.config.db.name) {
            found.push((self.line_of(&[("db", given)]), ProblemKind::Alone { given, missing: "name" }));
        }
        let by_address = [
            ("connections_per_address_max", ws.connections_per_address_max),
            ("connects_per_address_per_s", ws.connects_per_address_per_s),
            ("publications_per_user_per_s", ws.publications_per_user_per_s),
        ];
        let limited = by_address.into_iter().find(|(_, limit)| *limit > 0);
        if let Some((key, _)) = limited.filter(|_| ws.ip.is_loopback() && ws.trusted_proxies.is_empty()) {
            found.push((self.line_of(&[("ws", key)]), ProblemKind::OneAddress { key }));
        }
        if ws.queue_bytes_max < cometql.query_bytes_max {
            found.push((
                self.line_of(&[("ws", "queue_bytes_max"), ("cometql", "query_bytes_max")]),
                ProblemKind::Smaller {
                    smaller: "queue_bytes_max in [ws]",
                    larger: "query_bytes_max in [cometql], so one large publication can close its subscribers",
                    severity: Severity::Warning,
                },
            ));
        }
        for (line, kind) in found {
            self.say(line, kind);
        }
        let tenants = u64::from(self.config.main.dev_index_size);
        for (number, line) in std::mem::take(&mut self.tenants) {
            if u64::from(number) >= tenants {
                let error = ValueError::OutOfRange { min: 1, max: tenants.saturating_sub(1) };
                let key = "the number of a tenant's section".to_owned();
                self.say(line, ProblemKind::BadValue { key, shown: Some(number.to_string()), error });
            }
            if let Some((given, missing)) = self.config.tenants.0.get(&number).and_then(Tenant::contradiction) {
                self.say(line, ProblemKind::Alone { given, missing });
            }
        }
    }

    /// Where the last of these keys was given.
    fn line_of(&self, keys: &[(&str, &str)]) -> u32 {
        keys.iter().filter_map(|key| self.seen.get(key)).copied().max().unwrap_or(0)
    }

    fn say(&mut self, line: u32, kind: ProblemKind) {
        self.problems.push(Problem { line, kind });
    }

    /// By line; when there are too many, errors before the rest, since they are what must be mended first.
    fn finish(mut self) -> Read {
        if self.problems.len() > PROBLEMS_MAX {
            self.problems.sort_by_key(|problem| (std::cmp::Reverse(problem.severity()), problem.line));
            self.problems.truncate(PROBLEMS_MAX);
            self.problems.push(Problem { line: 0, kind: ProblemKind::More });
        }
        self.problems.sort_by_key(|problem| (problem.line == 0, problem.line));
        let places = self.seen.into_iter().map(|((section, key), line)| ((section.into(), key.into()), line));
        Read { config: self.config, problems: self.problems, places: Places(places.collect()) }
    }
}

/// `before` and the hosts of `text`; empty, which admits everything, as soon as one of them is `*`.
fn hosts(mut before: Vec<String>, text: &str) -> Result<Vec<String>, ValueError> {
    let mut every = false;
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        match values::host(part)? {
            Some(host) if before.contains(&host) => {}
            Some(_) if before.len() >= HOSTS_MAX => return Err(ValueError::TooMany { max: HOSTS_MAX }),
            Some(host) => before.push(host),
            None => every = true,
        }
    }
    if before.is_empty() && !every {
        return Err(ValueError::BadHost);
    }
    Ok(if every { Vec::new() } else { before })
}

/// `before` and the addresses and ranges of `text`.
fn networks(mut before: Vec<Network>, text: &str) -> Result<Vec<Network>, ValueError> {
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let network = Network::parse(part).ok_or(ValueError::BadNetwork)?;
        if !before.contains(&network) {
            before.push(network);
        }
    }
    if before.len() > PROXIES_MAX {
        return Err(ValueError::TooMany { max: PROXIES_MAX });
    }
    Ok(before)
}

/// A key of the same section with a similar name; else the same name, or a similar one, in another section.
fn nearest_key(section: &'static str, name: &str) -> Option<Nearest> {
    let here = nearest(name, keys().filter(|key| key.section == section).map(|key| key.name));
    if let Some(key) = here {
        return Some(Nearest { section, key });
    }
    let elsewhere = nearest(name, keys().map(|key| key.name))?;
    keys().find(|key| key.name == elsewhere).map(|key| Nearest { section: key.section, key: key.name })
}

/// The name with the fewest changed letters, if half of them at most changed and never more than three.
fn nearest(name: &str, names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    names
        .map(|known| (distance(&name, known), known))
        .filter(|(distance, known)| *distance <= (known.len() / 2).min(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// Letters inserted, removed or replaced between two names; names too long to be a misspelling are infinitely far.
fn distance(left: &str, right: &str) -> usize {
    const BYTES_MAX: usize = 64;
    if left.len() > BYTES_MAX || right.len() > BYTES_MAX {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, a) in left.bytes().enumerate() {
        let mut diagonal = index;
        let mut left_of = index + 1;
        for (b, cell) in right.bytes().zip(row.iter_mut().skip(1)) {
            let here = (diagonal + usize::from(a != b)).min(*cell + 1).min(left_of + 1);
            diagonal = *cell;
            *cell = here;
            left_of = here;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}
