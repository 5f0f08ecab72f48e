//! What the server says it has.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use coracle::formats::link_format::Links;
use coracle_wire::{BlockOption, Message, MessageId, MessageType, MessageWriter, Method, OptionNumber};

use super::generate::MAX_PATHS;

/// How often a request is sent, and how long each waits.
const TRIES: usize = 3;
const WAIT: Duration = Duration::from_millis(700);

/// How many blocks of the list are fetched.
const MAX_BLOCKS: u32 = 64;

const TOKEN: &[u8] = b"core";

/// The paths of the first resources that `/.well-known/core` lists (RFC 6690 §4), as far as it could be read; none if
/// there is no such list.
pub(super) fn paths(socket: &UdpSocket) -> Vec<String> {
    let mut list = Vec::new();
    for num in 0..MAX_BLOCKS {
        let Some((block, more)) = fetch(socket, num, list.len()) else {
            break;
        };
        list.extend(block);
        if !more {
            break;
        }
    }
    // The end may be cut off: what was read before it counts.
    let text = String::from_utf8_lossy(&list);
    let mut paths = targets(&text);
    if paths.is_empty() {
        let whole = text.rfind(",<").and_then(|end| text.get(..end));
        paths = targets(whole.unwrap_or_default());
    }
    paths
}

fn targets(text: &str) -> Vec<String> {
    let Ok(links) = Links::parse(text) else {
        return Vec::new();
    };
    let targets = links
        .iter()
        .map(|link| link.target().split('?').next().unwrap_or_default());
    let local = targets.filter(|target| target.starts_with('/') && !target.starts_with("//"));
    local.map(str::to_owned).take(MAX_PATHS).collect()
}

/// One block and whether more follow.
fn fetch(socket: &UdpSocket, num: u32, offset: usize) -> Option<(Vec<u8>, bool)> {
    let mut request = [0; 128];
    let id = MessageId(u16::try_from(num).ok()?.wrapping_add(0x4000));
    let kind = MessageType::Confirmable;
    let mut writer = MessageWriter::new(&mut request, kind, Method::GET, id, TOKEN)
        .option(OptionNumber::URI_PATH, b".well-known")
        .option(OptionNumber::URI_PATH, b"core");
    if num > 0 {
        writer = writer.option(
            OptionNumber::BLOCK2,
            &BlockOption::new(num, false, szx(num, offset)?).ok()?.encode(),
        );
    }
    let len = writer.finish().ok()?;
    for _ in 0..TRIES {
        // What cannot be sent is not answered, and a closed port is told by whoever probes.
        let _ = socket.send(request.get(..len)?);
        let deadline = Instant::now() + WAIT;
        while let Some(left) = deadline
            .checked_duration_since(Instant::now())
            .filter(|left| !left.is_zero())
        {
            let mut reply = vec![0; 65_535];
            let _ = socket.set_read_timeout(Some(left));
            let Ok(len) = socket.recv(&mut reply) else {
                continue;
            };
            let Ok(message) = Message::parse(reply.get(..len)?) else {
                continue;
            };
            if message.token == TOKEN && is_block(&message, num) {
                acknowledge(socket, &message);
                let more = message
                    .options
                    .block2()
                    .is_some_and(|block| block.is_ok_and(BlockOption::more));
                let found = message.code.class() == 2;
                return found.then(|| (message.payload.to_vec(), more));
            }
        }
    }
    None
}

/// The size that the server chose: all blocks before this one are full.
fn szx(num: u32, offset: usize) -> Option<u8> {
    let size = offset.checked_div(usize::try_from(num).ok()?)?;
    (0..=6).find(|szx| 16 << szx == size)
}

fn is_block(message: &Message<'_>, num: u32) -> bool {
    match message.options.block2() {
        Some(Ok(block)) => block.num() == num,
        Some(Err(_)) => false,
        None => num == 0 || message.code.class() != 2,
    }
}

fn acknowledge(socket: &UdpSocket, message: &Message<'_>) {
    if message.message_type == MessageType::Confirmable {
        let [high, low] = message.message_id.0.to_be_bytes();
        let _ = socket.send(&[0x60, 0, high, low]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_targets_are_paths() {
        let text = "</a/b>;rt=t,</c?x=1>,<coap://else/d>,<//else/e>,<rel>,</>";
        assert_eq!(targets(text), ["/a/b", "/c", "/"]);
        assert_eq!(targets("no list"), Vec::<String>::new());
        let many = vec!["</a>"; 200].join(",");
        assert_eq!(targets(&many).len(), MAX_PATHS);
    }

    #[test]
    fn blocks_are_asked_for_in_the_size_of_the_server() {
        assert_eq!(szx(1, 1024), Some(6));
        assert_eq!(szx(3, 192), Some(2));
        assert_eq!(szx(1, 700), None);
        assert_eq!(szx(0, 0), None);
    }
}
