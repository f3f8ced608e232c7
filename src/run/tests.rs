//! The edge under test: [`sim`] drives it as the runtime does.

mod sim;
