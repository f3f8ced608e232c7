//! The memory ledger: what the process has from the system and what for, as `SHOW MEMORY` tells it.
//!
//! Pure: what was counted, and what the system says, goes in as numbers and text.

mod account;
mod maps;
mod sizes;

pub use account::{Account, Line, TOTALS, lines};
pub use maps::{Region, Resident, regions, resident};
pub use sizes::{table, tree};
