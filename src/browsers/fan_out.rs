//! What publications become on their way to the receivers of a shard.

use std::sync::Arc;

use crate::jsapi;
use crate::model::{ConnId, Publication, SharedBytes, Time, WireForm};
use crate::ws::{self, Deflater};

use super::effects::Effects;
use super::polls::Polls;
use super::{Browser, Phase, append_publication, browser, frame};

/// What makes two receivers get the same bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Wire {
    form: WireForm,
    /// Gets Server-Sent Events, which are never compressed.
    is_events: bool,
    /// Whether and how far they inflate.
    window: Option<ws::Window>,
}

/// One write per connection and wire, encoded once for all of them.
pub(super) fn fan_out(
    io: &mut impl Effects,
    polls: &mut Polls,
    deflater: &mut Deflater,
    publications: &[Arc<Publication>],
    conns: Vec<ConnId>,
) {
    let mut groups: Vec<(Wire, Vec<ConnId>)> = Vec::new();
    let receivers = conns.len();
    // Where no position is to be told, two forms are one.
    let tells_positions = publications.iter().any(|publication| publication.kept);
    for conn in conns {
        let Some(Browser { mut form, phase, deflate: window, .. }) = browser(io, conn) else {
            fan_out_to_polled(polls, publications, conn, io.now().time);
            io.fan_out_to_polled(publications);
            continue;
        };
        if form == WireForm::Extended && !tells_positions {
            form = WireForm::Modern;
        }
        let wire = Wire { form, is_events: phase.is_events(), window };
        if let Some((_, conns)) = groups.iter_mut().find(|(of, _)| *of == wire) {
            conns.push(conn);
        } else {
            // Nearly always all receivers are of one kind.
            let mut conns = Vec::with_capacity(if groups.is_empty() { receivers } else { 1 });
            conns.push(conn);
            groups.push((wire, conns));
        }
    }
    for (wire, conns) in groups {
        let bytes =
            if wire.is_events { joined_events(publications, wire.form) } else { joined(publications, wire, deflater) };
        io.fan_out(conns, bytes, publications);
    }
}

pub(super) fn fan_out_to_polled(polls: &mut Polls, publications: &[Arc<Publication>], conn: ConnId, now: Time) {
    let Some(form) = polls.form(conn) else { return };
    for publication in publications {
        let frame = publication.frame(form, |publication| jsapi::frame_publication(publication, form));
        polls.push_frame(conn, frame, now);
    }
}

/// Around the JSON that the frames of the same form share; made once for all receivers of a shard.
fn joined_events(publications: &[Arc<Publication>], form: WireForm) -> SharedBytes {
    let mut bytes = Vec::new();
    for publication in publications {
        append_publication(&mut bytes, Browser { form, phase: Phase::Events, ..Browser::default() }, publication);
    }
    bytes.into()
}

fn joined(publications: &[Arc<Publication>], Wire { form, window, .. }: Wire, deflater: &mut Deflater) -> SharedBytes {
    let mut encoded = |publication: &Arc<Publication>| {
        let frame = frame(publication, form);
        let deflated = window.and_then(|window| {
            let deflated = publication.deflated(form, || ws::deflated_text_frame(&frame, deflater));
            deflated.filter(|deflated| window.holds(deflated.payload_bytes))
        });
        deflated.map_or(frame, |deflated| deflated.frame.clone())
    };
    match publications {
        [only] => encoded(only),
        several => several.iter().flat_map(|publication| encoded(publication).to_vec()).collect(),
    }
}
