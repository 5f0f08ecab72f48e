//! Bodies that tell whose they are, so that any byte of another is found out.

use crate::history::Says;

/// The body of a request: `len` bytes.
pub(crate) fn of_request(request: u32, len: usize) -> Vec<u8> {
    fill(Vec::new(), u64::from(request), len)
}

/// The body of an answer: what it is in words, then bytes up to `len` if it is shorter.
pub(crate) fn of_answer(request: u32, execution: u32, state: u64, len: usize) -> Vec<u8> {
    let head = format!("{request} {execution} {state} {len}\n").into_bytes();
    let seed = u64::from(request) << 40 ^ u64::from(execution) << 20 ^ state;
    let len = len.max(head.len());
    fill(head, seed, len)
}

/// What a body of an answer tells; `None` when it is no application's.
pub(crate) fn says(body: &[u8]) -> Option<Says> {
    let end = body.iter().position(|byte| *byte == b'\n')?;
    let head = str::from_utf8(body.get(..end)?).ok()?;
    let mut words = head.split(' ');
    let request = words.next()?.parse().ok()?;
    let execution = words.next()?.parse().ok()?;
    let state = words.next()?.parse().ok()?;
    let len = words.next()?.parse().ok()?;
    Some(Says {
        request,
        execution,
        state,
        intact: body == of_answer(request, execution, state, len),
    })
}

/// A sequence that looks different from every start and at every place.
fn fill(mut body: Vec<u8>, seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while body.len() < len {
        state = state
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        let [.., byte] = state.to_le_bytes();
        body.push(byte);
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_tells_whose_it_is_and_that_it_is_whole() {
        let body = of_answer(7, 8, 9, 3_000);
        assert_eq!(body.len(), 3_000);
        let whole = Says {
            request: 7,
            execution: 8,
            state: 9,
            intact: true,
        };
        assert_eq!(says(&body), Some(whole));
        assert!(!says(&body[..2_999]).unwrap().intact);
        let other = of_answer(7, 8, 10, 3_000);
        let mixed = [&body[..1_024], &other[1_024..]].concat();
        assert!(!says(&mixed).unwrap().intact, "the second block is another's");
        assert_eq!(says(b"the answer is not kept any more"), None);
        assert!(says(&of_answer(7, 8, 9, 0)).unwrap().intact);
    }

    #[test]
    fn bodies_of_requests_differ_in_every_block() {
        let (one, other) = (of_request(1, 4_096), of_request(2, 4_096));
        assert!(one.chunks(1_024).zip(other.chunks(1_024)).all(|(a, b)| a != b));
        assert_ne!(one[..1_024], one[1_024..2_048]);
    }
}
