//! `GET /metrics`: the figures for Prometheus, for those who may see them.

use crate::config::ByHttp;
use crate::http::{self, Head, Method, Terms};
use crate::metrics::Format;
use crate::model::ConnId;

use super::effects::Effects;
use super::{Browsers, Progress};

/// Who may see them.
#[derive(Clone, Debug, Default)]
pub(crate) struct MetricsConfig {
    pub(crate) allowed: ByHttp,
    /// A scraper from elsewhere has to know it.
    pub(crate) token: Option<Box<str>>,
}

impl Browsers {
    pub(super) fn metrics(&mut self, io: &mut impl Effects, conn: ConnId, head: &Head<'_>, terms: &Terms) -> Progress {
        let with_body = head.method != Method::Head;
        let refused = match head.method {
            Method::Get | Method::Head => self.refuse_scraper(io, conn, head),
            _ => Some((405, "only GET is taken here\n")),
        };
        let answer = if let Some((status, text)) = refused {
            http::response_on(terms, status, "text/plain", &[], text.as_bytes(), with_body)
        } else {
            let accept = head.header("Accept").and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default();
            let format = Format::accepted(accept);
            let body = io.metrics(format, self.stopping);
            let extra = [("Cache-Control", "no-store"), ("Vary", "Accept")];
            http::response_on(terms, 200, format.content_type(), &extra, body.as_bytes(), with_body)
        };
        self.reply(io, conn, &answer.into(), terms, head.used)
    }

    /// Status and text for who may not see the figures.
    fn refuse_scraper(&self, io: &impl Effects, conn: ConnId, head: &Head<'_>) -> Option<(u16, &'static str)> {
        let MetricsConfig { allowed, token } = &self.config.metrics;
        let knows_token = token.as_ref().is_some_and(|token| {
            http::credentials(head).is_some_and(|given| given.user.is_none() && same(&given.password, token.as_bytes()))
        });
        match allowed {
            ByHttp::Off => Some((404, "the figures are not told here: see metrics in [ws] of comet.ini\n")),
            _ if !http::same_origin(head) => Some((403, "pages of other sites may not ask here\n")),
            _ if http::is_from_this_machine(head, self.address(io, conn, head)) => None,
            ByHttp::Local => {
                Some((403, "the figures are told on the server's own machine only: see metrics in [ws] of comet.ini\n"))
            }
            ByHttp::On if knows_token => None,
            ByHttp::On => Some((401, "wanted is Authorization: Bearer <metrics_token in [ws] of comet.ini>\n")),
        }
    }
}

/// Takes as long whatever is given.
fn same(given: &[u8], known: &[u8]) -> bool {
    use subtle::ConstantTimeEq;
    given.ct_eq(known).into()
}
