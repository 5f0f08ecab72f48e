//! `/clock`: the time, which changes each second.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coracle::prelude::*;

use crate::timestamp;

/// How long a time is fresh, in seconds. Longer than it is true, so that a notification that is lost and sent again
/// comes before an observer takes the clock for stale.
const MAX_AGE: u32 = 5;

/// A clock that starts to go; call it within a tokio runtime.
pub(super) fn router() -> Router {
    let time = Notifier::new(SystemTime::now());
    tokio::spawn(tick(time.clone()));
    let clock = get(read)
        .rt("clock")
        .title("The time, each second")
        .content_format(ContentFormat::TEXT)
        .observable();
    Router::new().route("/clock", clock).with_state(time)
}

async fn read(State(time): State<Notifier<SystemTime>>) -> Response {
    time.observed(|time| timestamp::to_the_second(*time))
        .with_max_age(MAX_AGE)
}

/// Waits for each next second, so that a clock that is set is followed.
async fn tick(time: Notifier<SystemTime>) {
    loop {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let part = Duration::from_nanos(u64::from(now.subsec_nanos()));
        tokio::time::sleep(Duration::from_secs(1) - part).await;
        time.set(SystemTime::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_clock_can_be_observed() {
        let response = router().oneshot(Request::get("/clock")).await;
        assert_eq!(response.status, Status::CONTENT);
        assert!(response.observe.is_some());
        assert_eq!(response.payload.len(), "2026-11-23T02:09:47Z".len());
    }
}
