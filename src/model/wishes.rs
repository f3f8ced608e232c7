//! How a message is to be sent.

/// What a backend wants of a publication besides that it is published. Few have any of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Connections of this browser do not get it: the backend publishes for its page, which has it already.
    pub except: Option<Box<str>>,
}

impl Wishes {
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.except.as_ref().map_or(0, |except| except.len())
    }
}
