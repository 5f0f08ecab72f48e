//! §4.7: what a server holds back.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use coracle_wire::{MessageType, Status};

use crate::case::{Case, server};
use crate::message::Received;
use crate::probe::Probe;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[server(
    "RFC7252-4.7-nstart",
    "RFC 7252 §4.7, §4.8",
    "A server has one confirmable response at a time on the way to a client, and loses none of those that wait",
    nstart,
)
.needs(&["/separate"])
.without_gateway()
.within(60)
.steps(&[
    "GET /separate four times at once, with a token each",
    "Wait long enough for all, and acknowledge nothing",
    "One response comes (SHOULD); copies of it do not count",
    "Acknowledge each response: all four come, each token once",
])];

/// How many requests are under way at once.
const REQUESTS: usize = 4;

/// How long all responses together are waited for before the first is acknowledged. It is longer than `/separate`
/// takes, which is not the case's to know: a server that is later has more to send after the acknowledgement.
const UNACKNOWLEDGED: Duration = Duration::from_secs(6);

/// How long all have to come once they are acknowledged.
const ALL: Duration = Duration::from_secs(30);

fn nstart(probe: &mut Probe) -> Judged {
    probe.set_raw(true);
    let mut missing: HashSet<Vec<u8>> = HashSet::new();
    for _ in 0..REQUESTS {
        let get = probe.get("/separate");
        probe.send(&get);
        missing.insert(get.token);
    }
    let mut outstanding: HashMap<u16, Received> = HashMap::new();
    let until = Instant::now() + UNACKNOWLEDGED;
    while let Some(message) = probe.receive(until.saturating_duration_since(Instant::now()))? {
        note(&message, &mut missing, &mut outstanding)?;
    }
    let at_once = outstanding.len();
    if at_once == 0 {
        return Err(Stop::Skip(
            "the server has no separate response by CON".to_owned(),
        ));
    }
    for response in outstanding.values() {
        probe.acknowledge(response);
    }
    let until = Instant::now() + ALL;
    while !missing.is_empty() {
        let Some(message) = probe.receive(until.saturating_duration_since(Instant::now()))? else {
            let what = format!("{} of {REQUESTS} responses never came", missing.len());
            return Err(Stop::fail(what, "RFC 7252 §5.2.2"));
        };
        note(&message, &mut missing, &mut outstanding)?;
        if message.is_con() {
            probe.acknowledge(&message);
        }
    }
    if at_once > 1 {
        return Err(Stop::Inconclusive(format!(
            "{at_once} confirmable responses were on the way at once (NSTART is 1, RFC 7252 §4.7, which binds clients)"
        )));
    }
    Ok(())
}

/// Writes down a response; acknowledgements that are empty and copies change nothing.
fn note(
    message: &Received,
    missing: &mut HashSet<Vec<u8>>,
    outstanding: &mut HashMap<u16, Received>,
) -> Judged {
    if message.message_type == MessageType::Acknowledgement && message.code.is_empty() {
        return Ok(());
    }
    if message.status() == Some(Status::SERVICE_UNAVAILABLE) {
        let what = "the server has not so many separate responses at once";
        return Err(Stop::Skip(what.to_owned()));
    }
    message.code(Status::CONTENT)?;
    if message.is_con() && outstanding.contains_key(&message.mid) {
        return Ok(());
    }
    let asked = missing.remove(&message.token);
    message.expect(asked, "one response for each token", "RFC 7252 §5.3.1")?;
    if message.is_con() {
        outstanding.insert(message.mid, message.clone());
    }
    Ok(())
}
