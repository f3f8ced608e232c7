//! What somebody who watches a shard of the simulator sees.

use std::sync::Arc;

use crate::model::Publication;

/// What somebody who watches the shard has seen, in its order. Connections are named by their sockets.
#[derive(Debug)]
pub(super) enum Seen {
    /// So many commands of the browser were carried out.
    Commands {
        socket: usize,
        count: u64,
    },
    /// The browser has proved who it is.
    LetIn {
        socket: usize,
    },
    /// The publications are on their way to the connection.
    Handed {
        socket: usize,
        publications: Arc<[Arc<Publication>]>,
    },
    /// The same for a connection without a socket.
    HandedToPolled {
        publications: Arc<[Arc<Publication>]>,
    },
    /// The server has no more for it, and ends it when all is sent.
    LetGo {
        socket: usize,
    },
    Ended {
        socket: usize,
    },
    /// A write with personal messages; whether the connection was still there after it, and all of it sent.
    Letters {
        socket: usize,
        bytes: Vec<u8>,
        open: bool,
        sent: bool,
    },
    /// The host was told that all was sent.
    Drained {
        socket: usize,
    },
    /// A turn ended with these bytes to be sent for these publications.
    Formed {
        publications: Vec<Arc<Publication>>,
    },
}
