//! Bodies, and how the judge as a client sends them block by block.

use coracle_wire::{OptionNumber, Status};

use crate::cases::plugtest::client_blocks::body;
use crate::message::{Message, Received};
use crate::probe::Probe;
use crate::verdict::{Judged, Stop};

/// A text that no other case sends, of which no 16 bytes occur twice.
pub(super) fn own_text(probe: &mut Probe, length: usize) -> String {
    let name = probe.fresh_mid();
    body(&format!("{name:04x}"), length)
}

/// A request whose body goes in blocks of one size, all with its token.
pub(super) struct Upload {
    request: Message,
    body: Vec<u8>,
    szx: u8,
}

impl Upload {
    pub(super) fn new(request: Message, body: &str, szx: u8) -> Upload {
        Upload {
            request,
            body: body.as_bytes().to_vec(),
            szx,
        }
    }

    fn size(&self) -> usize {
        16 << self.szx
    }

    /// The number of its last block.
    pub(super) fn last(&self) -> u32 {
        u32::try_from(self.body.len().saturating_sub(1) / self.size()).unwrap_or(u32::MAX)
    }

    /// The message with one block.
    pub(super) fn block(&self, probe: &mut Probe, num: u32) -> Message {
        let block = self.body.chunks(self.size()).nth(num as usize);
        let request = self.request.clone().mid(probe.fresh_mid());
        request
            .payload(block.unwrap_or_default())
            .block1(num, num < self.last(), self.szx)
    }

    /// Sends one block.
    pub(super) fn send(&self, probe: &mut Probe, num: u32) -> Judged<Received> {
        let request = self.block(probe, num);
        probe.ask(&request)
    }

    /// Sends a block that is not the last to a server that collects them.
    pub(super) fn send_early(&self, probe: &mut Probe, num: u32) -> Judged<Received> {
        let response = self.send(probe, num)?;
        collected(&response, num, self.szx)?;
        Ok(response)
    }

    /// Sends all blocks but the last.
    pub(super) fn begin(&self, probe: &mut Probe) -> Judged {
        (0..self.last()).try_for_each(|num| self.send_early(probe, num).map(drop))
    }

    /// Sends all blocks; gives the response to the last.
    pub(super) fn send_all(&self, probe: &mut Probe) -> Judged<Received> {
        self.begin(probe)?;
        self.send(probe, self.last())
    }
}

/// A block that is not the last was taken, and the server waits for the others.
///
/// What a server need not offer is skipped: the resource, the method, bodies in blocks, and their atomic assembly
/// (RFC 7959 §2.3 lets it act on each block).
pub(super) fn collected(response: &Received, num: u32, szx: u8) -> Judged {
    let missing = match response.status() {
        Some(Status::NOT_FOUND | Status::METHOD_NOT_ALLOWED | Status::NOT_IMPLEMENTED) => {
            "does not offer the method here"
        }
        Some(Status::BAD_OPTION) => "does not know Block1",
        Some(Status::REQUEST_ENTITY_TOO_LARGE | Status::SERVICE_UNAVAILABLE) => {
            "takes no body in blocks here"
        }
        Some(status) if status != Status::CONTINUE && status.is_success() && is_single(response) => {
            "acts on each block by itself"
        }
        _ => return continues(response, num, szx),
    };
    Err(Stop::Skip(format!("the server {missing}")))
}

/// The server says that it has acted on this block alone.
fn is_single(response: &Received) -> bool {
    response.block1_value().is_some_and(|block| !block.more())
}

/// It is a 2.31 as §2.3 and §2.9.1 have it.
fn continues(response: &Received, num: u32, szx: u8) -> Judged {
    response.code(Status::CONTINUE)?;
    let block = response.block1_value();
    let echoes = block.is_some_and(|block| block.num() == num && block.more() && block.szx() <= szx);
    let expected = format!("Block1 {num} with M, of at most {} bytes", 16 << szx);
    response.expect(echoes, expected, "RFC 7959 §2.3")?;
    response.lacks(OptionNumber::BLOCK2)?;
    response.expect(
        response.payload.is_empty(),
        "no payload in a 2.31",
        "RFC 7959 §2.9.1",
    )?;
    Ok(())
}

/// What a client gets from a resource.
pub(super) fn body_of(probe: &mut Probe, path: &str) -> Judged<Vec<u8>> {
    let get = probe.get(path);
    let (response, body) = probe.fetch_body(&get)?;
    response.code(Status::CONTENT)?;
    Ok(body)
}

/// A GET gives this body.
pub(super) fn is_there(probe: &mut Probe, path: &str, expected: &[u8]) -> Judged {
    let get = probe.get(path);
    let (response, body) = probe.fetch_body(&get)?;
    response.code(Status::CONTENT)?;
    let whole = format!("the body \"{}\"", expected.escape_ascii());
    response.expect(body == expected, whole, None)?;
    Ok(())
}

/// The response is an error.
pub(super) fn is_refused(response: &Received, expected: &str, section: &'static str) -> Judged {
    let refused = response
        .status()
        .is_some_and(|status| status.is_client_error() || status.is_server_error());
    response.expect(refused, expected, section)?;
    Ok(())
}
