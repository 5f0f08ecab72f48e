//! Observable state and who is told of its changes (RFC 7641).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use coracle_engine::Topic;
use coracle_router::{ChangeSink, Notifier, Observed, Request, Response, Router, State, get};

#[derive(Default)]
struct Sink(Mutex<Vec<Topic>>);

impl ChangeSink for Sink {
    fn changed(&self, topic: Topic) {
        self.topics().push(topic);
    }
}

impl Sink {
    fn topics(&self) -> MutexGuard<'_, Vec<Topic>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self) -> usize {
        self.topics().len()
    }
}

fn sink() -> (Arc<Sink>, Arc<dyn ChangeSink>) {
    let sink = Arc::new(Sink::default());
    (sink.clone(), sink)
}

#[test]
fn each_notifier_has_a_topic_of_its_own_and_clones_share_it() {
    let (one, other) = (Notifier::new(1), Notifier::new(1));
    assert_ne!(one.topic(), other.topic());
    assert_eq!(one.topic(), one.clone().topic());
    assert_eq!(one.topic(), one.observable().topic());
}

#[test]
fn setting_a_value_tells_each_sink_once() {
    let notifier = Notifier::new(1);
    let ((first, first_dyn), (second, second_dyn)) = (sink(), sink());
    notifier.observable().subscribe(&first_dyn);
    notifier.observable().subscribe(&first_dyn);
    notifier.observable().subscribe(&second_dyn);
    notifier.clone().set(2);
    assert_eq!(notifier.get(), 2);
    assert_eq!(*first.topics(), [notifier.topic()]);
    assert_eq!(second.told(), 1);
    notifier.update(|value| *value += 1);
    notifier.changed();
    assert_eq!((notifier.get(), first.told()), (3, 3));
}

#[test]
fn who_unsubscribed_or_is_gone_is_told_nothing() {
    let notifier = Notifier::new(());
    let ((first, first_dyn), (second, second_dyn)) = (sink(), sink());
    let observable = notifier.observable();
    observable.subscribe(&first_dyn);
    observable.subscribe(&second_dyn);
    observable.unsubscribe(&first_dyn);
    notifier.changed();
    assert_eq!((first.told(), second.told()), (0, 1));
    let weak = Arc::downgrade(&second);
    drop((second, second_dyn));
    assert_eq!(weak.strong_count(), 0);
    notifier.changed();
    assert_eq!(first.told(), 0);
}

#[test]
fn a_change_between_reading_and_subscribing_is_not_missed() {
    let notifier = Notifier::new(1);
    let response = notifier.observed(|value| value.to_string());
    notifier.set(2);
    let (told, sink) = sink();
    response.observe.unwrap().subscribe(&sink);
    assert_eq!(told.told(), 1);
}

#[test]
fn a_sink_may_subscribe_while_it_is_told() {
    struct Eager {
        notifier: Notifier<u8>,
        other: Arc<dyn ChangeSink>,
    }
    impl ChangeSink for Eager {
        fn changed(&self, _: Topic) {
            self.notifier.observable().subscribe(&self.other);
        }
    }
    let notifier = Notifier::new(0);
    let (told, other) = sink();
    let eager: Arc<dyn ChangeSink> = Arc::new(Eager {
        notifier: notifier.clone(),
        other,
    });
    notifier.observable().subscribe(&eager);
    notifier.set(1);
    notifier.set(2);
    assert_eq!(told.told(), 1);
}

#[tokio::test]
async fn handlers_accept_observations_in_three_ways() {
    type App = Notifier<u8>;
    let observed = async |State(n): State<App>| n.observed(|value| value.to_string());
    let builder = async |State(n): State<App>| Response::success("7").observed(&n);
    let wrapper = async |State(n): State<App>| Observed(n.observable(), "7");
    let notifier = Notifier::new(7);
    let app = Router::new()
        .route("/1", get(observed))
        .route("/2", get(builder))
        .route("/3", get(wrapper))
        .route("/4", get(async || "7"))
        .with_state(notifier.clone());
    for path in ["/1", "/2", "/3"] {
        let response = app.oneshot(Request::get(path)).await;
        assert_eq!(response.payload, "7", "{path}");
        assert_eq!(
            response.observe.map(|observable| observable.topic()),
            Some(notifier.topic()),
            "{path}"
        );
    }
    assert!(app.oneshot(Request::get("/4")).await.observe.is_none());
}

#[tokio::test]
async fn a_validated_response_can_still_be_observed() {
    let notifier = Notifier::new(());
    let handler = async |State(n): State<Notifier<()>>| Response::success("x").with_etag(b"1").observed(&n);
    let app = Router::new().route("/", get(handler)).with_state(notifier);
    let request = Request::get("/").with_option(coracle_wire::OptionNumber::ETAG, b"1");
    let response = app.oneshot(request).await;
    assert_eq!(response.status, coracle_wire::Status::VALID);
    assert!(response.observe.is_some());
}

#[test]
fn a_state_is_observed_while_somebody_holds_its_observable() {
    let notifier = Notifier::new(());
    let other_handle = notifier.clone();
    assert!(!notifier.is_observed());
    let response = Response::success("").observed(&notifier);
    let held_by_a_driver = response.observe.clone();
    drop(response);
    assert!(other_handle.is_observed());
    drop(held_by_a_driver);
    assert!(!notifier.is_observed());
}

#[test]
fn forgetting_observers_tells_each_sink_so_and_nothing_else() {
    #[derive(Default)]
    struct Driver {
        changed: Sink,
        forgotten: Sink,
    }
    impl ChangeSink for Driver {
        fn changed(&self, topic: Topic) {
            self.changed.changed(topic);
        }
        fn forget(&self, topic: Topic) {
            self.forgotten.changed(topic);
        }
    }
    let notifier = Notifier::new(1);
    let driver = Arc::new(Driver::default());
    let sink: Arc<dyn ChangeSink> = driver.clone();
    notifier.observable().subscribe(&sink);
    notifier.forget_observers();
    assert_eq!(*driver.forgotten.topics(), [notifier.topic()]);
    assert_eq!(driver.changed.told(), 0);
}
