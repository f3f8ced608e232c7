//! The command line.

use clap::{ArgGroup, Parser, Subcommand};
use std::path::PathBuf;
use std::sync::LazyLock;

/// A comet server: browsers hold connections, backends publish through the MySQL protocol.
#[derive(Debug, Parser)]
#[command(name = "encke", version = version(), about)]
pub(crate) struct Args {
    /// Configuration file [default: ./config/comet.ini, else /etc/encke/comet.ini]
    #[arg(long, value_name = "FILE", global = true)]
    pub conf: Option<PathBuf>,

    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum Command {
    /// Read the configuration, say what is wrong with it and leave
    CheckConfig {
        /// Print each key with its value, the line that it comes from, and when a change of it takes effect
        #[arg(long)]
        explain: bool,
    },

    /// Print a comet.ini with every key, its meaning and its default
    SampleConfig,

    /// Look at configuration and machine, and say what would hold the server up
    ///
    /// Nothing is changed. Each line is ok, warning or error, with a reason and what helps. The exit status is 0 if all is fine, 1 after
    /// a warning, 2 after an error. Run it in the server's folder, and as root or as the server's user.
    Doctor(Examination),

    /// Publish a message through the running server
    ///
    /// Address and password are found as the server finds them, in the configuration and in the data folder. The exit status is
    /// 0 when the message was published, 1 when not, 2 for bad arguments or a bad configuration.
    Publish {
        /// The pipe, 3 to 64 letters, digits, `_` and `-`
        pipe: String,

        /// The event, a word that pages choose by
        event: String,

        /// The message, any text; - reads it from standard input
        #[arg(allow_hyphen_values = true)]
        message: String,

        #[command(flatten)]
        door: Door,
    },

    /// Carry out CometQL statements in the running server
    ///
    /// Without STATEMENT they are read from standard input, a terminal or a pipe. A terminal gets tables, a pipe gets lines with tabs. The exit status is 1 as soon as a statement is refused.
    Sql {
        /// One statement, or several with semicolons between
        statement: Option<String>,

        /// Print tables also where the output is no terminal
        #[arg(long, short)]
        table: bool,

        #[command(flatten)]
        door: Door,
    },

    /// Say on one screen how the running server is
    ///
    /// It is asked by its socket in the data folder, which the server's own user and root can use without a password. The exit
    /// status is 0 when it answers and its storage works, 1 when not.
    Status {
        /// All figures as one object of JSON
        #[arg(long)]
        json: bool,
    },

    /// Have the running server read its configuration anew, as SIGHUP does
    ///
    /// It takes all of it or, on any error, nothing, and says what has changed and what waits for a restart.
    Reload,

    /// Stop the running server, as SIGTERM does, and wait for its end
    Stop,

    /// Have the running server send its connections elsewhere, and wait until they have gone
    ///
    /// At first /ready says 503, so that balancers send nobody here any more. Then nobody new is let in and connections leave one
    /// after the other; encke.js moves without a gap. Backends are sent away at the end. The exit status is 0 when nobody is left.
    Drain(Course),

    /// What becomes of the log
    #[command(subcommand)]
    Logs(Logs),

    /// Print the manual page, or write all of them into a folder
    #[command(hide = true)]
    Man {
        #[arg(long, value_name = "FOLDER")]
        into: Option<PathBuf>,
    },

    /// Print what a shell needs to complete commands
    #[command(hide = true)]
    Completions { shell: clap_complete::Shell },

    /// Copy all data from a MySQL database, such as CppComet's, into the data folder, or back
    ///
    /// DATABASE is `mysql://USER:PASSWORD@HOST:PORT/NAME` or a comet.ini with a section [db]. A password that is not given
    /// is taken from the environment variable `MYSQL_PWD`. The server must not run meanwhile; rows that are there already
    /// are replaced, so it may be done again.
    #[command(group = ArgGroup::new("direction").required(true))]
    Import {
        /// The database to read
        #[arg(long, value_name = "DATABASE", group = "direction")]
        from: Option<String>,

        /// The database to write
        #[arg(long, value_name = "DATABASE", group = "direction")]
        to: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum Logs {
    /// Open the log's file anew, after a rotation
    Reopen,
}

/// How a drain is to go.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
pub(crate) struct Course {
    /// How long balancers have to see that /ready says no, before anybody leaves
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = seconds)]
    pub notice: u64,

    /// How long connections take to leave, one after the other
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = seconds)]
    pub over: u64,

    /// Stop the server at the end
    #[arg(long)]
    pub stop: bool,

    /// Give up a drain: whoever is here stays, and others may come
    #[arg(long, conflicts_with_all = ["notice", "over", "stop"])]
    pub cancel: bool,
}

/// `90`, `90s` or `2m`.
fn seconds(text: &str) -> Result<u64, String> {
    let (number, unit) = text.split_at(text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len()));
    let factor = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err("a time is a number of seconds, or one with s, m or h behind it".to_owned()),
    };
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    seconds.ok_or_else(|| "a time is a number of seconds, or one with s, m or h behind it".to_owned())
}

/// How a client finds the running server, beside the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Parser)]
pub(crate) struct Door {
    /// Port of CometQL, where the configuration leaves it to the system or the server had another one
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,

    /// Log in as this tenant, with its own password if it has one
    #[arg(long, value_name = "NUMBER")]
    pub tenant: Option<u32>,
}

/// What `encke doctor` is to look at.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
pub(crate) struct Examination {
    /// Connections of browsers that the machine is to hold [default: 10000, or what the configuration allows]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub connections: Option<u64>,

    /// Print one object for programs
    #[arg(long)]
    pub json: bool,

    /// Look at a machine whose files are below this folder
    #[arg(long, value_name = "FOLDER", default_value = "/", hide = true)]
    pub root: PathBuf,
}

/// The version, and where `scripts/release` built the program the commit and the kind of build behind it.
pub(crate) fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        with_build(env!("CARGO_PKG_VERSION"), option_env!("ENCKE_COMMIT"), option_env!("ENCKE_BUILD"))
    });
    &VERSION
}

fn with_build(version: &str, commit: Option<&str>, build: Option<&str>) -> String {
    let known: Vec<&str> = commit.into_iter().chain(build).collect();
    if known.is_empty() { version.to_owned() } else { format!("{version} ({})", known.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn the_file_may_stand_on_either_side_of_the_command() {
        for line in ["encke --conf a check-config", "encke check-config --conf a", "encke --conf=a check-config"] {
            let args = Args::try_parse_from(line.split(' ')).expect(line);
            assert_eq!(
                (args.conf, args.command),
                (Some(PathBuf::from("a")), Some(Command::CheckConfig { explain: false })),
                "{line}"
            );
        }
        let args = Args::try_parse_from(["encke"]).expect("no arguments are fine");
        assert!(args.conf.is_none() && args.command.is_none());
        let args =
            Args::try_parse_from(["encke", "import", "--from", "mysql://a@b/c", "--conf", "d"]).expect("an import");
        let import = Command::Import { from: Some("mysql://a@b/c".to_owned()), to: None };
        assert_eq!((args.conf, args.command), (Some(PathBuf::from("d")), Some(import)));
        for line in ["encke x", "encke --cnf a", "encke --conf", "encke import", "encke import --from a --to b"] {
            assert!(Args::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }

    #[test]
    fn a_version_tells_what_is_known_of_the_build() {
        assert_eq!(with_build("1.2.3", None, None), "1.2.3");
        assert_eq!(with_build("1.2.3", Some("1a2b3c4"), None), "1.2.3 (1a2b3c4)");
        assert_eq!(with_build("1.2.3", Some("1a2b3c4"), Some("static")), "1.2.3 (1a2b3c4, static)");
    }

    #[test]
    fn times() {
        for (text, expected) in
            [("0", Some(0)), ("90", Some(90)), ("90s", Some(90)), ("2m", Some(120)), ("1h", Some(3_600))]
        {
            assert_eq!(seconds(text).ok(), expected, "{text}");
        }
        for text in ["", "s", "1d", "-1", "1.5s", "18446744073709551615h", "1 s"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
