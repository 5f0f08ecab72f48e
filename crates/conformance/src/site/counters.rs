//! `/counter`: shows how often a request was executed, whatever became of its messages.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use coracle::prelude::*;

/// How many counters there are at most; the one that was changed the longest ago is forgotten first.
const MOST_COUNTERS: usize = 256;

/// The longest payload that is read as a number, in bytes.
const LONGEST_NUMBER: usize = 64;

/// A counter, and one for each name.
pub(super) fn router() -> Router {
    let counter = get(read)
        .post(add)
        .put(set)
        .delete(remove)
        .body_limit(LONGEST_NUMBER);
    Router::new()
        .route("/counter", counter.clone().title("POST adds 1, PUT sets"))
        .route("/counter/{name}", counter)
        .with_state(Arc::new(Counters::default()))
}

/// Counts by name, those changed last at the end. What is not there is 0.
#[derive(Default)]
struct Counters {
    counts: Mutex<VecDeque<(String, u64)>>,
}

impl Counters {
    fn get(&self, name: &str) -> u64 {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let counter = counts.iter().find(|(known, _)| known == name);
        counter.map_or(0, |(_, count)| *count)
    }

    /// Changes a count; `None` forgets it.
    fn change(&self, name: &str, change: impl FnOnce(u64) -> Option<u64>) -> u64 {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let place = counts.iter().position(|(known, _)| known == name);
        let before = place.and_then(|place| counts.remove(place));
        let Some(count) = change(before.map_or(0, |(_, count)| count)) else {
            return 0;
        };
        counts.push_back((name.to_owned(), count));
        if counts.len() > MOST_COUNTERS {
            counts.pop_front();
        }
        count
    }
}

/// The name of a counter; that of `/counter` is empty.
type Name = Option<Path<String>>;

fn text(name: &Name) -> &str {
    name.as_ref().map_or("", |Path(name)| name)
}

async fn read(State(counters): State<Arc<Counters>>, name: Name) -> String {
    counters.get(text(&name)).to_string()
}

async fn add(State(counters): State<Arc<Counters>>, name: Name, _: Bytes) -> String {
    let count = counters.change(text(&name), |count| Some(count.wrapping_add(1)));
    count.to_string()
}

async fn set(State(counters): State<Arc<Counters>>, name: Name, number: Bytes) -> Result<Changed, Rejection> {
    let number = std::str::from_utf8(&number)
        .ok()
        .and_then(|number| number.trim().parse().ok());
    let number = number.ok_or_else(|| Rejection::Payload("not a number of 64 bits".to_owned()))?;
    counters.change(text(&name), |_| Some(number));
    Ok(Changed)
}

async fn remove(State(counters): State<Arc<Counters>>, name: Name) -> Deleted {
    counters.change(text(&name), |_| None);
    Deleted
}
