//! The client's side of the handshake (RFC 6455 §4.1, RFC 8323 §4.1).

use std::io;

use httparse::{EMPTY_HEADER, Response};
use tokio::io::AsyncWriteExt;

use super::head::{Fields, HeadError, PATH, PROTOCOL, VERSION, accept_key, base64, read_head};
use super::{Role, WebSocket, random};
use crate::stream::limits::MAX_FIELDS;
use crate::stream::transport::Transport;

/// Characters of a refusal's body that an error tells.
const TOLD_OF_BODY: usize = 200;

/// Asks the server, which is called `authority`, for CoAP.
///
/// # Errors
/// The connection broke, or the server refuses or does not answer as it has to.
pub(in crate::stream) async fn connect(
    mut transport: Transport,
    authority: &str,
    max_message: usize,
) -> io::Result<WebSocket> {
    let key = base64(&random::<16>()?);
    let request = format!(
        "GET {PATH} HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: {PROTOCOL}\r\nSec-WebSocket-Version: {VERSION}\r\n\r\n"
    );
    transport.write_all(request.as_bytes()).await?;
    transport.flush().await?;
    let parse = |bytes: &[u8]| Response::new(&mut [EMPTY_HEADER; MAX_FIELDS]).parse(bytes);
    let (head, inbox) = read_head(&mut transport, parse)
        .await
        .map_err(|error| match error {
            HeadError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                wrong("it ended the connection without an answer")
            }
            HeadError::Io(error) => error,
            HeadError::TooLong => wrong("the head of its answer is too long"),
            HeadError::Malformed(error) => wrong(&format!("its answer is not HTTP ({error})")),
        })?;
    check(&head, &inbox, &key)?;
    Ok(WebSocket::new(transport, Role::Client, max_message, inbox))
}

/// Whether the answer grants what was asked for, and no more.
fn check(head: &[u8], body: &[u8], key: &str) -> io::Result<()> {
    let mut fields = [EMPTY_HEADER; MAX_FIELDS];
    let mut response = Response::new(&mut fields);
    if !matches!(response.parse(head), Ok(httparse::Status::Complete(_))) {
        return Err(wrong("its answer is not HTTP"));
    }
    let (code, reason) = (
        response.code.unwrap_or_default(),
        response.reason.unwrap_or_default(),
    );
    if code != 101 {
        let told: String = String::from_utf8_lossy(body)
            .chars()
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .take(TOLD_OF_BODY)
            .collect();
        let text = format!("it answers {code} {reason} {}", told.trim());
        return Err(wrong(text.trim()));
    }
    let fields = Fields(response.headers);
    if !fields.upgrades() || fields.only("sec-websocket-accept") != Some(&accept_key(key)) {
        return Err(wrong("it does not answer as a WebSocket server does"));
    }
    if fields.only("sec-websocket-protocol") != Some(PROTOCOL) {
        return Err(wrong(
            "it does not speak the sub-protocol coap (RFC 8323 section 4.1)",
        ));
    }
    if fields.list("sec-websocket-extensions").any(|one| !one.is_empty()) {
        return Err(wrong("it uses an extension that was not asked for"));
    }
    Ok(())
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the server gives no WebSocket for CoAP: {what}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer of RFC 8323 §4.1, figure 9.
    const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: coap\r\n\r\n";

    fn checked(answer: &str, body: &str) -> Result<(), String> {
        check(answer.as_bytes(), body.as_bytes(), "dGhlIHNhbXBsZSBub25jZQ==")
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_answer_of_the_rfc_is_taken() {
        assert_eq!(checked(ANSWER, ""), Ok(()));
    }

    #[test]
    fn another_answer_is_not() {
        let cases = [
            (
                "Upgrade: websocket\r\n",
                "",
                "does not answer as a WebSocket server",
            ),
            ("s3pP", "S3pP", "does not answer as a WebSocket server"),
            ("Sec-WebSocket-Protocol: coap\r\n", "", "the sub-protocol coap"),
            ("Protocol: coap", "Protocol: mqtt", "the sub-protocol coap"),
            (
                "Protocol: coap",
                "Protocol: coap\r\nSec-WebSocket-Extensions: permessage-deflate",
                "extension",
            ),
            ("101 Switching Protocols", "200 OK", "it answers 200 OK"),
        ];
        for (right, wrong, text) in cases {
            let error = checked(&ANSWER.replace(right, wrong), "").unwrap_err();
            assert!(error.contains(text), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_refusal_tells_its_text_without_what_a_terminal_would_obey() {
        let error = checked("HTTP/1.1 403 Forbidden\r\n\r\n", "Not\u{1b}[2Jyou.\n").unwrap_err();
        assert!(error.ends_with("it answers 403 Forbidden Not [2Jyou."), "{error}");
    }
}
