//! The command line.

use clap::{ArgGroup, Parser, Subcommand};
use std::path::PathBuf;

/// A comet server: browsers hold connections, backends publish through the MySQL protocol.
#[derive(Debug, Parser)]
#[command(name = "encke", version, about)]
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
    CheckConfig,

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
            assert_eq!((args.conf, args.command), (Some(PathBuf::from("a")), Some(Command::CheckConfig)), "{line}");
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
}
