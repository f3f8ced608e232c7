//! The key that proves to a client that its handshake was understood.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// The value of `Sec-WebSocket-Accept`: base64 of the SHA-1 of the client's key text followed by the protocol's
/// fixed id. `key` is the header's value as it came, without surrounding blanks. RFC 6455 section 4.2.2.
pub fn accept_key(key: &[u8]) -> [u8; 28] {
    const PROTOCOL_ID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let digest = Sha1::new().chain_update(key).chain_update(PROTOCOL_ID).finalize();
    let mut accept = [b'='; 28];
    let written = STANDARD.encode_slice(digest, &mut accept);
    debug_assert_eq!(written.ok(), Some(accept.len()), "20 bytes are 28 characters of base64");
    accept
}
