//! `encke import`: between a MySQL database and the data folder, with its progress on standard error.

use super::banner;
use super::conf::{self, Loaded};
use encke::config::Severity;
use encke::run::import::{self, Database, Direction, Progress};
use encke::run::log::say;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::path::Path;

/// Where the password may be instead of in the URL, which others on the machine can read.
const PASSWORD_VARIABLE: &str = "MYSQL_PWD";

/// An error is one sentence without its end.
pub(crate) fn run(loaded: &Loaded, from: Option<&str>, to: Option<&str>) -> Result<(), String> {
    let (place, direction) = match (from, to) {
        (Some(place), _) => (place, Direction::In),
        (None, Some(place)) => (place, Direction::Out),
        (None, None) => return Err("say --from or --to".to_owned()),
    };
    let database = database(place)?;
    let mut storage = loaded.config.storage.clone();
    storage.dir = banner::plain(&storage.dir).to_owned();
    let folder = storage.dir.display().to_string();
    match direction {
        Direction::In => say(&format!("from {database} into {folder}\n")),
        Direction::Out => say(&format!("from {folder} into {database}\n")),
    }
    let mut display = Display::new();
    let result = import::import(&storage, &database, direction, &mut |progress| display.show(progress));
    display.bar.finish_and_clear();
    let sum = |of: fn(&Progress) -> u64| display.tables.iter().map(of).sum::<u64>();
    result.map_err(|error| error.to_string())?;
    let left_out = not_copied(sum(|table| table.left_out), sum(|table| table.taken));
    say(&format!("{} rows copied{left_out}\n", sum(copied)));
    Ok(())
}

/// A URL, or a `comet.ini` whose `[db]` says it.
fn database(place: &str) -> Result<Database, String> {
    let mut database = if place.contains("://") {
        // The text may hold a password, so it is not repeated.
        let form = "mysql://USER:PASSWORD@HOST:PORT/DATABASE";
        import::database_of_url(place)
            .ok_or_else(|| format!("the database must be given as {form}, or by a comet.ini"))?
    } else {
        let loaded = conf::load(Some(Path::new(place))).map_err(|error| error.to_string())?;
        let named = import::database(&loaded.config);
        if loaded.count(Severity::Error) > 0 {
            return Err(format!("{place} has errors; try: encke check-config --conf {place}"));
        }
        named.ok_or_else(|| format!("{place} names no database in [db]"))?
    };
    if database.password.is_none() {
        database.password = std::env::var(PASSWORD_VARIABLE).ok();
    }
    Ok(database)
}

/// A bar on a terminal, a line per table in either case.
struct Display {
    bar: ProgressBar,
    /// The tables that are done.
    tables: Vec<Progress>,
}

impl Display {
    fn new() -> Self {
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
        } else {
            ProgressBar::hidden()
        };
        if let Ok(style) = ProgressStyle::with_template("{prefix:<15} {wide_bar} {pos}/{len} {eta}") {
            bar.set_style(style);
        }
        Self { bar, tables: Vec::new() }
    }

    fn show(&mut self, progress: Progress) {
        let Progress { table, rows, of, left_out, taken, done } = progress;
        self.bar.set_prefix(table);
        self.bar.set_length(of.max(rows));
        self.bar.set_position(rows);
        if done {
            self.tables.push(progress);
            let line = format!("  {table:<15} {} rows{}\n", copied(&progress), not_copied(left_out, taken));
            // The bar moves on below it; a hidden bar prints nothing itself.
            self.bar.suspend(|| say(&line));
        }
    }
}

fn copied(progress: &Progress) -> u64 {
    progress.rows - progress.left_out - progress.taken
}

fn not_copied(left_out: u64, taken: u64) -> String {
    let whys = [(left_out, "not what a server can use"), (taken, "there the name is the same as one in other letters")];
    let words = whys.iter().filter(|(rows, _)| *rows > 0).map(|(rows, why)| format!(", {rows} left out: {why}"));
    words.collect()
}
