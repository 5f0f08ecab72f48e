//! A WebSocket whose client is played byte by byte.

use coracle_net::stream::{Link, ListenOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{listen, within};

/// The request of RFC 8323 §4.1, figure 9.
pub const REQUEST: &str = "GET /.well-known/coap HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Protocol: coap\r\nSec-WebSocket-Version: 13\r\n\r\n";

pub const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: coap\r\n\r\n";

/// A server's link, and the stream of a client that has sent `request` and was let in.
pub async fn by_hand(options: &ListenOptions, request: &[u8]) -> (Link, TcpStream) {
    let (mut listener, address) = listen(options);
    let asking = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = vec![0; ANSWER.len()];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(String::from_utf8(answer).unwrap(), ANSWER);
        stream
    };
    let (link, stream) = within(async { tokio::join!(listener.accept(), asking) }).await;
    (link.unwrap(), stream)
}

/// A frame of a client whose mask changes nothing.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let len = u8::try_from(payload.len()).unwrap();
    [&[first, 0x80 | len, 0, 0, 0, 0], payload].concat()
}
