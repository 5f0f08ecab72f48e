//! Responses to somebody else (§5.3.2): they are rejected, each as its type demands (§4.2, §4.3).

use std::net::{Ipv4Addr, SocketAddr};

use coracle_wire::{MessageType, Status};

use super::steps::{
    WRONG, asked, concludes_if_it_waits, concludes_untouched, drops, ignores, resets, waiting,
};
use crate::case::{Case, client};
use crate::host::Host;
use crate::message::{Message, Received};
use crate::probe::PATIENCE;
use crate::talk::Talk;
use crate::verdict::Judged;

/// The cases.
pub(super) const CASES: &[Case] = &[
    client(
        "RFC7252-5.3.2-token-piggybacked",
        "RFC 7252 §5.3.2",
        "A response in the acknowledgement that has another token is not taken",
        token_piggybacked,
    )
    .within(60)
    .steps(&[
        "The client GETs, and gets a response with its Message ID and another token; so for each of four other tokens.",
        "It does not show any of them. If it still waits, it takes the response that follows.",
    ]),
    client(
        "RFC7252-5.3.2-mid-piggybacked",
        "RFC 7252 §5.3.2",
        "A response in an acknowledgement that has another Message ID is not taken",
        mid_piggybacked,
    )
    .steps(&[
        "The client GETs, and gets an acknowledgement with a response that has its token and another Message ID.",
        "It does not show it. If it still waits, it takes the response that follows.",
    ]),
    client(
        "RFC7252-5.3.2-token-separate",
        "RFC 7252 §5.3.2, §4.2",
        "A confirmable response with a token that the client does not wait for is rejected with a Reset",
        token_separate,
    )
    .within(60)
    .steps(&[
        "The client GETs, and gets confirmable responses with four other tokens.",
        "A Reset comes for each, and none is shown; the response that follows is taken.",
    ]),
    client(
        "RFC7252-5.3.2-token-non",
        "RFC 7252 §5.3.2, §4.3",
        "A non-confirmable response with a token that the client does not wait for is not taken",
        token_non,
    )
    .within(60)
    .steps(&[
        "The client GETs, and gets non-confirmable responses with four other tokens.",
        "A Reset comes for each, or nothing, and none is shown; the response that follows is taken.",
    ]),
    client(
        "RFC7252-5.3.2-another-endpoint",
        "RFC 7252 §5.3.2, §4.2, §4.3",
        "A response that comes from another endpoint than the one that was asked is neither taken nor acknowledged",
        another_endpoint,
    )
    .within(60)
    .steps(&[
        "The client GETs, and gets the response from another port: in an acknowledgement, by CON and by NON.",
        "No acknowledgement comes, and none is shown; the response that follows is taken.",
    ]),
];

/// Tokens that are not the client's, though nearly: a byte more, a byte less, none, the last bit.
fn other_tokens(token: &[u8]) -> Vec<Vec<u8>> {
    let longer = [token, b"\0"].concat();
    let shorter = token.get(1..).unwrap_or_default().to_vec();
    let mut changed = token.to_vec();
    if let Some(last) = changed.last_mut() {
        *last ^= 1;
    }
    let mut others = vec![longer, shorter, Vec::new(), changed];
    others.retain(|other| other != token && other.len() <= 8);
    others
}

fn wrong(host: &mut Host, request: &Received) -> Message {
    host.response_to(request, Status::CONTENT).text(WRONG)
}

fn token_piggybacked(host: &mut Host) -> Judged {
    for index in 0..4 {
        let request = asked(host)?;
        let Some(token) = other_tokens(&request.token).get(index).cloned() else {
            continue;
        };
        let response = wrong(host, &request).token(&token);
        ignores(host, &request, &response.to_bytes(), "RFC 7252 §4.2")?;
        concludes_if_it_waits(host, &request, "RFC 7252 §5.3.2")?;
    }
    Ok(())
}

fn mid_piggybacked(host: &mut Host) -> Judged {
    let request = asked(host)?;
    let response = wrong(host, &request).mid(request.mid ^ 0x0101);
    ignores(host, &request, &response.to_bytes(), "RFC 7252 §4.2")?;
    concludes_if_it_waits(host, &request, "RFC 7252 §5.3.2")
}

fn token_separate(host: &mut Host) -> Judged {
    let request = waiting(host)?;
    for token in other_tokens(&request.token) {
        let response = host.separate_to(&request, Status::CONTENT);
        let response = response.text(WRONG).token(&token);
        resets(host, &request, &response.to_bytes())?;
    }
    concludes_untouched(host, &request, "RFC 7252 §5.3.2")
}

fn token_non(host: &mut Host) -> Judged {
    let request = waiting(host)?;
    for token in other_tokens(&request.token) {
        let response = host.separate_to(&request, Status::CONTENT).non();
        let response = response.text(WRONG).token(&token);
        drops(host, &request, &response.to_bytes())?;
    }
    concludes_untouched(host, &request, "RFC 7252 §5.3.2")
}

/// A client whose socket is bound to the server does not even see such datagrams, so that a Reset need not come.
fn another_endpoint(host: &mut Host) -> Judged {
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut stranger = Talk::bind(local, host.frame())?;
    let request = asked(host)?;
    let piggybacked = wrong(host, &request);
    let separate = host.separate_to(&request, Status::CONTENT).text(WRONG);
    let non = host.separate_to(&request, Status::CONTENT).text(WRONG).non();
    for message in [piggybacked, separate, non] {
        // One of two in a row passes the lossy gateway.
        for _ in 0..if host.is_lossy() { 2 } else { 1 } {
            stranger.transmit(request.from, &message.to_bytes());
        }
        while let Some(reply) = stranger.receive(PATIENCE)? {
            let may_be_reset = message.message_type != MessageType::Acknowledgement;
            reply.expect(
                may_be_reset && reply.message_type == MessageType::Reset,
                "at most a Reset towards another endpoint",
                "RFC 7252 §4.2, §4.3",
            )?;
        }
    }
    host.acknowledge(&request);
    concludes_untouched(host, &request, "RFC 7252 §5.3.2")
}
