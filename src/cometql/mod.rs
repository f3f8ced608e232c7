//! CometQL: the backend API over the MySQL protocol. Bytes to packets (`wire`), text to statements (`sql`),
//! statements to plans (`tables`, `plan`, `errors`), and the sessions that carry them out (`exec`).

pub mod errors;
pub mod plan;
pub mod sql;
pub mod tables;
pub mod wire;
