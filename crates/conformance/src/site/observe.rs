//! The resources of the tests of RFC 7641, which change by themselves: `TD_COAP_OBS_01` to 14.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use coracle::prelude::*;
use tokio::time::{Instant, sleep_until};

use super::LONGEST_BODY;
use super::blocks;

/// How long the end of an observation is kept up at most, for observers that have not been told of it because a
/// notification to them is still under way. It goes out in place of the first retransmission, after 3 s at most
/// (ACK_TIMEOUT * ACK_RANDOM_FACTOR, RFC 7252 §4.8).
const TOLD_WITHIN: Duration = Duration::from_secs(4);

/// What POST to `/obs-reset` has to say.
const SECRET: &str = "sesame";

/// The observable resources, which start to change.
pub(super) fn router(period: Duration) -> Router {
    let resource = |form, confirmable| {
        let changing = Changing::new(form, confirmable, period);
        tokio::spawn(change(Arc::downgrade(&changing)));
        changing
    };
    let obs = resource(Form::Short, Some(true));
    let non = resource(Form::Short, Some(false));
    let read_only = [
        ("/obs-large", resource(Form::Large, Some(true))),
        ("/obs-pumping", resource(Form::Pumping, Some(true))),
        ("/obs-pumping-non", resource(Form::Pumping, Some(false))),
    ];
    let all = read_only.iter().map(|(_, changing)| changing.clone());
    let all: Arc<[Arc<Changing>]> = all.chain([obs.clone(), non.clone()]).collect();
    let changeable = || get(read).put(write).delete(remove).observable().rt("observe");
    let obs = Router::new()
        .route("/obs", changeable().attribute("ct", "0").body_limit(LONGEST_BODY))
        .with_state(obs);
    let non = Router::new()
        .route("/obs-non", changeable().body_limit(LONGEST_BODY))
        .with_state(non);
    let clock = get(read).observable().title("Changes; notifies as it was asked");
    let clock = Router::new()
        .route("/clock", clock.rt("clock"))
        .with_state(resource(Form::Short, None));
    let reset = post(reset)
        .title("`sesame` makes the server forget all observers")
        .body_limit(LONGEST_BODY);
    let reset = Router::new().route("/obs-reset", reset).with_state(all);
    read_only
        .into_iter()
        .map(|(path, changing)| {
            Router::new()
                .route(path, get(read).observable().rt("observe"))
                .with_state(changing)
        })
        .fold(obs.merge(non).merge(clock).merge(reset), Router::merge)
}

/// What a resource shows as it changes.
#[derive(Clone, Copy)]
enum Form {
    /// A short text.
    Short,
    /// More than fits into a block.
    Large,
    /// One and the other in turn.
    Pumping,
}

/// A resource that changes every period.
struct Changing {
    form: Form,
    /// Whether notifications are confirmable; `None`: as the registration was.
    confirmable: Option<bool>,
    period: Duration,
    changes: Notifier<()>,
    shown: Mutex<Shown>,
}

/// What it shows just now.
struct Shown {
    /// `None`: it was deleted.
    representation: Option<(ContentFormat, Bytes)>,
    /// How often it changed by itself.
    count: u64,
    /// When it does so again.
    next: Instant,
    /// Since when its observers are told that there is nothing more to come: it was deleted, or has another
    /// Content-Format than they registered for. Nobody can observe it until it changes by itself.
    ended: Option<Instant>,
}

impl Changing {
    fn new(form: Form, confirmable: Option<bool>, period: Duration) -> Arc<Changing> {
        let shown = Shown {
            representation: Some(form.show(0)),
            count: 0,
            next: Instant::now() + period,
            ended: None,
        };
        Arc::new(Changing {
            form,
            confirmable,
            period,
            changes: Notifier::new(()),
            shown: Mutex::new(shown),
        })
    }

    fn respond(&self) -> Result<Response, Rejection> {
        // Taken first, so that no change between the two is missed.
        let observable = self.changes.observable();
        let shown = self.lock();
        let (format, content) = shown.representation.clone().ok_or(Rejection::NotFound)?;
        let mut response = Response::success(content)
            .with_content_format(format)
            .with_max_age(self.max_age());
        response.confirmable = self.confirmable;
        Ok(match shown.ended {
            Some(_) => response,
            None => response.observed(&observable),
        })
    }

    /// The period in whole seconds: a state is fresh until the next is due.
    fn max_age(&self) -> u32 {
        let seconds = self.period + Duration::from_nanos(999_999_999);
        u32::try_from(seconds.as_secs()).unwrap_or(u32::MAX)
    }

    /// Shows what a client wants for a whole period. Another Content-Format ends observations: the engine answers
    /// 4.06 to those who registered for the one before (`TD_COAP_OBS_08`).
    fn put(&self, format: ContentFormat, content: Bytes) -> Status {
        let status = {
            let mut shown = self.lock();
            let before = shown.representation.replace((format, content));
            shown.ended = (format != ContentFormat::TEXT).then(Instant::now);
            shown.next = Instant::now() + self.period;
            if before.is_some() {
                Status::CHANGED
            } else {
                Status::CREATED
            }
        };
        self.changes.changed();
        status
    }

    /// Is gone for a whole period: observers get 4.04 (`TD_COAP_OBS_07`).
    fn delete(&self) {
        {
            let mut shown = self.lock();
            shown.representation = None;
            shown.ended = Some(Instant::now());
            shown.next = Instant::now() + self.period;
        }
        self.changes.changed();
    }

    fn next(&self) -> Instant {
        self.lock().next
    }

    /// The next state, if it is due. Before observers are told of the end, there is none.
    fn tick(&self) {
        let observed = self.changes.is_observed();
        {
            let mut shown = self.lock();
            let now = Instant::now();
            if shown.next > now {
                // Somebody put or deleted it just now.
                return;
            }
            shown.next = now + self.period;
            if observed && shown.ended.is_some_and(|since| now < since + TOLD_WITHIN) {
                return;
            }
            shown.ended = None;
            shown.count = shown.count.wrapping_add(1);
            shown.representation = Some(self.form.show(shown.count));
        }
        self.changes.changed();
    }

    fn lock(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Form {
    fn show(self, count: u64) -> (ContentFormat, Bytes) {
        let text = match self {
            Form::Large => blocks::text(&format!("state {count}")),
            Form::Pumping if count % 2 == 1 => blocks::text(&format!("state {count}")),
            Form::Short | Form::Pumping => format!("state {count}"),
        };
        (ContentFormat::TEXT, text.into())
    }
}

/// Lets a resource change until it is dropped.
async fn change(changing: Weak<Changing>) {
    while let Some(next) = changing.upgrade().map(|changing| changing.next()) {
        sleep_until(next).await;
        if let Some(changing) = changing.upgrade() {
            changing.tick();
        }
    }
}

async fn read(State(changing): State<Arc<Changing>>) -> Result<Response, Rejection> {
    changing.respond()
}

/// A payload that does not say what it is is taken for text.
async fn write(State(changing): State<Arc<Changing>>, options: OptionsBuf, content: Bytes) -> Status {
    let format = options.as_options().content_format();
    changing.put(format.unwrap_or(ContentFormat::TEXT), content)
}

async fn remove(State(changing): State<Arc<Changing>>) -> Deleted {
    changing.delete();
    Deleted
}

/// Forgets all observers, without a word as a reboot would (`TD_COAP_OBS_04`), or with 4.04 if `notfound` is asked.
async fn reset(
    State(all): State<Arc<[Arc<Changing>]>>,
    options: OptionsBuf,
    secret: Bytes,
) -> Result<Changed, Status> {
    if secret != SECRET {
        return Err(Status::FORBIDDEN);
    }
    let loud = options.as_options().queries().any(|query| query == b"notfound");
    for changing in all.iter() {
        if loud {
            changing.delete();
        } else {
            changing.changes.forget_observers();
        }
    }
    Ok(Changed)
}
