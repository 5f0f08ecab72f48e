//! §6: BERT as clients have it.

use coracle_wire::{Csm, Method, OptionNumber, Status};

use super::super::bert::{BERT, next_after, right_size};
use crate::case::{Case, client};
use crate::host::Host;
use crate::message::Received;
use crate::template::Stimulus;
use crate::transport::{Opening, Transport};
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    client(
        "RFC8323-6-bert-download",
        "RFC 8323 §6, §6.1",
        "Blocks of BERT of different lengths are taken, and the next is asked for where they end",
        download,
    )
    .over(Transport::CONNECTIONS)
    .opened(Opening::Announcing(100_000))
    .steps(&[
        "The client asks, and gets 2:0/1/BERT with 2,048 bytes, then with 1,024, then the rest of 700, if it announces BERT for messages of that length.",
        "It asks for the blocks 2 and 3, with BERT or smaller. The end of the body is shown.",
    ]),
    client(
        "RFC8323-6-bert-upload",
        "RFC 8323 §6, §6.2",
        "A body goes in messages that the server takes: whole, or in blocks of BERT or smaller ones",
        upload,
    )
    .over(Transport::CONNECTIONS)
    .opened(Opening::Announcing(4_500))
    .steps(&[
        "The client PUTs 9,000 bytes to a server that takes messages of 4,500.",
        "No message is longer. Each block has the size that it says, or of BERT a multiple of 1,024, and begins where the one before ends.",
    ]),
];

/// How long the pieces of the body are.
const PIECES: [usize; 3] = [2048, 1024, 700];

/// Where a request asks a piece from, in bytes.
fn asked_from(request: &Received) -> Judged<u64> {
    let Some(block) = request.block2_value() else {
        return Ok(0);
    };
    Ok(u64::from(block.num()) * block.size() as u64)
}

fn download(host: &mut Host) -> Judged {
    host.start(&Stimulus::get("/large"))?;
    let mut request = host.request()?;
    let announced = host.announced(&request)?;
    let longest = announced.max_message_size.unwrap_or(Csm::BASE_MAX_MESSAGE_SIZE);
    if !announced.block_wise_transfer || longest < 2_200 {
        return Err(Stop::Skip("the client does not announce BERT".to_owned()));
    }
    let mut from = 0_usize;
    for (index, length) in PIECES.into_iter().enumerate() {
        let asked = asked_from(&request)?;
        let what = format!("the block that begins at byte {from}");
        request.expect(asked == from as u64, what, "RFC 8323 §6")?;
        let last = index + 1 == PIECES.len();
        let end = if last { "the end of all" } else { "" };
        let text = "x".repeat(length - end.len()) + end;
        let num = u32::try_from(from / 1024).unwrap_or(u32::MAX);
        let answer = host.response_to(&request, Status::CONTENT).text(&text);
        host.answer(&request, &answer.block2(num, !last, BERT));
        from += length;
        if !last {
            request = host.request()?;
            request.is_request(Method::GET)?;
        }
    }
    host.expect_shown("the end of all")
}

fn upload(host: &mut Host) -> Judged {
    let body = "0123456789".repeat(900);
    host.start(&Stimulus::new("put", "/large-update").text(&body))?;
    let (mut come, mut next) = (Vec::<u8>::new(), 0_u64);
    loop {
        let request = host.request()?;
        let length = host.encoded(&request.message).len();
        let what = format!("a message of at most 4,500 bytes, not {length}");
        request.expect(length <= 4_500, what, "RFC 8323 §5.3.1")?;
        request.has(OptionNumber::BLOCK1)?;
        let Some(block) = request.block1_value() else {
            return Ok(());
        };
        right_size(&request, block)?;
        let begins = u64::from(block.num()) * block.size() as u64;
        request.expect(
            begins == next,
            "a block that begins where the one before ends",
            None,
        )?;
        if block.szx() == BERT && block.more() {
            next = u64::from(next_after(block, request.payload.len())) * 1024;
        } else {
            next += request.payload.len() as u64;
        }
        come.extend(&request.payload);
        let code = if block.more() {
            Status::CONTINUE
        } else {
            Status::CHANGED
        };
        let answer = host.response_to(&request, code);
        let answer = answer.block1(block.num(), block.more(), block.szx());
        host.answer(&request, &answer);
        if !block.more() {
            let whole = come == body.as_bytes();
            request.expect(whole, "the blocks of the body", "RFC 7959 §2.3")?;
            return Ok(());
        }
    }
}
