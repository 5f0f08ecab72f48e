//! `coracle plugtest serve`: the site of the plugtests.

use std::time::Duration;

use clap::Args;
use coracle::{Bound, Config};
use coracle_conformance::site::{self, Settings};

use crate::client;
use crate::console::Console;
use crate::error::{CliError, Exit};
use crate::serve::{self, ListenArgs, base, listening};

/// What is said below the help.
pub(crate) const EXAMPLES: &str = "\
Examples:
  coracle plugtest serve
  coracle plugtest serve --bind 127.0.0.1:0 --period 0.5
  coracle plugtest serve --bind [::] --multicast eth0 -v
  coracle plugtest serve --bind coaps://127.0.0.1

It has the resources that the CoAP plugtests ask of a server (/test, /separate, /validate, /large,
/obs and so on), and some to try RFC 8132 and the like with. GET / names them, and
`coracle discover` lists them with their attributes.

Clients may change what it holds, from wherever they can reach it; all of it is bounded, and
forgotten when it ends. Addresses need not prove themselves (RFC 9175, 2.4) unless --amplification
says so: the tests tell which answers clients are to see. Without --bind it listens on this machine
only, by UDP and TCP at port 5683, by WebSocket at 8683, by DTLS (coaps) at 5684. There it takes the
PSK identity password with the key sesame, and the raw keys that `coracle plugtest run` has, unless
--psk or --credentials says otherwise. These keys are known to everybody and protect nothing. Ctrl-C ends it when all that was accepted is answered, a second one at once.
`coracle serve --help` says what --stats tells.";

/// Options of `coracle plugtest serve`.
#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    /// Where to listen.
    #[command(flatten)]
    listen: ListenArgs,

    /// How often observable resources change, at least every 0.1 s; notifications that are not confirmable leave
    /// 3 s apart all the same (RFC 7641, 4.5.1)
    #[arg(long, value_name = "SECS", default_value = "5", value_parser = parse_period, help_heading = None)]
    period: Duration,
}

/// Serves until a signal ends it.
pub(crate) fn run(args: &ServeArgs, console: &Console) -> Result<Exit, CliError> {
    // The tests are about clients who prove nothing, and say which sizes and messages they are to see.
    let mut config = Config::default();
    config.amplification = None;
    let keys = site::credentials().map_err(CliError::new)?;
    let mut listen = args.listen.clone();
    listen.credentials = listen.credentials.or(keys);
    serve::serve(&listen, config, console, |bound| {
        let settings = Settings { period: args.period };
        Ok((site::router(&settings), announcement(bound, args.period)))
    })
}

/// What is said when it starts, beginning with a line for each socket.
fn announcement(bound: &[Bound], period: Duration) -> String {
    let base = base(bound);
    format!(
        "{}
Try it in another terminal:
  coracle discover {base}
  coracle get {base}/separate
  coracle observe {base}/obs

Serving the site of the CoAP plugtests; observable resources change every {} s. Peers may change what it holds.",
        listening(bound),
        period.as_secs_f64()
    )
}

fn parse_period(text: &str) -> Result<Duration, String> {
    let period = client::parse_seconds(text)?;
    if period < Settings::SHORTEST_PERIOD {
        return Err(format!("at least {} s", Settings::SHORTEST_PERIOD.as_secs_f64()));
    }
    Ok(period)
}

#[cfg(test)]
mod tests {
    use coracle::wire::Scheme;

    use super::*;

    #[test]
    fn a_period_may_be_a_fraction_but_not_too_short() {
        assert_eq!(parse_period("0.1"), Ok(Duration::from_millis(100)));
        assert_eq!(parse_period("5"), Ok(Duration::from_secs(5)));
        for text in ["0.09", "0", "-1", "soon", "inf"] {
            assert!(parse_period(text).is_err(), "{text}");
        }
    }

    #[test]
    fn it_says_where_it_listens_first() {
        let bound = [(Scheme::Coap, "127.0.0.1:5684"), (Scheme::CoapTcp, "[::1]:5683")];
        let bound = bound.map(|(scheme, address)| Bound {
            scheme,
            address: address.parse().unwrap(),
        });
        let told = announcement(&bound, Duration::from_millis(500));
        let expected = "listening on coap://127.0.0.1:5684\nlistening on coap+tcp://[::1]:5683\n\nTry it";
        assert!(told.starts_with(expected), "{told}");
        assert!(
            told.contains("coracle observe coap://127.0.0.1:5684/obs\n"),
            "{told}"
        );
        assert!(told.contains("every 0.5 s"), "{told}");
    }
}
