//! A publication as browsers get it.

use crate::model::{Publication, SharedBytes, WireForm};
use crate::ws;

use super::json::{Data, Envelope, Name};

/// Shape: `{"data":<message>,"event":<event>,"message_send_time":<seconds>,"pipe":<pipe>}` and, if a browser sent
/// it, `"user_id":<sender>`. The message is always a text, whatever it holds.
pub fn encode_publication(publication: &Publication, form: WireForm, out: &mut Vec<u8>) {
    let envelope = Envelope {
        data: Data::Text(&publication.message),
        event: Name("", publication.event.as_str()),
        time: Some(publication.time),
        pipe: Name("", publication.pipe.name.as_str()),
        user: publication.sender.map(crate::model::UserId::get),
        ..Envelope::default()
    };
    envelope.write(form, out);
}

/// The whole text frame of a publication, to be made once per form and shared by all its receivers.
pub fn frame_publication(publication: &Publication, form: WireForm) -> SharedBytes {
    /// Room for keys, time, sender and some escapes; more escapes cost another allocation, not bytes on the wire.
    const SURROUNDINGS: usize = 256;
    let texts = publication.message.len() + publication.event.as_str().len() + publication.pipe.name.as_str().len();
    let mut json = Vec::with_capacity(texts + SURROUNDINGS);
    encode_publication(publication, form, &mut json);
    ws::text_frame(&json)
}
