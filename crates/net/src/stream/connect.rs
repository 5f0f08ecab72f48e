//! Connections that are made: several addresses at once, the first that answers wins (RFC 8305).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use coracle_wire::Scheme;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::limits::{ATTEMPT_DELAY, MAX_MESSAGE, NAMED_FAILURES};
use super::link::Link;
use super::tls::ClientTls;
use super::transport::Transport;
use super::websocket::{self, host_of};

/// What is wanted of a connection.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// The host of the URI: a name, or an address without brackets. The server's certificate has to be for it, and the
    /// server learns it. `None`: the address.
    pub host: Option<String>,
    /// TLS, if there is to be any (`coaps+tcp`, `coaps+ws`).
    pub tls: Option<ClientTls>,
    /// WebSocket (`coap+ws`, `coaps+ws`).
    pub websocket: bool,
    /// Bytes of the longest message that is taken from a WebSocket, 1 MiB if nothing else is said. What the CSM promises is
    /// enough.
    pub max_message: usize,
    /// How long it may take in all until the connection can be used.
    pub timeout: Duration,
}

impl Default for ConnectOptions {
    /// Plain TCP, within 10 s.
    fn default() -> ConnectOptions {
        ConnectOptions {
            host: None,
            tls: None,
            websocket: false,
            max_message: MAX_MESSAGE,
            timeout: Duration::from_secs(10),
        }
    }
}

/// Connects to the first of `targets` that answers. They are the addresses of one host, in order of preference; those of
/// the two families take turns, each has 250 ms before the next is tried beside it, and one that fails makes room at
/// once (RFC 8305 §4, §5).
///
/// Then TLS and WebSocket begin, with that one only. ALPN has to agree on CoAP, except on port 5684 (RFC 8323 §8.2).
///
/// # Errors
/// No address answers, which the error tells for each, or time is over, or the server's certificate is not trusted, or it
/// does not speak CoAP. The text says what to do about it, where something can be done.
pub async fn connect(targets: &[SocketAddr], options: &ConnectOptions) -> io::Result<Link> {
    let made = timeout(options.timeout, establish(targets, options)).await;
    made.unwrap_or_else(|_| {
        let within = options.timeout;
        let text = format!("no connection with {} within {within:?}", names(targets));
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    })
}

async fn establish(targets: &[SocketAddr], options: &ConnectOptions) -> io::Result<Link> {
    let stream = race(targets, attempt).await?;
    stream.set_nodelay(true)?;
    let address = stream.peer_addr()?;
    let begun = begin(stream, address, options).await;
    begun.map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))
}

/// Tries one address.
async fn attempt(target: SocketAddr) -> io::Result<TcpStream> {
    tracing::debug!(peer = %target, "is called");
    let made = TcpStream::connect(target).await;
    match &made {
        Ok(_) => tracing::debug!(peer = %target, "has taken the connection"),
        Err(error) => tracing::debug!(peer = %target, %error, "cannot be reached"),
    }
    made
}

/// TLS and WebSocket, as far as they are wanted.
async fn begin(stream: TcpStream, address: SocketAddr, options: &ConnectOptions) -> io::Result<Link> {
    let ip = address.ip().to_canonical().to_string();
    // The zone of an address means nothing to the server.
    let host = options.host.as_deref().unwrap_or(&ip);
    let host = host.split_once('%').map_or(host, |(address, _)| address);
    let named = host.parse::<IpAddr>().is_err();
    let transport = match &options.tls {
        None => Transport::Tcp(stream),
        Some(tls) => {
            let stream = tls
                .connect(stream, host, address.port(), options.websocket)
                .await?;
            Transport::Tls(Box::new(stream))
        }
    };
    if !options.websocket {
        let told = named && options.tls.is_some();
        return Link::bytes(transport, told.then(|| host.to_ascii_lowercase()));
    }
    let authority = authority(host, address.port(), options.tls.is_some());
    let Some(host) = host_of(&authority) else {
        let text = format!("{host} is no host");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    };
    let socket = websocket::connect(transport, &authority, options.max_message).await?;
    Link::messages(socket, Some(host))
}

/// What stands in the field Host: the port only if it is not that of the scheme (RFC 6455 §4.1).
fn authority(host: &str, port: u16, tls: bool) -> String {
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    let scheme = if tls { Scheme::CoapsWs } else { Scheme::CoapWs };
    if port == scheme.default_port() {
        host
    } else {
        format!("{host}:{port}")
    }
}

/// Lets attempts run against each other; the first that succeeds wins and ends the others.
async fn race<T, F>(targets: &[SocketAddr], attempt: impl Fn(SocketAddr) -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut waiting = interleaved(targets).into_iter();
    let mut running = FuturesUnordered::new();
    let mut failures = Vec::new();
    loop {
        if let Some(target) = waiting.next() {
            let attempt = attempt(target);
            running.push(async move { attempt.await.map_err(|error| (target, error)) });
        }
        let finished = if waiting.len() == 0 {
            running.next().await
        } else {
            match timeout(ATTEMPT_DELAY, running.next()).await {
                Ok(finished) => finished,
                Err(_) => continue,
            }
        };
        match finished {
            Some(Ok(made)) => return Ok(made),
            Some(Err(failure)) => failures.push(failure),
            None => return Err(failed(&failures)),
        }
    }
}

/// The addresses in the order of the attempts: the families take turns, that of the first address begins (RFC 8305 §4).
fn interleaved(targets: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_family = targets.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = targets
        .iter()
        .copied()
        .partition(|target| target.is_ipv6() == first_family);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut order = Vec::with_capacity(targets.len());
    while first.len() + second.len() > 0 {
        order.extend(first.next());
        order.extend(second.next());
    }
    order
}

fn failed(failures: &[(SocketAddr, io::Error)]) -> io::Error {
    let Some((_, last)) = failures.last() else {
        return io::Error::new(io::ErrorKind::InvalidInput, "no address to connect to");
    };
    let mut told: Vec<String> = failures
        .iter()
        .take(NAMED_FAILURES)
        .map(|(target, error)| format!("{target}: {error}"))
        .collect();
    if failures.len() > told.len() {
        told.push(format!("and {} more addresses", failures.len() - told.len()));
    }
    io::Error::new(last.kind(), told.join("; "))
}

fn names(targets: &[SocketAddr]) -> String {
    let named: Vec<String> = targets
        .iter()
        .take(NAMED_FAILURES)
        .map(SocketAddr::to_string)
        .collect();
    named.join(", ")
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::{Instant, sleep};

    use super::*;

    fn v4(last: u8) -> SocketAddr {
        ([192, 0, 2, last], 5683).into()
    }

    fn v6(last: u16) -> SocketAddr {
        ([0x2001, 0xdb8, 0, 0, 0, 0, 0, last], 5683).into()
    }

    #[test]
    fn the_families_take_turns_and_that_of_the_first_address_begins() {
        let order = interleaved(&[v6(1), v6(2), v6(3), v4(1), v4(2)]);
        assert_eq!(order, [v6(1), v4(1), v6(2), v4(2), v6(3)]);
        assert_eq!(interleaved(&[v4(1), v4(2), v6(1)]), [v4(1), v6(1), v4(2)]);
        assert_eq!(interleaved(&[]), []);
    }

    #[test]
    fn a_server_learns_its_port_only_if_it_is_not_the_usual_one() {
        assert_eq!(authority("example.org", 80, false), "example.org");
        assert_eq!(authority("example.org", 80, true), "example.org:80");
        assert_eq!(authority("2001:db8::1", 443, true), "[2001:db8::1]");
        assert_eq!(authority("192.0.2.1", 5683, false), "192.0.2.1:5683");
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_does_not_answer_delays_by_a_quarter_of_a_second() {
        let begun = Instant::now();
        let attempt = |target: SocketAddr| async move {
            if target == v6(1) {
                pending::<()>().await;
            }
            Ok(target)
        };
        assert_eq!(race(&[v6(1), v4(1), v4(2)], attempt).await.unwrap(), v4(1));
        assert_eq!(begun.elapsed(), Duration::from_millis(250));
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_refuses_makes_room_at_once() {
        let begun = Instant::now();
        let attempt = |target: SocketAddr| async move {
            if target == v4(3) {
                return Ok(target);
            }
            Err(io::ErrorKind::ConnectionRefused.into())
        };
        assert_eq!(race(&[v4(1), v4(2), v4(3)], attempt).await.unwrap(), v4(3));
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_address_still_wins_if_later_ones_are_slower() {
        let attempt = |target: SocketAddr| async move {
            let slow = if target == v6(1) { 400 } else { 10_000 };
            // tidy: the clock of the test is not the real one.
            sleep(Duration::from_millis(slow)).await;
            Ok(target)
        };
        let begun = Instant::now();
        assert_eq!(race(&[v6(1), v4(1)], attempt).await.unwrap(), v6(1));
        assert_eq!(begun.elapsed(), Duration::from_millis(400));
    }

    #[tokio::test(start_paused = true)]
    async fn if_all_fail_the_error_names_them() {
        let attempt = |_| async { Err::<(), _>(io::ErrorKind::ConnectionRefused.into()) };
        let error = race(&[v4(1), v4(2)], attempt).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(
            error.to_string(),
            "192.0.2.1:5683: connection refused; 192.0.2.2:5683: connection refused"
        );
        let many: Vec<SocketAddr> = (0..9).map(v4).collect();
        let error = race(&many, attempt).await.unwrap_err();
        assert!(error.to_string().ends_with("; and 5 more addresses"), "{error}");
        let error = race(&[], attempt).await.unwrap_err();
        assert_eq!(error.to_string(), "no address to connect to");
    }
}
