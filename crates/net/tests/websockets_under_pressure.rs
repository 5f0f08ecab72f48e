//! WebSockets whose peer reads late, never, or says much that means nothing.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod links;

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake};

use coracle_net::stream::{ConnectOptions, ListenOptions};
use links::by_hand::{REQUEST, by_hand, frame};
use links::{close, pair, pattern, read, read_end, within, write};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn server() -> ListenOptions {
    ListenOptions {
        websocket: true,
        ..ListenOptions::default()
    }
}

#[tokio::test]
async fn a_writer_is_held_back_by_a_reader_that_does_not_read() {
    let client = ConnectOptions {
        websocket: true,
        ..ConnectOptions::default()
    };
    let (mut server, mut client) = pair(&server(), &client).await;
    let message = pattern(1 << 16);
    let mut written = 0;
    let full = poll_fn(|cx| {
        while written < 1 << 28 {
            match client.poll_write(cx, &message[written % message.len()..]) {
                Poll::Ready(taken) => written += taken.unwrap(),
                Poll::Pending => return Poll::Ready(true),
            }
        }
        Poll::Ready(false)
    });
    assert!(tokio::task::unconstrained(full).await, "256 MiB and no end");
    let rest = message[written % message.len()..].to_vec();
    within(async {
        let written_on = async {
            // The one that is cut off goes on, if there is one.
            if rest.len() < message.len() {
                write(&mut client, &rest).await.unwrap();
            }
            write(&mut client, b"end").await
        };
        let (sent, ()) = tokio::join!(written_on, async {
            for _ in 0..written.div_ceil(message.len()) {
                assert!(read(&mut server, message.len()).await.unwrap() == message);
            }
            assert_eq!(read(&mut server, 3).await.unwrap(), b"end");
        });
        sent.unwrap();
    })
    .await;
}

/// What is said to be taken counts as read by the peer, sooner or later: it must not wait here instead.
#[tokio::test]
async fn what_a_writer_was_told_to_be_taken_has_left_but_for_a_little() {
    let (mut link, mut stream) = by_hand(&server(), REQUEST.as_bytes()).await;
    let message = pattern(1 << 20);
    let mut written = 0;
    let full = poll_fn(|cx| {
        while let Poll::Ready(taken) = link.poll_write(cx, &message[written % message.len()..]) {
            written += taken.unwrap();
        }
        Poll::Ready(())
    });
    tokio::task::unconstrained(full).await;
    // What the system has of it is still delivered.
    drop(link);
    let mut told = Vec::new();
    within(stream.read_to_end(&mut told)).await.unwrap();
    assert!(written <= told.len() + (32 << 10), "{written} and {}", told.len());
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Each empty part of a message is a frame, and there may be many.
#[tokio::test]
async fn frames_that_give_no_message_are_read_a_bounded_number_at_once() {
    let (mut link, stream) = by_hand(&server(), REQUEST.as_bytes()).await;
    let parts = [frame(0x02, b""), frame(0x00, b"").repeat(200_000)].concat();
    let mut sent = 0;
    while sent < parts.len()
        && let Ok(more) = stream.try_write(&parts[sent..])
    {
        sent += more;
    }
    assert!(sent > 1 << 19, "the system takes too little: {sent}");
    let woken = Arc::new(Woken(AtomicBool::new(false)));
    let waker = woken.clone().into();
    let (mut message, mut own) = (Vec::new(), Context::from_waker(&waker));
    within(tokio::task::unconstrained(async {
        loop {
            // Who is woken within the call has left some for its next turn.
            woken.0.store(false, Ordering::Relaxed);
            let pending = link.poll_read(&mut own, &mut message, 1).is_pending();
            assert!(pending && message.is_empty());
            if woken.0.load(Ordering::Relaxed) {
                break;
            }
            tokio::task::yield_now().await;
        }
    }))
    .await;
}

/// What was taken goes on its way when the peer listens again, without anybody asking for it a second time.
#[tokio::test]
async fn an_answer_that_had_to_wait_goes_out_by_itself() {
    let (mut link, mut stream) = by_hand(&server(), REQUEST.as_bytes()).await;
    let message = pattern(1000);
    let mut count = 0;
    let blocked = poll_fn(|cx| {
        loop {
            assert!(link.poll_write(cx, &message).is_ready());
            count += 1;
            if link.poll_flush(cx).is_pending() {
                return Poll::Ready(());
            }
        }
    });
    tokio::task::unconstrained(blocked).await;
    stream.write_all(&frame(0x89, b"there?")).await.unwrap();
    stream.write_all(&frame(0x82, b"heard")).await.unwrap();
    assert_eq!(within(read(&mut link, 5)).await.unwrap(), b"heard");
    let mut told = vec![0; count * (4 + message.len()) + 8];
    within(async {
        tokio::select! {
            message = read(&mut link, 1) => panic!("{message:?}"),
            heard = stream.read_exact(&mut told) => heard.unwrap(),
        }
    })
    .await;
    assert!(told.ends_with(b"\x8a\x06there?"));
}

/// Answers that nobody listens to keep us from nothing; what memory they take is counted elsewhere.
#[tokio::test]
async fn a_peer_may_ask_first_and_listen_later() {
    let (mut link, mut stream) = by_hand(&server(), REQUEST.as_bytes()).await;
    let pings = frame(0x89, &[b'?'; 125]).repeat(1000);
    let reading = async {
        read_end(&mut link).await.unwrap();
        close(&mut link).await.unwrap();
    };
    let asking = async {
        // 32 MiB: more than the system keeps of the answers.
        for _ in 0..256 {
            stream.write_all(&pings).await.unwrap();
        }
        stream.write_all(&frame(0x88, &[])).await.unwrap();
        let mut told = Vec::new();
        stream.read_to_end(&mut told).await.unwrap();
        drop(stream);
        told
    };
    let ((), told) = within(async { tokio::join!(reading, asking) }).await;
    assert!(
        told.ends_with(&[0x88, 0]) && told.len() % 127 == 2,
        "{}",
        told.len()
    );
}
