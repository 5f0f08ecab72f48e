//! `coracle ping`: is somebody there, and how far away?

use std::io::ErrorKind;
use std::time::Duration;

use clap::Args;
use coracle::{Error, ExchangeError, RequestError};

use crate::client::{self, Client, FamilyArgs, TlsArgs};
use crate::console::{Console, Style, harmless_line};
use crate::error::{CliError, Exit, in_words};

/// Measure round-trip times with empty messages (RFC 7252 §4.3), on connections with Ping and Pong (RFC 8323 §5.4).
#[derive(Args, Debug)]
pub(crate) struct PingArgs {
    /// Whom to ask; `coap://` may be left out
    #[arg(value_parser = client::parse_uri)]
    uri: String,

    /// How often; 0 goes on until Ctrl-C
    #[arg(short, long, value_name = "N", default_value_t = 4)]
    count: u64,

    /// How long to wait between two pings
    #[arg(short, long, value_name = "SECS", default_value = "1", value_parser = client::parse_seconds)]
    interval: Duration,

    /// How long to wait for each answer
    #[arg(long, value_name = "SECS", default_value = "5", value_parser = client::parse_seconds)]
    timeout: Duration,

    #[command(flatten)]
    family: FamilyArgs,

    #[command(flatten)]
    tls: TlsArgs,
}

/// What is known so far.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    sent: u64,
    /// Milliseconds of those that were answered: how many, the least, the most, their sum and that of the squares.
    answered: u64,
    least: f64,
    most: f64,
    sum: f64,
    squares: f64,
}

/// Pings until there are enough, or the user has enough.
pub(crate) async fn run(args: &PingArgs, console: &Console) -> Result<Exit, CliError> {
    let client = args.tls.protect(args.family.client()?, &args.uri, console)?;
    let mut tally = Tally::default();
    if !console.quiet {
        console.write(format!("PING {}\n", args.uri).as_bytes())?;
    }
    let pinged = tokio::select! {
        pinged = ping(args, &client, &mut tally, console) => pinged,
        () = client::interrupted() => Ok(()),
    };
    client::leave(&client).await;
    pinged?;
    console.write(tally.summary(&args.uri).as_bytes())?;
    Ok(if tally.answered > 0 {
        Exit::Success
    } else {
        Exit::NoAnswer
    })
}

async fn ping(
    args: &PingArgs,
    client: &Client,
    tally: &mut Tally,
    console: &Console,
) -> Result<(), CliError> {
    let mut ticks = tokio::time::interval(args.interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while args.count == 0 || tally.sent < args.count {
        ticks.tick().await;
        args.tls.hop(client, &args.uri).await?;
        tally.sent += 1;
        let number = tally.sent;
        let line = match tokio::time::timeout(args.timeout, client.ping(&args.uri)).await {
            Ok(Ok(time)) => {
                tally.add(time);
                let time = console
                    .out
                    .paint(Style::Good, &milliseconds(time.as_secs_f64() * 1e3));
                format!("pong from {}: seq={number} time={time}\n", args.uri)
            }
            Ok(Err(error)) => match passing(&error) {
                Some(why) => format!("seq={number}: {}\n", harmless_line(&why)),
                None => return Err(client::failure(&args.uri, error)),
            },
            Err(_) => {
                let what = client::waits_for(client, &args.uri);
                let what = what.map_or_else(String::new, |what| format!(" ({what})"));
                let within = args.timeout.as_secs_f64();
                format!("seq={number}: no answer within {within} s{what}\n")
            }
        };
        if !console.quiet {
            console.write(line.as_bytes())?;
        }
    }
    Ok(())
}

/// Why a ping was not answered, if the next one may be: what cannot be meant or trusted stays so.
fn passing(error: &Error) -> Option<String> {
    match error {
        // A ping is nothing that is executed.
        Error::Exchange(ExchangeError::Disconnected { .. }) | Error::Request(RequestError::NotConnected) => {
            Some("the connection broke".to_owned())
        }
        Error::Exchange(error) => Some(error.to_string()),
        Error::Io(error) if !matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput) => {
            Some(in_words(&error.to_string()))
        }
        Error::HeldOff { .. } => Some(error.to_string()),
        _ => None,
    }
}

fn milliseconds(time: f64) -> String {
    match time {
        0.0..10.0 => format!("{time:.2} ms"),
        10.0..100.0 => format!("{time:.1} ms"),
        _ => format!("{time:.0} ms"),
    }
}

impl Tally {
    fn add(&mut self, time: Duration) {
        let time = time.as_secs_f64() * 1e3;
        self.least = if self.answered == 0 {
            time
        } else {
            self.least.min(time)
        };
        self.most = self.most.max(time);
        self.sum += time;
        self.squares += time * time;
        self.answered += 1;
    }

    /// In the manner of ping(8).
    fn summary(&self, uri: &str) -> String {
        let Tally { sent, answered, .. } = *self;
        let lost = (sent - answered) * 100 / sent.max(1);
        let mut summary = format!("--- {uri} ---\n{sent} sent, {answered} answered, {lost} % lost\n");
        if answered > 0 {
            // Counts of pings are far below 2^53.
            #[expect(clippy::cast_precision_loss)]
            let count = answered as f64;
            let mean = self.sum / count;
            let deviation = (self.squares / count - mean * mean).max(0.0).sqrt();
            let [least, mean, most, deviation] =
                [self.least, mean, self.most, deviation].map(|time| format!("{time:.3}"));
            summary.push_str(&format!(
                "round trip min/avg/max/mdev = {least}/{mean}/{most}/{deviation} ms\n"
            ));
        }
        summary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_and_measures() {
        let mut tally = Tally {
            sent: 3,
            ..Tally::default()
        };
        tally.add(Duration::from_millis(2));
        tally.add(Duration::from_millis(4));
        let expected = "--- coap://a ---\n3 sent, 2 answered, 33 % lost\n\
            round trip min/avg/max/mdev = 2.000/3.000/4.000/1.000 ms\n";
        assert_eq!(tally.summary("coap://a"), expected);
    }

    #[test]
    fn silence_has_no_times() {
        let tally = Tally {
            sent: 2,
            ..Tally::default()
        };
        assert_eq!(
            tally.summary("coap://a"),
            "--- coap://a ---\n2 sent, 0 answered, 100 % lost\n"
        );
        assert_eq!(
            Tally::default().summary("coap://a"),
            "--- coap://a ---\n0 sent, 0 answered, 0 % lost\n"
        );
    }

    #[test]
    fn short_times_have_more_digits() {
        let shown = [0.4567, 12.345, 1234.5].map(milliseconds);
        assert_eq!(shown, ["0.46 ms", "12.3 ms", "1234 ms"]);
    }
}
