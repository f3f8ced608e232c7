//! Static files as they are asked for and found. Who reads them is the edge's affair.

use std::net::IpAddr;
use std::ops::Range;

use crate::http::{Conditions, FileHead, Terms};
use crate::model::{ConnId, SharedBytes};

/// Who asked for what.
pub(crate) struct Asker {
    pub(crate) conn: ConnId,
    /// Which of its requests this is.
    pub(crate) number: u8,
    /// As what it counts.
    pub(crate) address: IpAddr,
    pub(crate) path: String,
    pub(crate) conditions: Conditions,
    pub(crate) terms: Terms,
}

pub(crate) enum FileAnswer {
    Found {
        asker: Box<Asker>,
        found: Found,
    },
    /// Others need the room: the connection ends if it is being sent the answer to this one of its requests still.
    MakeRoom {
        conn: ConnId,
        number: u8,
    },
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// What of the file is wanted, unless nothing of it is.
    File(FileHead, Option<Part>),
    /// Not a readable file below the root, or too large a one.
    Missing,
    /// Too many contents are being sent.
    Busy,
}

/// What is wanted of a content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) content: SharedBytes,
    pub(crate) range: Range<usize>,
}
