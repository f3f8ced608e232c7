//! A publication as browsers get it.

use crate::model::{Personal, Publication, PublicationKind, SharedBytes, WireForm};
use crate::ws;

use super::json::{Data, Envelope, Name};
use super::notice::{encode_personal, subscriber};

/// Shape: `{"data":<message>,"event":<event>,"message_send_time":<seconds>,"pipe":<pipe>}` and, if a browser sent
/// it, `"user_id":<sender>`. The message is always a text, whatever it holds. Presence has no time; of a `track_` pipe,
/// `data` is `{"user_id":<id or 0>,"uuid":<the browser's id>}`. In the extended form, what is kept in a history has a
/// `"position":"<decimal>"` behind its pipe.
pub fn encode_publication(publication: &Publication, form: WireForm, out: &mut Vec<u8>) {
    let members;
    let (data, time) = match &publication.kind {
        PublicationKind::Message | PublicationKind::Figures => {
            (Data::Text(&publication.message), Some(publication.time))
        }
        PublicationKind::Presence => (Data::Text(&publication.message), None),
        PublicationKind::Track { user, uuid } => {
            members = subscriber(*user, uuid);
            (Data::Object(&members), Some(publication.time))
        }
    };
    let envelope = Envelope {
        data,
        event: Name("", publication.event.as_str()),
        time,
        pipe: Name("", publication.pipe.name.as_str()),
        position: Some(publication.position).filter(|_| publication.kept),
        user: publication.sender.map(crate::model::UserId::get),
        ..Envelope::default()
    };
    envelope.write(form, out);
}

/// The whole text frame of a publication, to be made once per form and shared by all its receivers.
pub fn frame_publication(publication: &Publication, form: WireForm) -> SharedBytes {
    /// Room for keys, time, sender and some escapes; more escapes cost another allocation, not bytes on the wire.
    const SURROUNDINGS: usize = 256;
    let texts = [&publication.message, publication.event.as_str(), publication.pipe.name.as_str()];
    let mut json = Vec::with_capacity(texts.iter().map(|text| text.len()).fold(SURROUNDINGS, usize::saturating_add));
    encode_publication(publication, form, &mut json);
    ws::text_frame(&json)
}

/// The whole text frame of a personal message that is not from the queue.
pub fn frame_personal(personal: &Personal, form: WireForm) -> SharedBytes {
    let mut json = Vec::new();
    encode_personal(&personal.event, &personal.message, None, form, &mut json);
    ws::text_frame(&json)
}
