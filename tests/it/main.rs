//! The one integration binary: the whole program over loopback, and the checks that hold the sources in shape.
//!
//! A failed expectation fails the test wherever it stands, in a test or in what tests share.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod autobahn;
mod browser;
mod by_http;
mod cli;
mod client_commands;
mod clients;
mod conformance;
mod control;
mod corpus;
mod crash;
mod crowded;
mod deflate;
mod docs;
mod doctor;
mod doors;
mod drain;
mod examples;
mod hostile;
mod import;
mod library;
mod limits;
mod log;
mod mariadb;
mod memory;
mod metrics;
mod nginx;
mod old_clients;
mod packages;
mod pages;
mod php;
mod proxies;
mod publishing;
mod random;
mod recovery;
mod reload;
mod scenarios;
mod server;
mod stop;
mod storage;
mod systemd;
mod tables;
mod tidy;
mod tls;
mod tokens;
mod tools;
mod transports;
