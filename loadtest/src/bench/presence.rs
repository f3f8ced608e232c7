//! `presence`: a pipe that tells who comes and goes, with few members and with many. A count must cost the same, a list
//! must come in pages and name everybody, and whoever comes is told to the others and to nobody else: no member is ever sent
//! more than the differences.

use super::report::{Record, Report};
use super::statistics::{median, ratio};
use super::{Target, wait_for_subscribers};
use crate::crowd::{Crowd, Pipes};
use crate::error::Error;
use crate::publication::PublicationShape;
use crate::system;
use crate::ws::WsClient;
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a count with many members may cost, as a multiple of one with few.
pub const BAR_RATIO: f64 = 1.5;

/// Members that come together: each of them is told to all who are there.
const WAVE: usize = 200;
/// How long it is listened at a time for what the members are told.
const LISTEN: Duration = Duration::from_millis(300);
const ASKS: usize = 501;

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Members in the end; what they are told of each other grows with the square
    #[arg(long, default_value_t = 4_000)]
    pub members: usize,
    #[arg(long, default_value = "track_bench")]
    pub pipe: String,
}

pub fn run(target: &Target, options: &Options, report: &mut Report) -> Result<(), Error> {
    if options.members < WAVE {
        return Err(Error::usage(format!("presence needs {WAVE} members at least")));
    }
    system::pin_to_core(target.client_core)?;
    let mut client = target.log_in()?;
    let mut asker = WsClient::connect(target.ws, crate::Hello::anonymous(target.tenant, &crate::ws::uuid()))?;
    let mut crowd = Crowd::start(system::threads_for(options.members), target.client_core)?;
    let pipes = Pipes::Shared(options.pipe.clone());
    let shape = Arc::new(PublicationShape::new(&options.pipe, "none", 10)?);
    let mut record = Record::new("presence");
    let start = Instant::now();
    let (mut few, mut told) = (None, 0);
    while crowd.connections() < options.members {
        let wave = WAVE.min(options.members - crowd.connections());
        let members = crowd.connections() + wave;
        crowd.connect(&target.plan(wave, pipes.clone()))?;
        wait_for_subscribers(&mut client, &pipes, members, members as u64, target.limit())?;
        // The first member hears of all others, the last of nobody. Of two who come at the same time each may hear of the
        // other, once.
        let least = (members * (members - 1) / 2) as u64;
        let mut progress = Instant::now();
        loop {
            let heard = crowd.listen(&shape, 0, LISTEN)?.tally;
            told += heard.foreign;
            if heard.foreign > 0 {
                progress = Instant::now();
            } else if told >= least {
                break;
            }
            if heard.ended > 0 || told > 2 * least || progress.elapsed() > target.limit() {
                record.fail(format!("{least} to {} had to be told, not {told}; {} are gone", 2 * least, heard.ended));
                report.add(record);
                return Ok(());
            }
        }
        if few.is_none() {
            few = Some((members, count_us(&mut asker, &options.pipe, members, target.limit())?));
        }
    }
    let (few, few_us) = few.unwrap_or_default();
    let many_us = count_us(&mut asker, &options.pipe, options.members, target.limit())?;
    record.count("members", options.members as u64).count("few_members", few as u64);
    record.number("seconds_until_all_are_there", start.elapsed().as_secs_f64());
    record.count("events_told", told);
    record.number("count_us_few", few_us).number("count_us", many_us);
    let is_met = ratio(many_us, few_us) <= BAR_RATIO;
    record.number("ratio", ratio(many_us, few_us)).number("bar_ratio", BAR_RATIO);

    let (mut seen, mut pages, mut next) = (HashSet::new(), 0_u64, String::new());
    let start = Instant::now();
    loop {
        let question = format!("track_pipe_page\n{}\npage{pages}\n{next}", options.pipe);
        let answer = ask(&mut asker, &question, &format!("page{pages}"), target.limit())?;
        let users = answer.pointer("/data/users").and_then(Value::as_array).cloned().unwrap_or_default();
        let uuids = users.iter().filter_map(|user| user.get("uuid")).filter_map(Value::as_str);
        seen.extend(uuids.map(str::to_owned));
        pages += 1;
        match answer.pointer("/data/next").and_then(Value::as_str) {
            Some(more) => more.clone_into(&mut next),
            None => break,
        }
    }
    record.count("pages", pages).number("list_ms", start.elapsed().as_secs_f64() * 1e3);
    record.count("listed", seen.len() as u64);
    if seen.len() != options.members {
        record.fail("the pages do not name everybody");
    }
    record.text("verdict", if is_met { "met" } else { "missed" });
    crowd.close()?;
    wait_for_subscribers(&mut client, &pipes, options.members, 0, target.limit())?;
    report.add(record);
    Ok(())
}

/// The median of many counts, each asked when the last one was answered.
fn count_us(asker: &mut WsClient, pipe: &str, members: usize, limit: Duration) -> Result<f64, Error> {
    let mut times = Vec::new();
    for number in 0..ASKS {
        let marker = format!("count{number}");
        let start = Instant::now();
        let answer = ask(asker, &format!("pipe_count\n{pipe}\n{marker}\n"), &marker, limit)?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
        if answer.pointer("/data/user_in_pipe").and_then(Value::as_u64) != Some(members as u64) {
            return Err(Error::protocol(format!("{answer} does not count {members} members")));
        }
    }
    Ok(median(&times))
}

fn ask(asker: &mut WsClient, question: &str, marker: &str, limit: Duration) -> Result<Value, Error> {
    asker.send_text(question)?;
    let text = asker.need_text(limit, "an answer")?;
    let answer: Value = serde_json::from_str(&text).map_err(|error| Error::protocol(error.to_string()))?;
    if answer.get("marker").and_then(Value::as_str) == Some(marker) {
        Ok(answer)
    } else {
        Err(Error::protocol(format!("{question:?} was answered with {text}")))
    }
}
