//! CometQL: the backend API over the MySQL protocol. Bytes to packets (`wire`), text to statements (`sql`),
//! statements to plans (`tables`, `plan`, `errors`), questions about the server to answers (`introspection`), rows to results (`rows`), what a
//! session is to its statements (`session`, `budget`), the sessions that carry statements out (`exec`), and the same by
//! HTTP (`json`).

pub mod wire;

pub mod sql;

pub mod errors;

pub mod tables;

pub mod rows;

pub mod budget;

pub mod session;

pub mod introspection;

pub mod plan;

pub mod json;

pub mod exec;
