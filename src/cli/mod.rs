//! What the program says and does besides serving: its arguments, the password file, the banner; and the
//! commands that are clients of a running server.

pub(crate) mod args;
pub(crate) mod banner;
pub(crate) mod client;
pub(crate) mod conf;
pub(crate) mod control;
pub(crate) mod doctor;
pub(crate) mod drain;
pub(crate) mod fault;
#[cfg_attr(not(feature = "mysql"), path = "no_import.rs")]
pub(crate) mod import;
pub(crate) mod keeper;
pub(crate) mod manual;
pub(crate) mod password;
pub(crate) mod signals;
pub(crate) mod sql;
pub(crate) mod status;
