//! §6: blocks of many KiB.

use coracle_wire::{Csm, Status};

use super::super::bert::{BERT, next_after, right_size};
use super::csm::announce;
use crate::case::{Case, server};
use crate::connected::END;
use crate::message::Received;
use crate::probe::Probe;
use crate::transport::{Opening, Transport};
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    server(
        "RFC8323-6-bert-download",
        "RFC 8323 §6, §6.1",
        "Who is asked for blocks of BERT sends such, or smaller ones, that make up the body",
        download,
    )
    .over(Transport::CONNECTIONS)
    .opened(Opening::Silent)
    .needs(&["/large"])
    .shares(&["/large"])
    .steps(&[
        "Announce a Max-Message-Size of 1,300 and block-wise transfers, and GET /large with Block2 0/0/BERT.",
        "Blocks come that have a multiple of 1,024 bytes, or the size they say; the last may be shorter. The next number is the one before and the number of KiB.",
        "Together they are the body that comes in blocks of 64 bytes.",
    ]),
    server(
        "RFC8323-6-bert-offset",
        "RFC 8323 §6",
        "A block of BERT begins at its number times 1,024 bytes",
        offset,
    )
    .over(Transport::CONNECTIONS)
    .opened(Opening::Silent)
    .needs(&["/large"])
    .shares(&["/large"])
    .steps(&[
        "GET /large with Block2 1/0/BERT.",
        "The block begins with byte 1,024 of the body. A server that does not know BERT may say 4.xx, which is inconclusive.",
    ]),
    server(
        "RFC8323-6-bert-upload",
        "RFC 8323 §6, §6.2",
        "Blocks of BERT of different lengths make up the body",
        upload,
    )
    .over(Transport::CONNECTIONS)
    .needs(&["/large-update"])
    .locks(&["/large-update"])
    .steps(&[
        "PUT /large-update in blocks of BERT with 2,048, 1,024 and 700 bytes: 1:0/1/BERT, 1:2/1/BERT, 1:3/0/BERT.",
        "2.31, 2.31 and 2.04 come, each with the number of its block. A GET by BERT, from a client that takes 2,500 bytes, shows the body. It is skipped if the server does not announce BERT.",
    ]),
    server(
        "RFC8323-6-bert-of-odd-length",
        "RFC 8323 §6",
        "A block of BERT that is not the last and has no multiple of 1,024 bytes is refused",
        odd_length,
    )
    .over(Transport::CONNECTIONS)
    .needs(&["/large-update"])
    .locks(&["/large-update"])
    .steps(&[
        "PUT /large-update with a block 1:0/1/BERT of 1,500 bytes.",
        "A 4.xx comes, or the end of the connection; another answer is inconclusive. It is skipped if the server does not announce BERT.",
    ]),
];

/// The body of a resource in blocks of a size at most.
fn fetch(probe: &mut Probe, path: &str, szx: u8) -> Judged<Vec<u8>> {
    let mut request = probe.get(path).block2(0, false, szx);
    let mut body: Vec<u8> = Vec::new();
    loop {
        let answer = probe.ask(&request)?;
        answer.code(Status::CONTENT)?;
        let Some(block) = answer.block2_value() else {
            answer.expect(body.is_empty(), "a Block2", "RFC 7959 §2.4")?;
            return Ok(answer.payload.clone());
        };
        right_size(&answer, block)?;
        let begins = u64::from(block.num()) * block.size() as u64;
        answer.expect(
            begins == body.len() as u64,
            "the block that was asked for",
            "RFC 8323 §6",
        )?;
        body.extend(&answer.payload);
        if !block.more() {
            return Ok(body);
        }
        let num = next_after(block, answer.payload.len());
        request = probe.get(path).block2(num, false, block.szx());
    }
}

fn download(probe: &mut Probe) -> Judged {
    announce(probe, 1_300);
    let expected = fetch(probe, "/large", 2)?;
    let body = fetch(probe, "/large", BERT)?;
    if body == expected {
        return Ok(());
    }
    let what = format!(
        "expected the same {} bytes by BERT as in blocks of 64, but got {} other ones",
        expected.len(),
        body.len()
    );
    Err(Stop::fail(what, None))
}

fn offset(probe: &mut Probe) -> Judged {
    announce(probe, 2_500);
    let body = fetch(probe, "/large", 2)?;
    let request = probe.get("/large").block2(1, false, BERT);
    let answer = probe.ask(&request)?;
    if answer.code.class() == 4 {
        let what = "the server does not know BERT, as it seems";
        return Err(Stop::Inconclusive(what.to_owned()));
    }
    answer.code(Status::CONTENT)?;
    let block = answer.block2_value();
    let begins = block.map(|block| u64::from(block.num()) * block.size() as u64);
    answer.expect(begins == Some(1024), "a block that begins at byte 1,024", None)?;
    let rest = body.get(1024..).unwrap_or_default();
    answer.expect(rest.starts_with(&answer.payload), "the bytes from 1,024 on", None)?;
    Ok(())
}

/// The server has said that it takes blocks of BERT with so many bytes.
fn takes_bert(announced: &Csm, bytes: u32) -> Judged {
    let longest = announced.max_message_size.unwrap_or(Csm::BASE_MAX_MESSAGE_SIZE);
    if announced.block_wise_transfer && longest > Csm::BASE_MAX_MESSAGE_SIZE && longest >= bytes + 100 {
        return Ok(());
    }
    Err(Stop::Skip("the server does not announce BERT".to_owned()))
}

/// A PUT of a block.
fn put_block(probe: &mut Probe, (num, more): (u32, bool), payload: &[u8]) -> Judged<Received> {
    let put = probe.put("/large-update", "").block1(num, more, BERT);
    let answer = probe.ask(&put.payload(payload))?;
    if let Some(block) = answer.block1_value() {
        answer.expect(block.num() == num, "the number of the block", "RFC 7959 §2.3")?;
    }
    Ok(answer)
}

fn upload(probe: &mut Probe) -> Judged {
    takes_bert(&probe.announced()?, 2048)?;
    let body: Vec<u8> = (0..3772_u32)
        .map(|at| b'a' + u8::try_from(at / 64 % 26).unwrap_or(0))
        .collect();
    let blocks = [
        ((0, true), 0..2048),
        ((2, true), 2048..3072),
        ((3, false), 3072..3772),
    ];
    for (which, range) in blocks {
        let payload = body.get(range).unwrap_or_default();
        let answer = put_block(probe, which, payload)?;
        if which.1 {
            answer.code(Status::CONTINUE)?;
        } else {
            answer.code_in(&[Status::CHANGED, Status::CREATED])?;
        }
    }
    let mut other = probe.another_opened(Opening::Announcing(2_500))?;
    let now = fetch(&mut other, "/large-update", BERT)?;
    if now == body {
        return Ok(());
    }
    let what = format!(
        "expected the {} bytes that were put, but {} others are there",
        body.len(),
        now.len()
    );
    Err(Stop::fail(what, None))
}

fn odd_length(probe: &mut Probe) -> Judged {
    takes_bert(&probe.announced()?, 2048)?;
    let put = probe.put("/large-update", "").block1(0, true, BERT);
    probe.send(&put.clone().payload(&[b'x'; 1500]));
    let came = probe.until_answered_or_ended(END)?;
    match came.messages.iter().find(|message| message.status().is_some()) {
        Some(answer) if answer.code.class() == 4 => Ok(()),
        // The rule is for who sends it; what becomes of it is not told.
        Some(answer) => Err(Stop::Inconclusive(format!(
            "the server takes a block of BERT that has no multiple of 1,024 bytes: {}",
            answer.message
        ))),
        None => came
            .is_over("for a block of BERT that has no multiple of 1,024 bytes")
            .map(drop),
    }
}
