//! CometQL: the backend API over the MySQL protocol. Bytes to packets (`wire`), text to statements (`sql`),
//! statements to plans (`tables`, `plan`, `errors`), and the sessions that carry them out (`exec`).

pub mod wire;

pub mod sql;

pub mod errors;

pub mod tables;

pub mod plan;

pub mod exec;
