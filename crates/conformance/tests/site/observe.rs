//! `TD_COAP_OBS`, with a clock that is set forward. That the engine tells observers as the responses say is shown with
//! the program.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use coracle::engine::Topic;
use coracle::router::{ChangeSink, Observable};

use super::*;

const PERIOD: Duration = Duration::from_secs(5);

/// Long enough for a change that is due.
const MOMENT: Duration = Duration::from_millis(10);

/// Sets the clock forward.
async fn pass(time: Duration) {
    tokio::time::sleep(time).await; // tidy: the clock of these tests is paused, so that it costs no time
}

#[derive(Default)]
struct Driver {
    changed: AtomicUsize,
    forgotten: AtomicUsize,
}

impl ChangeSink for Driver {
    fn changed(&self, _: Topic) {
        self.changed.fetch_add(1, Ordering::SeqCst);
    }

    fn forget(&self, _: Topic) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
    }
}

impl Driver {
    /// What was told since the last call: changes, and that observers are forgotten.
    fn told(&self) -> (usize, usize) {
        let take = |count: &AtomicUsize| count.swap(0, Ordering::SeqCst);
        (take(&self.changed), take(&self.forgotten))
    }
}

/// Observes a resource: the state, and who is told of changes for as long as the observable is held.
async fn observe(site: &Router, path: &str) -> (Response, Observable, Arc<Driver>) {
    let state = site.oneshot(Request::get(path)).await;
    let observable = state.observe.clone().unwrap_or_else(|| panic!("{path}"));
    let driver = Arc::new(Driver::default());
    let sink: Arc<dyn ChangeSink> = driver.clone();
    observable.subscribe(&sink);
    (state, observable, driver)
}

#[tokio::test(start_paused = true)]
async fn resources_change_every_period() {
    for (path, confirmable) in [
        ("/obs", Some(true)),
        ("/obs-non", Some(false)),
        ("/obs-large", Some(true)),
        ("/obs-pumping", Some(true)),
        ("/obs-pumping-non", Some(false)),
        ("/clock", None),
    ] {
        let site = site();
        let (first, _, driver) = observe(&site, path).await;
        assert_eq!(first.status, Status::CONTENT);
        assert_eq!(first.content_format(), Some(ContentFormat::TEXT));
        assert_eq!(first.options.as_options().max_age(), 5);
        assert_eq!(first.confirmable, confirmable, "{path}");
        assert_eq!(driver.told(), (0, 0));
        pass(PERIOD + MOMENT).await;
        assert_eq!(driver.told(), (1, 0), "{path}");
        let second = site.oneshot(Request::get(path)).await;
        assert_ne!(first.payload, second.payload, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_period_may_be_short_but_not_too_short() {
    for (ms, max_age, changes) in [(100, 1, 10), (1, 1, 10), (500, 1, 2), (1001, 2, 0)] {
        let site = site_with_period(Duration::from_millis(ms));
        let (state, _, driver) = observe(&site, "/obs").await;
        assert_eq!(state.options.as_options().max_age(), max_age, "{ms}");
        pass(Duration::from_secs(1) - MOMENT).await;
        let told = driver.told().0;
        assert!(told == changes || told + 1 == changes, "{ms}: {told}");
    }
}

#[tokio::test(start_paused = true)]
async fn sizes_are_those_of_the_tests() {
    let site = site();
    let mut pumped = Vec::new();
    for _ in 0..4 {
        assert_eq!(ask(&site, Request::get("/obs-large")).await.1.len(), 1280);
        assert!(ask(&site, Request::get("/obs")).await.1.len() <= 16);
        pumped.push(ask(&site, Request::get("/obs-pumping")).await.1.len() > 16);
        pass(PERIOD + MOMENT).await;
    }
    assert_eq!(pumped, [false, true, false, true]);
}

/// `TD_COAP_OBS_09`.
#[tokio::test(start_paused = true)]
async fn what_is_put_is_shown_for_a_period() {
    let site = site();
    for path in ["/obs", "/obs-non"] {
        let (_, _observable, driver) = observe(&site, path).await;
        pass(Duration::from_secs(3)).await;
        driver.told();
        let put = text(Request::put(path), "put");
        assert_eq!(status(&site, put).await, Status::CHANGED);
        assert_eq!(driver.told(), (1, 0));
        pass(PERIOD - MOMENT).await;
        let shown = site.oneshot(Request::get(path)).await;
        assert_eq!(shown.payload, "put");
        assert!(shown.observe.is_some());
        assert_eq!(driver.told(), (0, 0));
        pass(2 * MOMENT).await;
        assert!(ask(&site, Request::get(path)).await.1.starts_with("state "));
        assert_eq!(driver.told(), (1, 0));
    }
}

/// `TD_COAP_OBS_08`: the engine answers 4.06 to observers of another Content-Format (RFC 7641 §4.2).
#[tokio::test(start_paused = true)]
async fn another_format_is_not_observed() {
    let site = site();
    let put = Request::put("/obs").with_payload("{}");
    let put = put.with_content_format(ContentFormat::JSON);
    assert_eq!(status(&site, put).await, Status::CHANGED);
    let shown = site.oneshot(Request::get("/obs")).await;
    assert_eq!(shown.content_format(), Some(ContentFormat::JSON));
    assert!(shown.observe.is_none());
    pass(PERIOD + MOMENT).await;
    let back = site.oneshot(Request::get("/obs")).await;
    assert_eq!(back.content_format(), Some(ContentFormat::TEXT));
    assert!(back.observe.is_some());
}

/// `TD_COAP_OBS_07`.
#[tokio::test(start_paused = true)]
async fn what_is_deleted_comes_back() {
    let site = site();
    assert_eq!(status(&site, Request::delete("/obs")).await, Status::DELETED);
    let gone = site.oneshot(Request::get("/obs")).await;
    assert_eq!(gone.status, Status::NOT_FOUND);
    assert!(gone.observe.is_none());
    pass(PERIOD + MOMENT).await;
    assert_eq!(status(&site, Request::get("/obs")).await, Status::CONTENT);
    assert_eq!(status(&site, Request::delete("/obs")).await, Status::DELETED);
    let put = text(Request::put("/obs"), "put");
    assert_eq!(status(&site, put).await, Status::CREATED);
}

/// Nobody misses the end, however short the period is; and nobody who is silent keeps it up for others.
#[tokio::test(start_paused = true)]
async fn the_end_lasts_until_observers_know_it_but_not_for_ever() {
    let period = Duration::from_millis(100);
    let site = site_with_period(period);
    for answers_after in [Duration::from_secs(1), Duration::from_secs(100)] {
        let (_, observable, _driver) = observe(&site, "/obs").await;
        assert_eq!(status(&site, Request::delete("/obs")).await, Status::DELETED);
        let begin = tokio::time::Instant::now();
        let mut observable = Some(observable);
        while status(&site, Request::get("/obs")).await == Status::NOT_FOUND {
            pass(MOMENT).await;
            if begin.elapsed() >= answers_after {
                // The driver lets go of it when its last observer left.
                observable = None;
            }
        }
        drop(observable);
        let lasted = begin.elapsed();
        let expected = answers_after.min(Duration::from_secs(4));
        assert!(
            expected <= lasted && lasted <= expected + 2 * period,
            "{lasted:?}"
        );
    }
}

/// `TD_COAP_OBS_04`.
#[tokio::test(start_paused = true)]
async fn observers_are_forgotten_with_and_without_a_word() {
    let site = site();
    let paths = [
        "/obs",
        "/obs-non",
        "/obs-large",
        "/obs-pumping",
        "/obs-pumping-non",
    ];
    let mut observers = Vec::new();
    for path in paths {
        observers.push(observe(&site, path).await);
    }
    let told = |expected| {
        for (path, (_, _, driver)) in paths.iter().zip(&observers) {
            assert_eq!(driver.told(), expected, "{path}");
        }
    };
    for wrong in ["", "please"] {
        let reset = text(Request::post("/obs-reset"), wrong);
        assert_eq!(status(&site, reset).await, Status::FORBIDDEN);
    }
    told((0, 0));
    let reset = text(Request::post("/obs-reset"), "sesame");
    assert_eq!(status(&site, reset).await, Status::CHANGED);
    told((0, 1));
    assert_eq!(status(&site, Request::get("/obs")).await, Status::CONTENT);
    let reset = text(Request::post("/obs-reset?notfound"), "sesame");
    assert_eq!(status(&site, reset).await, Status::CHANGED);
    told((1, 0));
    for path in paths {
        assert_eq!(status(&site, Request::get(path)).await, Status::NOT_FOUND);
    }
}

/// No task is left behind: only the ticking resources hold on to nothing.
#[tokio::test(start_paused = true)]
async fn nothing_ticks_when_the_site_is_gone() {
    let before = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let site = site();
    assert!(tokio::runtime::Handle::current().metrics().num_alive_tasks() > before);
    drop(site);
    pass(2 * PERIOD).await;
    let after = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    assert_eq!(after, before);
}
