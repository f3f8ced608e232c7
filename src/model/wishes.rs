//! How a message is to be sent.

/// What a backend wants of a publication besides that it is published. Few have any of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Connections of this browser do not get it: the backend publishes for its page, which has it already.
    pub except: Option<Box<str>>,
    /// The publication of its pipe with this key is the same one: it is published once.
    pub key: Option<Box<str>>,
    /// In a history it is told for so many seconds.
    pub expires_in: Option<u32>,
}

impl Wishes {
    pub(super) fn bytes(&self) -> usize {
        let texts = [&self.except, &self.key].into_iter().flatten();
        size_of::<Self>() + texts.map(|text| text.len()).sum::<usize>()
    }
}
