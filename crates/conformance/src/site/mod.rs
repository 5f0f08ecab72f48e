//! The site of a plugtest server: the resources that the tests of the CoAP plugtests ask for, and some more.
//!
//! The resources are those of the test descriptions of ETSI and the CoRE working group (`TD_COAP_*`). What clients
//! can do to it is undone by DELETE or by itself, so that any test can run again, also after one that broke off; and
//! whatever they create is bounded. It is a [`Router`] like that of any application.

mod base;
mod blocks;
mod config;
mod counters;
mod discovery;
mod extras;
mod observe;
mod slot;

use std::sync::Arc;
use std::time::Duration;

use coracle::Credentials;
use coracle::prelude::*;

use self::slot::Slot;
use crate::keys;

/// What `/` says.
const WELCOME: &str = "\
This is coracle plugtest serve. It has, of the CoAP plugtests:
  /test  /separate  /seg1/seg2/seg3  /query  /location-query
  /multi-format  /validate  /create1  /create2  /create3
  /link1  /link2  /link3  /path
  /large  /large-update  /large-create  /large-post  /large-separate
  /obs  /obs-non  /obs-large  /obs-pumping  /obs-pumping-non  /obs-reset
  /secure    by coaps only
and of its own:
  /hello, /whoami, /uri-query-options, /echo, /clock
  /slow      answers after 1 s, or after ?ms=
  /counter   POST adds 1, PUT sets; also /counter/NAME
  /config    JSON for FETCH, PATCH and iPATCH
";

/// The longest body of a request, in bytes: more is 4.13.
const LONGEST_BODY: usize = 64 << 10;

/// How the site behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How often observable resources change; at least [`SHORTEST_PERIOD`](Settings::SHORTEST_PERIOD).
    pub period: Duration,
}

impl Settings {
    /// The shortest period that is kept: 0.1 s.
    pub const SHORTEST_PERIOD: Duration = Duration::from_millis(100);
}

impl Default for Settings {
    /// A period of 5 s, as the plugtests have it.
    fn default() -> Settings {
        Settings {
            period: Duration::from_secs(5),
        }
    }
}

/// By what the site proves itself at `coaps`, and whom it takes: the keys of the tests, which everybody knows.
///
/// # Errors
/// If the keys cannot be read, which a test excludes.
pub fn credentials() -> Result<Credentials, Box<dyn std::error::Error + Send + Sync>> {
    Ok(Credentials::new()
        .with_psk(keys::IDENTITY, keys::KEY)
        .with_raw_key(keys::private(keys::SERVER_KEY.as_bytes())?)
        .with_trusted_keys(keys::public(keys::CLIENT.as_bytes())?))
}

/// The site. Call it within a tokio runtime: observable resources start to change, until the router is dropped.
pub fn router(settings: &Settings) -> Router {
    let location = Arc::new(Slot::absent());
    let period = settings.period.max(Settings::SHORTEST_PERIOD);
    let root = get(async || WELCOME)
        .content_format(ContentFormat::TEXT)
        .title("What is here");
    Router::new()
        .route("/", root)
        .merge(base::router(&location))
        .merge(slot::router(&location))
        .merge(discovery::router())
        .merge(blocks::router())
        .merge(observe::router(period))
        .merge(extras::router())
        .merge(counters::router())
        .merge(config::router())
}
