//! What browsers want becomes inputs of the hub, whatever it came on: a command in a frame, or the fields of a request.

use crate::hub::Input;
use crate::jsapi::{self, Command, SubscriptionList, TrackPipePage, WebPipe2};
use crate::model::{Answer, ApiError, CloseReason, ConnId, Had, PipeName, WireForm};
use crate::ws;

use super::budget::{NAMES_PER_FRAME, RECOVERY_IN_NAMES};
use super::effects::Effects;
use super::wanted::{Last, Order, wanted};
use super::{Browser, Browsers};

impl Browsers {
    /// The text of a frame.
    pub(super) fn command(&mut self, io: &mut impl Effects, conn: ConnId, browser: Browser, text: &str) {
        self.charge_command(io, conn);
        let Ok(command) = jsapi::parse_command(text) else {
            return self.close(io, conn, browser, CloseReason::UnknownCommand, ws::CloseCode::Policy);
        };
        let names_max = self.config.hub.pipes_per_connection_max;
        let input = match command {
            Command::Subscription(list) => return self.subscribe(io, conn, list.collect(names_max)),
            // Classic clients do not know them, so for them they are not there.
            Command::Subscription2(_) | Command::TrackPipePage(_) if browser.form != WireForm::Extended => {
                return self.close(io, conn, browser, CloseReason::UnknownCommand, ws::CloseCode::Policy);
            }
            Command::Subscription2(list) => return self.resubscribe(io, conn, list.collect(names_max)),
            Command::WebPipe2(message) => return self.publish(io, conn, message),
            Command::PipeCount(Ok(wanted)) => Ok(Input::CountPipe { conn, pipe: wanted.pipe, marker: wanted.marker }),
            Command::UserData(Ok(wanted)) => Ok(Input::ReadUserData { conn, user: wanted.user, marker: wanted.marker }),
            Command::PipeLog(Err(errors)) => Err(errors.to_vec()),
            Command::PipeCount(Err(error))
            | Command::UserData(Err(error))
            | Command::TrackPipeUsers(Err(error))
            | Command::TrackPipePage(Err(error)) => Err(vec![error]),
            Command::UserStatus(user) => Ok(Input::ReadUserStatus { conn, user }),
            Command::PipeLog(Ok(wanted)) => Ok(Input::ReadHistory { conn, pipe: wanted.pipe, marker: wanted.marker }),
            Command::TrackPipePage(Ok(wanted)) => {
                let TrackPipePage { pipe, marker, cursor } = wanted;
                Ok(Input::PageTrackUsers { conn, pipe, marker, cursor })
            }
            Command::TrackPipeUsers(Ok(wanted)) => {
                Ok(Input::ListTrackUsers { conn, pipe: wanted.pipe, marker: wanted.marker })
            }
            Command::Statistics | Command::CgiCall | Command::CometQlCall => return,
        };
        match input {
            Ok(input) => self.input(io, input),
            Err(errors) => self.errors(io, conn, errors),
        }
    }

    /// What a page that is polled for wants.
    pub(super) fn order(&mut self, io: &mut impl Effects, conn: ConnId, form: WireForm, order: &Order) {
        match order {
            Order::Subscribe { pipes, last } => self.subscribe_to(io, conn, form, pipes, &Last::parse(last)),
            Order::Publish { pipe, event, message } => {
                self.charge_command(io, conn);
                self.publish(io, conn, WebPipe2::new(pipe, event, message));
            }
        }
    }

    /// These pipes, which the fields of a request name. Positions are for clients of `api=js2` only.
    pub(super) fn subscribe_to(
        &mut self,
        io: &mut impl Effects,
        conn: ConnId,
        form: WireForm,
        pipes: &str,
        last: &Last<'_>,
    ) {
        self.charge_command(io, conn);
        let names_max = self.config.hub.pipes_per_connection_max;
        if form == WireForm::Extended {
            self.resubscribe(io, conn, jsapi::collect_recovery(wanted(pipes, last), names_max));
        } else {
            self.subscribe(io, conn, SubscriptionList::new(pipes).collect(names_max));
        }
    }

    fn charge_command(&mut self, io: &impl Effects, conn: ConnId) {
        self.counters.commands += 1;
        self.pace.charge(conn, io.now().time);
    }

    fn subscribe(&mut self, io: &mut impl Effects, conn: ConnId, (pipes, errors): (Vec<PipeName>, Vec<ApiError>)) {
        self.errors(io, conn, errors);
        let names = self.hub.subscriptions(conn) + pipes.len();
        self.turn_budget.charge(io.now().time, conn, names / NAMES_PER_FRAME);
        self.input(io, Input::Subscribe { conn, pipes });
    }

    fn resubscribe(
        &mut self,
        io: &mut impl Effects,
        conn: ConnId,
        (pipes, errors): (Vec<(PipeName, Had)>, Vec<ApiError>),
    ) {
        self.errors(io, conn, errors);
        let names = self.hub.subscriptions(conn) + RECOVERY_IN_NAMES * pipes.len();
        self.turn_budget.charge(io.now().time, conn, names / NAMES_PER_FRAME);
        self.input(io, Input::Resubscribe { conn, pipes });
    }

    fn publish(&mut self, io: &mut impl Effects, conn: ConnId, message: Result<WebPipe2<'_>, ApiError>) {
        match message {
            Ok(WebPipe2 { hide_sender, pipe, event, body }) => {
                let message = body.into_owned().into();
                self.input(io, Input::Publish { conn, pipe, event, message, hide_sender });
            }
            Err(error) => self.errors(io, conn, vec![error]),
        }
    }

    fn errors(&mut self, io: &mut impl Effects, conn: ConnId, errors: Vec<ApiError>) {
        for error in errors {
            self.put_in_letter(io, conn, &Answer::Error(error));
        }
        self.send_letter(io);
    }
}
