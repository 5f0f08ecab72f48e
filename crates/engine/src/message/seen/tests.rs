use super::*;
use core::net::{IpAddr, SocketAddr};

const LIFETIME: Duration = Duration::from_secs(247);
const STRICT: Care = Care::Strict { proved: true };
const BUDGET: usize = 16 * 1024;

fn path_of(host: u16) -> Path {
    let [high, low] = host.to_be_bytes();
    Path {
        local: Some(IpAddr::from([127, 0, 0, 1])),
        ..Path::to(SocketAddr::from(([127, 1, high, low], 9)))
    }
}

fn path() -> Path {
    path_of(1)
}

fn seen() -> Seen {
    Seen::new(BUDGET, LIFETIME, 3)
}

fn new(sight: Sight<'_>) -> Note {
    match sight {
        Sight::New(note) => note,
        Sight::Again(_) => panic!("seen before"),
        Sight::NoRoom => panic!("no room"),
    }
}

#[test]
fn a_duplicate_gets_the_answer_until_its_lifetime_ends() {
    let mut seen = seen();
    let now = Instant::from_micros(1);
    let note = new(seen.note(now, &path(), MessageId(7), STRICT));
    let again = seen.note(now, &path(), MessageId(7), STRICT);
    assert!(matches!(again, Sight::Again(None)));
    // Another message keeps the segment.
    let later = now + Duration::from_secs(1);
    new(seen.note(later, &path(), MessageId(8), STRICT));
    seen.answer(note, b"ack");
    seen.answer(note, b"ack again");
    let last = now + (LIFETIME - Duration::from_micros(1));
    let again = seen.note(last, &path(), MessageId(7), STRICT);
    assert!(matches!(again, Sight::Again(Some(b"ack again"))));
    new(seen.note(now + LIFETIME, &path(), MessageId(7), STRICT));
    let again = seen.note(now + LIFETIME, &path(), MessageId(7), STRICT);
    assert!(matches!(again, Sight::Again(None)));
    let again = seen.note(now + LIFETIME, &path(), MessageId(8), STRICT);
    assert!(matches!(again, Sight::Again(_)));
}

#[test]
fn what_was_refused_makes_room_for_others() {
    let mut seen = seen();
    for id in 0..10_000 {
        let note = new(seen.note(Instant::ZERO, &path(), MessageId(id), STRICT));
        let note = seen.relax(note).unwrap();
        seen.answer(note, &id.to_be_bytes());
    }
    let again = seen.note(Instant::ZERO, &path(), MessageId(9_999), STRICT);
    assert!(matches!(again, Sight::Again(Some([0x27, 0x0f]))));
    assert!(seen.bytes() <= BUDGET && seen.shares.is_empty());
}

#[test]
fn endpoints_are_told_apart_by_all_that_names_them() {
    let v6 = |scope| {
        SocketAddr::V6(core::net::SocketAddrV6::new(
            core::net::Ipv6Addr::LOCALHOST,
            9,
            0,
            scope,
        ))
    };
    let security = |id| core::num::NonZeroU64::new(id).map(crate::path::SecurityId);
    let others = [
        path(),
        Path {
            local: None,
            ..path()
        },
        Path {
            local: Some(IpAddr::from([127, 0, 0, 2])),
            ..path()
        },
        Path {
            local: Some(IpAddr::from([1; 16])),
            ..path()
        },
        Path {
            security: security(2),
            ..path()
        },
        Path {
            security: security(1),
            ..path()
        },
        Path {
            remote: SocketAddr::from(([127, 1, 0, 1], 10)),
            ..path()
        },
        Path {
            remote: v6(0),
            ..path()
        },
        Path {
            remote: v6(1),
            ..path()
        },
        Path {
            remote: v6(1),
            security: security(1),
            local: Some(IpAddr::from([1; 16])),
            ..path()
        },
    ];
    let mut seen = seen();
    for path in &others {
        new(seen.note(Instant::ZERO, path, MessageId(7), STRICT));
    }
    for path in &others {
        let again = seen.note(Instant::ZERO, path, MessageId(7), STRICT);
        assert!(matches!(again, Sight::Again(None)));
        new(seen.note(Instant::ZERO, path, MessageId(8), STRICT));
    }
}

/// Idempotent requests are forgotten oldest first, and others never.
#[test]
fn the_budget_forgets_idempotent_requests_and_never_others() {
    let mut seen = seen();
    let now = Instant::ZERO;
    let mut strict = 0;
    for host in 0..u16::MAX {
        seen.note(now, &path_of(host), MessageId(1), Care::Lenient);
        match seen.note(now, &path_of(host), MessageId(2), STRICT) {
            Sight::New(note) => seen.answer(note, b"done"),
            _ => break,
        }
        strict = host;
        assert!(seen.bytes() <= BUDGET, "{} bytes for {host}", seen.bytes());
    }
    assert!((200..400).contains(&strict), "{strict}");
    for host in 0..=strict {
        let again = seen.note(now, &path_of(host), MessageId(2), STRICT);
        assert!(matches!(again, Sight::Again(Some(b"done"))));
    }
    while !seen.is_empty() {
        let at = seen.next_expiry().unwrap();
        assert!(at == now + LIFETIME);
        seen.forget(at);
    }
    assert_eq!(
        (seen.next_expiry(), seen.bytes(), seen.index.bytes()),
        (None, 0, 0)
    );
    assert!(seen.shares.is_empty());
}

#[test]
fn one_peer_takes_an_eighth_and_the_unproved_together_a_half() {
    let admitted = |care, host: fn(u16) -> u16| {
        let mut seen = seen();
        let news = (0..2_000).filter(|n| {
            let sight = seen.note(Instant::ZERO, &path_of(host(*n)), MessageId(*n), care);
            matches!(sight, Sight::New(_))
        });
        let count = news.count();
        assert!(seen.bytes() <= BUDGET);
        count * 31
    };
    let one_peer = admitted(STRICT, |_| 1);
    assert!((BUDGET / 8..BUDGET / 8 + 31).contains(&one_peer), "{one_peer}");
    let unproved = admitted(Care::Strict { proved: false }, |n| n);
    assert!(
        (BUDGET / 2 - 2048..BUDGET / 2 + 31).contains(&unproved),
        "{unproved}"
    );
    let proved = admitted(STRICT, |n| n);
    assert!(proved > BUDGET / 2 + 1024, "{proved}");
}

#[test]
fn an_answer_without_room_is_not_kept_but_its_message_is() {
    let mut seen = seen();
    let note = new(seen.note(Instant::ZERO, &path(), MessageId(1), STRICT));
    seen.answer(note, &[0; BUDGET]);
    assert!(seen.bytes() <= seen.budget);
    let again = seen.note(Instant::ZERO, &path(), MessageId(1), STRICT);
    assert!(matches!(again, Sight::Again(None)));
}

/// An answer that comes when its message is forgotten is not taken for that of another.
#[test]
fn a_late_answer_goes_to_its_message_or_nowhere() {
    let mut seen = seen();
    let late = new(seen.note(Instant::ZERO, &path(), MessageId(0), Care::Lenient));
    for id in 1..3_000 {
        let note = new(seen.note(Instant::ZERO, &path(), MessageId(id), Care::Lenient));
        seen.answer(note, &id.to_be_bytes());
    }
    seen.answer(late, b"late");
    for id in 2_900..3_000_u16 {
        let again = seen.note(Instant::ZERO, &path(), MessageId(id), Care::Lenient);
        assert!(matches!(again, Sight::Again(Some(answer)) if *answer == id.to_be_bytes()));
    }
}

/// A long transfer is remembered by its last blocks, and takes no room from anything else.
#[test]
fn blocks_in_the_middle_of_a_transfer_push_out_only_each_other() {
    let mut seen = Seen::new(1 << 20, LIFETIME, 3);
    let other = new(seen.note(Instant::ZERO, &path_of(2), MessageId(1), Care::Lenient));
    seen.answer(other, b"done");
    let before = seen.bytes();
    for id in 0..50_000 {
        let note = new(seen.note(Instant::ZERO, &path(), MessageId(id), Care::Passing));
        seen.answer(note, &[b'x'; 1100]);
        let again = seen.note(Instant::ZERO, &path(), MessageId(id), Care::Passing);
        assert!(matches!(again, Sight::Again(Some(answer)) if answer.len() == 1100));
    }
    assert!(
        seen.bytes() - before <= (1 << 20) / 16,
        "{} bytes more",
        seen.bytes() - before
    );
    let again = seen.note(Instant::ZERO, &path_of(2), MessageId(1), Care::Lenient);
    assert!(matches!(again, Sight::Again(Some(b"done"))));
    new(seen.note(Instant::ZERO, &path(), MessageId(0), Care::Passing));
    while let Some(at) = seen.next_expiry() {
        seen.forget(at);
    }
    assert!(seen.is_empty());
}
