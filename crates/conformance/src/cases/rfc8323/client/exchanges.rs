//! §3.2, §3.3: requests and responses as clients have them.

use std::time::Duration;

use coracle_wire::{MessageType, Method, OptionNumber, Status};

use super::{RIGHT, WRONG, asked, takes};
use crate::case::{Case, client};
use crate::connected::END;
use crate::host::Host;
use crate::message::Message;
use crate::template::Stimulus;
use crate::transport::{Opening, Transport};
use crate::verdict::Judged;

/// The cases.
pub(super) const CASES: &[Case] = &[
    client(
        "RFC8323-3.3-role-reversal",
        "RFC 8323 §3.3, §4.3",
        "A request of the server to the client is answered, with an error by one that is no server",
        role_reversal,
    )
    .over(Transport::CONNECTIONS)
    .steps(&["The client asks, and is asked itself: GET /.well-known/core.", "A response with the token comes: 5.01, 4.04, another error, or 2.05 of one that is a server, too. Its own answer is shown."]),
    client(
        "RFC8323-3.3-unknown-token",
        "RFC 8323 §3.3, §7.2",
        "A response with a token that nobody asked with is not taken",
        unknown_token,
    )
    .over(Transport::CONNECTIONS)
    .steps(&["The client asks, and gets a response with another token, then the right one.", "The first is not shown. The second is, unless the client has aborted the connection, as it may."]),
    client(
        "RFC8323-3.2-split-anywhere",
        "RFC 8323 §3.2",
        "Where the bytes of a response are split on the way does not matter",
        split_anywhere,
    )
    .over(&[Transport::Tcp])
    .steps(&["The client asks, and gets an empty message and the answer one byte at a time.", "The answer is shown."]),
    client(
        "RFC8323-3.2-lengths",
        "RFC 8323 §3.2, §4.2, §5.3.1",
        "Responses of all lengths are taken, as far as the client has announced them",
        lengths,
    )
    .over(Transport::CONNECTIONS)
    .steps(&["The client asks, and gets answers of 1,000 bytes, and of 70,000 if it takes messages of that length.", "They are shown."]),
    client(
        "RFC8323-3.1-close-before-answer",
        "RFC 8323 §3.1, §3.4",
        "A client whose connection is closed before the answer does not wait for ever",
        close_before_answer,
    )
    .over(Transport::CONNECTIONS)
    .steps(&["The client asks, and the judge closes the connection.", "The command ends without a crash, or asks again by another connection, whose answer it takes."]),
    client(
        "RFC8323-5.3.1-max-message-size",
        "RFC 8323 §5.3.1; RFC 7252 §4.6",
        "No request is longer than what the server takes",
        max_message_size,
    )
    .over(Transport::CONNECTIONS)
    .opened(Opening::Announcing(1152))
    .steps(&["The client PUTs 3,000 bytes to a server that takes 1,152 bytes and offers block-wise transfers.", "No message is longer. The blocks make up the body."]),
    client(
        "RFC8323-8.6-uri-of-request",
        "RFC 8323 §8.5, §8.6; RFC 7252 §6.4",
        "The URI is taken apart into options as with UDP; the default port and address need none",
        uri_of_request,
    )
    .over(Transport::CONNECTIONS)
    .steps(&["The client asks for /a/b%20c?x=1&y.", "Uri-Path is a and `b c`, Uri-Query is x=1 and y; Uri-Host and Uri-Port are left out or are those of the URI."]),
];

fn role_reversal(host: &mut Host) -> Judged {
    let request = asked(host)?;
    let token = host.fresh_token();
    let question = Message::new(MessageType::NonConfirmable, Method::GET, 0).token(&token);
    let question = question.option(OptionNumber::URI_PATH, b".well-known");
    let question = question.option(OptionNumber::URI_PATH, b"core");
    host.send(&request, &question);
    let what = "a response to the request of the server";
    let answer = host.await_message(END, what, |message| message.status().is_some())?;
    answer.answers(&question)?;
    takes(host, &request)
}

fn unknown_token(host: &mut Host) -> Judged {
    let request = asked(host)?;
    let other = host
        .response_to(&request, Status::CONTENT)
        .text(WRONG)
        .token(b"stranger");
    host.send(&request, &other);
    host.answer_text(&request, RIGHT);
    let ended = host.until_end(request.from, Duration::from_secs(3))?;
    host.expect_not_shown(WRONG, "RFC 8323 §3.3")?;
    if ended.abort().is_none() {
        host.expect_shown(RIGHT)?;
    }
    Ok(())
}

fn split_anywhere(host: &mut Host) -> Judged {
    let request = asked(host)?;
    let answer = host.response_to(&request, Status::CONTENT).text(RIGHT);
    let empty = Message::empty(MessageType::NonConfirmable, 0);
    let bytes = [host.encoded(&empty), host.encoded(&answer)].concat();
    for byte in bytes {
        host.send_stream(&request, &[byte])?;
        std::thread::sleep(Duration::from_millis(5));
    }
    host.expect_shown(RIGHT)
}

/// A text of so many bytes that ends in a word.
fn text_of(length: usize) -> String {
    let end = " the end";
    "x".repeat(length.saturating_sub(end.len())) + end
}

fn lengths(host: &mut Host) -> Judged {
    for length in [1_000, 70_000] {
        let request = asked(host)?;
        let longest = host.announced(&request)?.max_message_size.unwrap_or(1152);
        if u64::from(longest) < length + 100 {
            continue;
        }
        host.answer_text(&request, &text_of(usize::try_from(length).unwrap_or(1_000)));
        host.expect_shown("the end")?;
        host.end();
    }
    Ok(())
}

/// A client that asks again, by another connection, gets its answer.
pub(super) fn answer_again(host: &mut Host) -> Judged {
    while let Some(message) = host.receive(Duration::from_secs(2))? {
        if message.method().is_some() {
            host.answer_text(&message, RIGHT);
        }
    }
    Ok(())
}

fn close_before_answer(host: &mut Host) -> Judged {
    let request = asked(host)?;
    host.close(&request)?;
    answer_again(host)?;
    host.finish()?;
    Ok(())
}

fn max_message_size(host: &mut Host) -> Judged {
    let body = text_of(3_000);
    host.start(&Stimulus::new("put", "/test").text(&body))?;
    let mut come: Vec<u8> = Vec::new();
    loop {
        let request = host.request()?;
        request.is_request(Method::PUT)?;
        let length = host.encoded(&request.message).len();
        let what = format!("a message of at most 1,152 bytes, not {length}");
        request.expect(length <= 1152, what, None)?;
        request.has(OptionNumber::BLOCK1)?;
        come.extend(&request.payload);
        let Some(block) = request.block1_value() else {
            return Ok(());
        };
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

fn uri_of_request(host: &mut Host) -> Judged {
    host.start(&Stimulus::get("/a/b%20c?x=1&y"))?;
    let request = host.request()?;
    request.expect(request.uri_path() == "/a/b c", "Uri-Path a and \"b c\"", None)?;
    request.expect(request.queries() == ["x=1", "y"], "Uri-Query x=1 and y", None)?;
    let port = request.options.as_options().get(OptionNumber::URI_PORT);
    let own = host.local().port().to_be_bytes();
    request.expect(
        port.is_none_or(|port| port == own),
        "no Uri-Port, or that of the URI",
        None,
    )?;
    let named = request.options.get(OptionNumber::URI_HOST);
    let own = host.local().ip().to_string();
    let holds = named.is_none_or(|name| name == own.as_bytes());
    request.expect(holds, "no Uri-Host, or that of the URI", None)?;
    takes(host, &request)
}
