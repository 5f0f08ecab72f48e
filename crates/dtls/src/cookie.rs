//! The stateless cookie of HelloVerifyRequest (RFC 6347 §4.2.1).
//!
//! A cookie is an authentication code over the path and what a ClientHello says up to the cookie: version, random and session
//! ID. The random binds it to this one hello; the fields behind the cookie are left out so that the first fragment of a
//! hello that does not fit a datagram is enough. Nothing is remembered of an address before it has returned one.

use core::net::IpAddr;
use core::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use rand_core::RngCore;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::limits::COOKIE_PERIOD;
use crate::messages::client_hello::ClientHelloStart;
use crate::path::Path;

/// Bytes of a cookie: half of the code is enough, as it lives for two minutes.
pub(crate) const COOKIE_LEN: usize = 16;

pub(crate) type Cookie = [u8; COOKIE_LEN];

/// The secret of now and the one before it.
pub(crate) struct Cookies {
    current: Hmac<Sha256>,
    previous: Hmac<Sha256>,
    next_change: Duration,
}

fn draw(rng: &mut impl RngCore) -> Hmac<Sha256> {
    let mut key = zeroize::Zeroizing::new([0; 64]);
    rng.fill_bytes(&mut *key);
    Hmac::new((&*key).into())
}

impl Cookies {
    pub(crate) fn new(rng: &mut impl RngCore) -> Cookies {
        Cookies {
            current: draw(rng),
            previous: draw(rng),
            next_change: COOKIE_PERIOD,
        }
    }

    /// Changes the secret when its time has come. After a pause of two periods neither of the old ones is left.
    pub(crate) fn rotate(&mut self, now: Duration, rng: &mut impl RngCore) {
        if now < self.next_change {
            return;
        }
        let is_stale = now >= self.next_change.saturating_add(COOKIE_PERIOD);
        let fresh = draw(rng);
        let last = core::mem::replace(&mut self.current, fresh);
        self.previous = if is_stale { draw(rng) } else { last };
        self.next_change = now.saturating_add(COOKIE_PERIOD);
    }

    /// The cookie for this path and hello.
    pub(crate) fn make(&self, path: &Path, hello: &ClientHelloStart<'_>) -> Cookie {
        code(&self.current, path, hello)
    }

    /// Whether the hello carries a cookie that we made for it and this path.
    pub(crate) fn is_valid(&self, path: &Path, hello: &ClientHelloStart<'_>) -> bool {
        if hello.cookie.len() != COOKIE_LEN {
            return false;
        }
        let is = |secret| bool::from(code(secret, path, hello).ct_eq(hello.cookie));
        is(&self.current) || is(&self.previous)
    }
}

fn code(secret: &Hmac<Sha256>, path: &Path, hello: &ClientHelloStart<'_>) -> Cookie {
    let mut mac = secret.clone();
    update_address(&mut mac, path.remote.ip());
    mac.update(&path.remote.port().to_be_bytes());
    if let Some(local) = path.local {
        update_address(&mut mac, local);
    }
    mac.update(&path.interface.to_be_bytes());
    mac.update(&hello.version.to_be_bytes());
    mac.update(hello.random);
    mac.update(hello.session_id);
    let whole: [u8; 32] = mac.finalize().into_bytes().into();
    let [(first, _)] = [whole
        .split_first_chunk::<COOKIE_LEN>()
        .unwrap_or((&[0; COOKIE_LEN], &[]))];
    *first
}

/// The bytes of an address after the number of its version, so that none is the beginning of another.
fn update_address(mac: &mut Hmac<Sha256>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            mac.update(&[4]);
            mac.update(&v4.octets());
        }
        IpAddr::V6(v6) => {
            mac.update(&[6]);
            mac.update(&v6.octets());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    fn path(last: u8) -> Path {
        Path::to(([192, 0, 2, last], 5684).into())
    }

    fn hello<'a>(random: &'a [u8; 32], cookie: &'a [u8]) -> ClientHelloStart<'a> {
        ClientHelloStart {
            version: 0xFEFD,
            random,
            session_id: &[],
            cookie,
        }
    }

    #[test]
    fn a_cookie_fits_its_path_and_its_hello_only() {
        let cookies = Cookies::new(&mut ChaCha20Rng::seed_from_u64(1));
        let cookie = cookies.make(&path(1), &hello(&[7; 32], &[]));
        assert!(cookies.is_valid(&path(1), &hello(&[7; 32], &cookie)));
        assert!(!cookies.is_valid(&path(2), &hello(&[7; 32], &cookie)));
        assert!(!cookies.is_valid(&path(1), &hello(&[8; 32], &cookie)));
        assert!(!cookies.is_valid(&path(1), &hello(&[7; 32], &[])));
        assert!(!cookies.is_valid(&path(1), &hello(&[7; 32], &[0; COOKIE_LEN])));
        let other_port = Path::to(([192, 0, 2, 1], 5685).into());
        assert!(!cookies.is_valid(&other_port, &hello(&[7; 32], &cookie)));
    }

    #[test]
    fn a_cookie_outlives_one_change_of_the_secret_and_not_two() {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let mut cookies = Cookies::new(&mut rng);
        let cookie = cookies.make(&path(1), &hello(&[7; 32], &[]));
        cookies.rotate(Duration::from_secs(60), &mut rng);
        assert!(cookies.is_valid(&path(1), &hello(&[7; 32], &cookie)));
        assert_ne!(cookies.make(&path(1), &hello(&[7; 32], &[])), cookie);
        cookies.rotate(Duration::from_secs(120), &mut rng);
        assert!(!cookies.is_valid(&path(1), &hello(&[7; 32], &cookie)));
    }

    #[test]
    fn after_a_long_pause_no_old_cookie_is_left() {
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        let mut cookies = Cookies::new(&mut rng);
        let cookie = cookies.make(&path(1), &hello(&[7; 32], &[]));
        cookies.rotate(Duration::from_secs(120), &mut rng);
        assert!(!cookies.is_valid(&path(1), &hello(&[7; 32], &cookie)));
    }
}
