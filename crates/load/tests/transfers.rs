//! Bodies block by block, with a server that likes smaller blocks, changes its mind, or gets it wrong.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::collections::HashMap;
use std::sync::mpsc;
use std::time::Duration;

use coracle_load::{Expect, Load, Plan, Request, Until, Work, Wrong};
use coracle_wire::{BlockOption, Message, Method, OptionNumber, OptionsBuf, Status};

mod server;
use server::{response, serve, with_options};

fn plan(server: std::net::SocketAddr, work: Work) -> Plan {
    let method = if work == Work::Upload {
        Method::PUT
    } else {
        Method::GET
    };
    let mut plan = Plan::new(server, Request::new(method, OptionsBuf::new()));
    plan.work = work;
    plan.timeout = Duration::from_secs(5);
    plan
}

fn body() -> Vec<u8> {
    (0..=250).cycle().take(5000).collect()
}

/// The block that is asked for, at most `szx` large.
fn block_of(body: &[u8], request: &Message<'_>, szx: u8) -> Vec<u8> {
    let asked = request.options.block2().unwrap().unwrap();
    let szx = asked.szx().min(szx);
    let offset = usize::try_from(asked.offset()).unwrap();
    let size = 16 << szx;
    let end = (offset + size).min(body.len());
    let number = u32::try_from(offset / size).unwrap();
    let block = BlockOption::new(number, end < body.len(), szx).unwrap();
    with_options(
        request,
        Status::CONTENT,
        &[
            (OptionNumber::ETAG, b"1"),
            (OptionNumber::BLOCK2, block.encode().as_ref()),
        ],
        &body[offset..end],
    )
}

#[tokio::test]
async fn bodies_are_downloaded_in_blocks_as_small_as_the_server_likes() {
    let body = body();
    let served = body.clone();
    let server = serve(move |request, _| vec![block_of(&served, request, 5)]);
    let mut plan = plan(server, Work::Download);
    plan.peers = 3;
    plan.expect = Expect::Payload(body.into());
    let mut load = Load::start(plan).unwrap();
    let tally = load.run(Until::Answered(6)).await.unwrap();
    let rest = load.settle(Duration::ZERO).await.unwrap();
    assert_eq!((tally.wrong_answers(), tally.strays + rest.strays), (0, 0));
    assert!(tally.blocks >= 60 && tally.body_bytes >= 6 * 5000, "{tally:?}");
}

#[tokio::test]
async fn a_body_that_changes_on_the_way_and_a_wrong_block_are_wrong() {
    let mut count = 0;
    let server = serve(move |request, _| {
        count += 1;
        let mut body = body();
        match count {
            // Another block than the one that was asked for; then bodies of which the second differs.
            2 => {
                return vec![with_options(
                    request,
                    Status::CONTENT,
                    &[(OptionNumber::BLOCK2, &[0x7e])],
                    &[0; 1024],
                )];
            }
            3..=7 => {}
            _ => body[4500] ^= 1,
        }
        vec![block_of(&body, request, 6)]
    });
    let mut load = Load::start(plan(server, Work::Download)).unwrap();
    let tally = load.run(Until::Answered(1)).await.unwrap();
    assert_eq!(tally.wrong.into_iter().collect::<Vec<_>>(), [(Wrong::Block, 1)]);
    let tally = load.run(Until::Passed(Duration::from_millis(500))).await.unwrap();
    assert_eq!((tally.wrong.len(), tally.answered), (1, 0));
    assert!(tally.wrong.get(&Wrong::Payload) >= Some(&1));
}

#[tokio::test]
async fn bodies_are_uploaded_whole_and_in_order() {
    let (tell, told) = mpsc::channel();
    let mut bodies: HashMap<_, Vec<u8>> = HashMap::new();
    let server = serve(move |request, from| {
        let block = request.options.block1().unwrap().unwrap();
        let body = bodies.entry(from).or_default();
        if block.num() == 0 {
            body.clear();
            assert_eq!(request.options.get_uint(OptionNumber::SIZE1), Some(5000));
        }
        assert_eq!(block.offset(), body.len() as u64);
        body.extend_from_slice(request.payload);
        if !block.more() {
            tell.send(std::mem::take(body)).unwrap();
        }
        // Smaller blocks from the second on.
        let answer = BlockOption::new(block.num(), block.more(), block.szx().min(4)).unwrap();
        let status = if block.more() {
            Status::CONTINUE
        } else {
            Status::CHANGED
        };
        // As libcoap does, the last answer goes without.
        let encoded = answer.encode();
        let option: &[(OptionNumber, &[u8])] = match block.more() {
            true => &[(OptionNumber::BLOCK1, encoded.as_ref())],
            false => &[],
        };
        vec![with_options(request, status, option, b"")]
    });
    let mut plan = plan(server, Work::Upload);
    (plan.peers, plan.request.payload) = (2, body().into());
    let mut load = Load::start(plan).unwrap();
    let tally = load.run(Until::Answered(4)).await.unwrap();
    assert_eq!(tally.wrong_answers(), 0, "{tally:?}");
    assert_eq!(tally.codes.get(&Status::CHANGED), Some(&tally.answered));
    let whole: Vec<_> = told.try_iter().take(4).collect();
    assert!(whole.len() == 4 && whole.iter().all(|uploaded| *uploaded == body()));
}

#[tokio::test]
async fn an_upload_that_is_confirmed_too_early_is_wrong() {
    let server = serve(|request, _| vec![response(request, Status::CHANGED, b"")]);
    let mut plan = plan(server, Work::Upload);
    plan.request.payload = body().into();
    plan.timeout = Duration::from_millis(50);
    let mut load = Load::start(plan).unwrap();
    let tally = load.run(Until::Passed(Duration::from_millis(500))).await.unwrap();
    assert!(tally.wrong.get(&Wrong::Block) >= Some(&1));
    assert_eq!(tally.answered, 0);
    assert!(tally.first_wrong.unwrap().contains("no Block1"));
}

#[tokio::test]
async fn transfers_that_all_come_to_nothing_end_the_run() {
    let server = serve(move |request, _| vec![block_of(&body(), request, 6)]);
    let mut plan = plan(server, Work::Download);
    plan.expect = Expect::Payload(b"another"[..].into());
    plan.timeout = Duration::from_millis(100);
    let mut load = Load::start(plan).unwrap();
    let hopeless = load.run(Until::Answered(1)).await.unwrap_err();
    assert_eq!(hopeless.kind(), std::io::ErrorKind::TimedOut);
    assert!(
        hopeless
            .to_string()
            .contains("a body of 5000 bytes is not the one it should be")
    );
}
