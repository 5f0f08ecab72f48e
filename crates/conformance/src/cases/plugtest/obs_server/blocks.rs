//! Observed resources that need blocks. Only registrations are lost: where acknowledgements and requests for blocks
//! take turns, a gateway that loses every third datagram may lose all of one kind.

use coracle_wire::{OptionNumber, Status};

use crate::message::{Message, Received};
use crate::probe::Probe;
use crate::verdict::{Judged, Stop};

use super::super::super::watch::{Watch, lose_no_more};

/// How many notifications are looked at until enough of them are of the kind that is wanted, or can be fetched whole:
/// the resource may change again meanwhile.
const MOST: usize = 8;

pub(super) fn obs_13(probe: &mut Probe) -> Judged {
    let (mut watch, response) = Watch::register(probe, "/obs-large")?;
    lose_no_more(probe);
    if !is_large(&response)? {
        return Err(Stop::Skip("the server's /obs-large needs no blocks".to_owned()));
    }
    whole(probe, &watch.request.clone(), &response)?;
    let mut fetched = 0;
    for _ in 0..MOST {
        let notification = watch.next_acknowledged(probe)?;
        notification.has(OptionNumber::BLOCK2)?;
        is_large(&notification)?;
        fetched += usize::from(whole(probe, &watch.request.clone(), &notification)?);
        if fetched == 2 {
            watch.leave(probe);
            return Ok(());
        }
    }
    Err(never_whole())
}

/// Observes until a notification has the other form than the first response, then registers anew, so that the first
/// response has that form.
pub(super) fn obs_14(probe: &mut Probe) -> Judged {
    let (mut seen, mut first_seen, mut fetched) = ([false; 2], [false; 2], false);
    for _ in 0..MOST {
        let (mut watch, response) = Watch::register(probe, "/obs-pumping")?;
        lose_no_more(probe);
        let large = is_large(&response)?;
        set(&mut first_seen, large);
        fetched |= large && whole(probe, &watch.request.clone(), &response)?;
        for _ in 0..MOST {
            let notification = watch.next_acknowledged(probe)?;
            let notified_large = is_large(&notification)?;
            set(&mut seen, notified_large);
            fetched |= notified_large && whole(probe, &watch.request.clone(), &notification)?;
            if seen == [true; 2] && notified_large != large {
                break;
            }
        }
        watch.leave(probe);
        if seen != [true; 2] {
            return Err(Stop::Skip(
                "the server's /obs-pumping has but one form".to_owned(),
            ));
        }
        if first_seen == [true; 2] && fetched {
            return Ok(());
        }
    }
    if fetched {
        return Err(Stop::Inconclusive(
            "no first response had the other form".to_owned(),
        ));
    }
    Err(never_whole())
}

fn set(seen: &mut [bool; 2], large: bool) {
    let [small_seen, large_seen] = seen;
    *(if large { large_seen } else { small_seen }) = true;
}

fn never_whole() -> Stop {
    let what =
        "expected further blocks of the representation that was notified, but none could be fetched whole";
    Stop::fail(what, "RFC 7959 §2.6")
}

/// Whether it is a first block, which has to be full.
fn is_large(response: &Received) -> Judged<bool> {
    let Some(block) = response.block2_value() else {
        response.lacks(OptionNumber::BLOCK2)?;
        return Ok(false);
    };
    if block.num() == 0 && !block.more() {
        return Ok(false);
    }
    response.expect(
        block.num() == 0 && response.payload.len() == block.size(),
        "a full first block",
        "RFC 7959 §2.2, §2.6",
    )?;
    Ok(true)
}

/// Fetches the further blocks, with a token of their own; `false` if the resource has changed meanwhile.
fn whole(probe: &mut Probe, request: &Message, first: &Received) -> Judged<bool> {
    let Some(mut block) = first.block2_value() else {
        return Ok(true);
    };
    let mut num = 0;
    while block.more() {
        num += 1;
        let mut next = request.clone().mid(probe.fresh_mid()).token(&probe.fresh_token());
        next.options.remove(OptionNumber::OBSERVE);
        let answer = probe.ask(&next.block2(num, false, block.szx()))?;
        if answer.status() != Some(Status::CONTENT) || answer.first_etag() != first.first_etag() {
            return Ok(false);
        }
        block = probe.check_block(&answer, num, block.szx())?;
    }
    Ok(true)
}
