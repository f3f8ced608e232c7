//! The command line.

use clap::{Parser, Subcommand};
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum Command {
    /// Read the configuration, say what is wrong with it and leave
    CheckConfig,
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
        for line in ["encke x", "encke --cnf a", "encke --conf"] {
            assert!(Args::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
