//! From many messages to the few that matter, and from these to the bytes that matter.

use super::generate::simpler;

/// What became of a server that got some messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trial {
    /// It fails.
    Fails,
    /// It goes on.
    Survives,
    /// Nothing more can be tried: there are no tries or no time left, or the server does not come back.
    Ended,
}

/// What is left of the messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Minimised {
    pub(super) messages: Vec<Vec<u8>>,
    /// Whether these messages alone made the server fail again.
    pub(super) reproduced: bool,
    /// Whether everything was tried.
    pub(super) complete: bool,
}

/// When a server fails of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// At once.
    AtOnce,
    /// After a while: something waited for its time.
    Later,
}

/// Finds a small part of the messages at which `attempt` still fails: first the shortest suffix, whose lengths double;
/// then single messages that can be left out (delta debugging); then parts of messages, and bytes. If it never fails
/// at once, the same is tried with time to fail later, where the last messages are no more suspect than others.
pub(super) fn minimise(
    messages: &[Vec<u8>],
    attempt: &mut dyn FnMut(&[Vec<u8>], When) -> Trial,
) -> Minimised {
    let mut search = Search {
        attempt,
        when: When::AtOnce,
        ended: false,
    };
    let Some(part) = search.suffix(messages).or_else(|| search.later(messages)) else {
        return Minimised {
            messages: messages.to_vec(),
            reproduced: false,
            complete: !search.ended,
        };
    };
    let mut messages = reduce(part, &mut |part| search.attempt(part));
    for at in 0..messages.len() {
        if !search.ended {
            messages = search.shorten(messages, at);
        }
    }
    Minimised {
        messages,
        reproduced: true,
        complete: !search.ended,
    }
}

struct Search<'a> {
    attempt: &'a mut dyn FnMut(&[Vec<u8>], When) -> Trial,
    when: When,
    ended: bool,
}

impl Search<'_> {
    /// Once a trial could not be made, no other one is.
    fn attempt(&mut self, messages: &[Vec<u8>]) -> Trial {
        if self.ended {
            return Trial::Ended;
        }
        let trial = (self.attempt)(messages, self.when);
        self.ended = trial == Trial::Ended;
        trial
    }

    fn fails(&mut self, messages: &[Vec<u8>]) -> bool {
        self.attempt(messages) == Trial::Fails
    }

    /// The shortest of the suffixes at which it fails.
    fn suffix(&mut self, messages: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
        let mut len = 1;
        loop {
            let from = messages.len().saturating_sub(len);
            let suffix = messages.get(from..).unwrap_or_default();
            if self.fails(suffix) {
                return Some(suffix.to_vec());
            }
            if from == 0 {
                return None;
            }
            len *= 2;
        }
    }

    /// All, if it fails later.
    fn later(&mut self, messages: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
        self.when = When::Later;
        self.fails(messages).then(|| messages.to_vec())
    }

    /// Makes one of the messages shorter.
    fn shorten(&mut self, messages: Vec<Vec<u8>>, at: usize) -> Vec<Vec<u8>> {
        let with = |bytes: &[u8]| {
            let mut changed = messages.clone();
            changed
                .iter_mut()
                .skip(at)
                .take(1)
                .for_each(|message| *message = bytes.to_vec());
            changed
        };
        let mut bytes = messages.get(at).cloned().unwrap_or_default();
        while let Some(shorter) = simpler(&bytes).into_iter().find(|bytes| self.fails(&with(bytes))) {
            bytes = shorter;
        }
        with(&reduce(bytes, &mut |bytes| self.attempt(&with(bytes))))
    }
}

/// Leaves out ever smaller chunks while what remains still fails, until nothing more can be tried.
fn reduce<T: Clone>(whole: Vec<T>, attempt: &mut dyn FnMut(&[T]) -> Trial) -> Vec<T> {
    let mut rest = whole;
    let mut chunk = rest.len().div_ceil(2);
    while chunk > 0 {
        let mut from = 0;
        let mut shrunk = false;
        while from < rest.len() && rest.len() > 1 {
            let (before, after) = (rest.iter().take(from), rest.iter().skip(from + chunk));
            let without: Vec<T> = before.chain(after).cloned().collect();
            let trial = match without.is_empty() {
                true => Trial::Survives,
                false => attempt(&without),
            };
            match trial {
                Trial::Fails => (rest, shrunk) = (without, true),
                Trial::Survives => from += chunk,
                Trial::Ended => return rest,
            }
        }
        // A pass with single elements is repeated until it finds nothing more.
        if chunk > 1 || !shrunk {
            chunk /= 2;
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(count: u8) -> Vec<Vec<u8>> {
        (0..count).map(|number| vec![0, number, 0, 0]).collect()
    }

    fn oracle(dies: impl Fn(&[Vec<u8>]) -> bool) -> impl FnMut(&[Vec<u8>], When) -> Trial {
        move |messages, _| {
            if dies(messages) {
                Trial::Fails
            } else {
                Trial::Survives
            }
        }
    }

    #[test]
    fn one_message_and_its_byte_are_found() {
        let found = minimise(
            &numbered(200),
            &mut oracle(|m| m.iter().any(|m| m.contains(&150))),
        );
        let expected = Minimised {
            messages: vec![vec![150]],
            reproduced: true,
            complete: true,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn parts_of_messages_are_left_out_whole() {
        let boom = b"\x52\x04\x2b\x83WB\x60\x54boom\xff\xb1".to_vec();
        let dies = |m: &[Vec<u8>]| {
            let parsed = m.iter().filter_map(|m| coracle_wire::Message::parse(m).ok());
            parsed
                .into_iter()
                .any(|m| m.options.path().any(|segment| segment == b"boom"))
        };
        let found = minimise(&[boom], &mut oracle(dies));
        assert_eq!(found.messages, [b"\x50\x04\x2b\x83\xb4boom"]);
    }

    #[test]
    fn a_pair_in_its_order_is_found() {
        let pair = |messages: &[Vec<u8>]| {
            let first = messages.iter().position(|m| m.contains(&20));
            first.is_some_and(|at| messages.iter().skip(at + 1).any(|m| m.starts_with(&[0, 90])))
        };
        let found = minimise(&numbered(100), &mut oracle(pair));
        assert_eq!(found.messages, [vec![20], vec![0, 90]]);
        assert!(found.reproduced && found.complete);
    }

    #[test]
    fn what_does_not_fail_again_is_kept_whole() {
        let found = minimise(&numbered(9), &mut oracle(|_| false));
        assert_eq!(
            found,
            Minimised {
                messages: numbered(9),
                reproduced: false,
                complete: true
            }
        );
    }

    #[test]
    fn what_fails_later_is_found_in_the_middle() {
        let mut late = |messages: &[Vec<u8>], when: When| match messages.iter().any(|m| m.contains(&20)) {
            true if when == When::Later => Trial::Fails,
            _ => Trial::Survives,
        };
        let found = minimise(&numbered(100), &mut late);
        assert_eq!(found.messages, [vec![20]]);
        assert!(found.reproduced && found.complete);
    }

    #[test]
    fn when_no_more_can_be_tried_the_best_so_far_stays() {
        let mut left = 12;
        let mut bounded = |messages: &[Vec<u8>], _| {
            left -= 1;
            match messages.iter().any(|m| m.contains(&3)) {
                _ if left < 0 => Trial::Ended,
                true => Trial::Fails,
                false => Trial::Survives,
            }
        };
        let found = minimise(&numbered(64), &mut bounded);
        assert!(found.reproduced && !found.complete);
        assert!(found.messages.len() < 64 && found.messages.iter().any(|m| m.contains(&3)));
    }

    #[test]
    fn tries_grow_with_the_logarithm_of_what_does_not_matter() {
        let mut tries = 0;
        let mut counted = |messages: &[Vec<u8>], _| {
            tries += 1;
            if messages.iter().any(|m| m.contains(&200)) {
                Trial::Fails
            } else {
                Trial::Survives
            }
        };
        assert!(minimise(&numbered(255), &mut counted).complete);
        assert!(tries < 60, "{tries}");
    }
}
