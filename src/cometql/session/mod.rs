//! What a session is to its statements: who it is, what it remembers of those before, and what the server tells it.
//!
//! Values only. The session itself, with its bytes and its queue, is in `exec`.

mod memory;
mod names;
mod view;

pub use memory::{Memory, VARIABLE_BYTES_MAX, VARIABLES_BYTES_MAX, VARIABLES_MAX, Variable, offset_s};
pub use names::{Database, User, parse_database};
pub use view::{Server, SessionView, Setting, StatementLimits};
