//! RFC 9175: addresses prove themselves by Echo.

use coracle_wire::{MessageType, OptionNumber, Status};

use crate::case::{Case, server};
use crate::probe::{LONG, Probe};
use crate::verdict::{Judged, Stop};

/// All, for servers.
pub(super) fn cases() -> Vec<Case> {
    CASES.to_vec()
}

const CASES: &[Case] = &[server(
    "RFC9175-2.4-long-answers-after-a-proof",
    "RFC 9175 §2.3, §2.4, §2.6",
    "Whoever has not proved the address gets at most three times what was sent, and more with the Echo value",
    long_answers_after_a_proof,
)
.steps(&[
    "A client that the server does not know asks for its list of links, without Block2.",
    "The response is at most three times as long; it is no confirmable message where it has an Echo option.",
    "The client asks again, with the Echo value if there is one.",
    "The response is not 4.01, and its block is not smaller. Servers that do not take part are skipped: it is a SHOULD.",
])];

fn long_answers_after_a_proof(probe: &mut Probe) -> Judged {
    let mut stranger = probe.another_stranger()?;
    let request = stranger.get(LONG);
    let answer = stranger.ask(&request)?;
    let (asked, answered) = (request.to_bytes().len(), answer.to_bytes().len());
    if answered > 3 * asked {
        let what = format!(
            "the server gives {answered} bytes for {asked} to whoever asks (RFC 9175 §2.6: SHOULD NOT)"
        );
        return Err(Stop::Skip(what));
    }
    let Some(echo) = answer.options.get(OptionNumber::ECHO) else {
        return Err(Stop::Skip(
            "the server asks for no proof of the address".to_owned(),
        ));
    };
    answer.expect(
        answer.message_type != MessageType::Confirmable,
        "no confirmable message with Echo",
        "RFC 9175 §2.4",
    )?;
    answer.expect(
        (1..=40).contains(&echo.len()),
        "an Echo value of 1 to 40 bytes",
        "RFC 9175 §2.2.1",
    )?;
    let request = stranger.get(LONG).option(OptionNumber::ECHO, echo);
    let proved = stranger.ask(&request)?;
    proved.code(Status::CONTENT)?;
    proved.expect(
        proved.payload.len() >= answer.payload.len(),
        "at least as much as before",
        "RFC 9175 §2.3",
    )?;
    Ok(())
}
