//! Commands of browsers become inputs of the hub, whatever they came on.

use crate::hub::Input;
use crate::jsapi::{self, Command, TrackPipePage};
use crate::model::{Answer, ApiError, CloseReason, ConnId, WireForm};
use crate::ws;

use super::budget::{NAMES_PER_FRAME, RECOVERY_IN_NAMES};
use super::effects::Effects;
use super::{Browser, Browsers};

impl Browsers {
    pub(super) fn command(&mut self, io: &mut impl Effects, conn: ConnId, browser: Browser, text: &str) {
        self.counters.commands += 1;
        self.pace.charge(conn, io.now().time);
        let Ok(command) = jsapi::parse_command(text) else {
            return self.close(io, conn, browser, CloseReason::UnknownCommand, ws::CloseCode::Policy);
        };
        let conn_id = conn;
        let input = match command {
            Command::Subscription(list) => {
                let (pipes, errors) = list.collect(self.config.hub.pipes_per_connection_max);
                self.errors(io, conn, errors);
                let names = self.hub.subscriptions(conn_id) + pipes.len();
                self.turn_budget.charge(io.now().time, conn, names / NAMES_PER_FRAME);
                Ok(Input::Subscribe { conn: conn_id, pipes })
            }
            // Classic clients do not know them, so for them they are not there.
            Command::Subscription2(_) | Command::TrackPipePage(_) if browser.form != WireForm::Extended => {
                return self.close(io, conn, browser, CloseReason::UnknownCommand, ws::CloseCode::Policy);
            }
            Command::Subscription2(list) => {
                let (pipes, errors) = list.collect(self.config.hub.pipes_per_connection_max);
                self.errors(io, conn, errors);
                let names = self.hub.subscriptions(conn_id) + RECOVERY_IN_NAMES * pipes.len();
                self.turn_budget.charge(io.now().time, conn, names / NAMES_PER_FRAME);
                Ok(Input::Resubscribe { conn: conn_id, pipes })
            }
            Command::WebPipe2(Ok(wanted)) => Ok(Input::Publish {
                conn: conn_id,
                pipe: wanted.pipe,
                event: wanted.event,
                message: wanted.body.into_owned().into(),
                hide_sender: wanted.hide_sender,
            }),
            Command::PipeCount(Ok(wanted)) => {
                Ok(Input::CountPipe { conn: conn_id, pipe: wanted.pipe, marker: wanted.marker })
            }
            Command::UserData(Ok(wanted)) => {
                Ok(Input::ReadUserData { conn: conn_id, user: wanted.user, marker: wanted.marker })
            }
            Command::PipeLog(Err(errors)) => Err(errors.to_vec()),
            Command::WebPipe2(Err(error))
            | Command::PipeCount(Err(error))
            | Command::UserData(Err(error))
            | Command::TrackPipeUsers(Err(error))
            | Command::TrackPipePage(Err(error)) => Err(vec![error]),
            Command::UserStatus(user) => Ok(Input::ReadUserStatus { conn: conn_id, user }),
            Command::PipeLog(Ok(wanted)) => {
                Ok(Input::ReadHistory { conn: conn_id, pipe: wanted.pipe, marker: wanted.marker })
            }
            Command::TrackPipePage(Ok(wanted)) => {
                let TrackPipePage { pipe, marker, cursor } = wanted;
                Ok(Input::PageTrackUsers { conn: conn_id, pipe, marker, cursor })
            }
            Command::TrackPipeUsers(Ok(wanted)) => {
                Ok(Input::ListTrackUsers { conn: conn_id, pipe: wanted.pipe, marker: wanted.marker })
            }
            Command::Statistics | Command::CgiCall | Command::CometQlCall => return,
        };
        match input {
            Ok(input) => self.input(io, input),
            Err(errors) => self.errors(io, conn, errors),
        }
    }

    fn errors(&mut self, io: &mut impl Effects, conn: ConnId, errors: Vec<ApiError>) {
        for error in errors {
            self.answer(io, conn, &Answer::Error(error));
        }
    }
}
