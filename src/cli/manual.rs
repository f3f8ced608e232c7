//! What packages take from the program: manual pages and completions, made of the command line's own definition.

use super::args::Args;
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use encke::config;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// Writes all pages into a folder, `encke.1`, one for each command and `comet.ini.5`; or prints that of the program.
pub(crate) fn pages(into: Option<&Path>, out: &mut dyn Write) -> io::Result<()> {
    let mut command = Args::command().disable_help_subcommand(true);
    command.build();
    let Some(folder) = into else { return page(&command, out) };
    fs::create_dir_all(folder)?;
    written(&command, folder)?;
    fs::write(folder.join("comet.ini.5"), config::manual(env!("CARGO_PKG_VERSION")))
}

/// The page of a command, and those of the commands below it.
fn written(command: &Command, folder: &Path) -> io::Result<()> {
    let mut text = Vec::new();
    page(command, &mut text)?;
    fs::write(folder.join(format!("{}.1", full_name(command))), text)?;
    command.get_subcommands().filter(|command| !command.is_hide_set()).try_for_each(|command| written(command, folder))
}

/// Without a date, so that two builds make the same page.
fn page(command: &Command, out: &mut dyn Write) -> io::Result<()> {
    let man = Man::new(command.clone());
    writeln!(out, r#".TH {} 1 "" "encke {}" """#, full_name(command), env!("CARGO_PKG_VERSION"))?;
    man.render_name_section(out)?;
    man.render_synopsis_section(out)?;
    man.render_description_section(out)?;
    man.render_options_section(out)?;
    if command.has_subcommands() {
        man.render_subcommands_section(out)?;
    }
    writeln!(out, ".SH SEE ALSO\n{}comet.ini(5)", if command.get_name() == "encke" { "" } else { "encke(1), " })
}

/// `encke` or `encke-sql`.
fn full_name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

pub(crate) fn completions(shell: clap_complete::Shell, out: &mut dyn Write) -> io::Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "encke", &mut text);
    out.write_all(&text)
}
