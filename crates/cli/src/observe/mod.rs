//! `coracle observe`: the states of a resource as they change.

mod exec;

use std::time::{Duration, SystemTime};

use clap::Args;
use serde::Serialize;
use tokio::time::Instant;

use crate::client::{self, Client, Notification, Observation, OptionArgs, Response, TransmissionArgs};
use crate::console::{Console, harmless, harmless_line};
use crate::error::{CliError, Exit, in_words};
use crate::json::{self, OptionJson, PayloadJson};
use crate::request::transfer::Transfer;
use crate::request::{answer, tell_request, tell_response};
use crate::show::payload::{self, Kind};
use crate::timestamp;
use crate::wire::Code;

/// How long the end of the observation may take to arrive at the server.
const FAREWELL: Duration = Duration::from_secs(1);

/// Watch a resource and print its states until Ctrl-C.
#[derive(Args, Debug)]
pub(crate) struct ObserveArgs {
    /// What to watch; `coap://` may be left out
    #[arg(value_parser = client::parse_uri)]
    uri: String,

    /// End after so many states
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// End after this time, answered or not
    #[arg(short, long, value_name = "SECS", value_parser = client::parse_seconds)]
    duration: Option<Duration>,

    /// Run this command for each state, with the payload on its standard input; exit status 1 if it ever fails
    #[arg(short, long, value_name = "COMMAND")]
    exec: Option<String>,

    /// Print one JSON object a line, with the time
    #[arg(long, help_heading = "Output")]
    json: bool,

    #[command(flatten)]
    options: OptionArgs,

    #[command(flatten)]
    transmission: TransmissionArgs,
}

impl ObserveArgs {
    /// How long the first answer is waited for, in words.
    fn patience(&self) -> String {
        self.duration
            .map_or_else(|| self.transmission.patience(&self.uri), client::up_to)
    }
}

/// How an observation went.
#[derive(Debug, Default)]
struct Course {
    /// States that came.
    states: u64,
    /// What the last one means; `None` before the first.
    exit: Option<Exit>,
    /// A command failed for some state.
    command_failed: bool,
}

impl Course {
    /// The exit status at the end.
    fn exit(&self) -> Exit {
        match self.exit {
            Some(Exit::Success) if self.command_failed => Exit::Failure,
            Some(exit) => exit,
            None => Exit::NoAnswer,
        }
    }
}

/// Observes until the user, the server, or a limit ends it.
pub(crate) async fn run(args: &ObserveArgs, console: &Console) -> Result<Exit, CliError> {
    let client = args.transmission.client(&args.uri, console)?;
    args.transmission.hop(&client, &args.uri).await?;
    let ended = observe(args, &client, console).await;
    let ended = ended.map_err(|error| client::explained(error, &client, &args.uri, true));
    client::leave(&client).await;
    ended
}

async fn observe(args: &ObserveArgs, client: &Client, console: &Console) -> Result<Exit, CliError> {
    let request = args.transmission.apply(client.observe(&args.uri));
    let request = args.options.apply(request, console)?;
    let failure = |error| client::failure(&args.uri, error);
    tell_request(&args.uri, &request.preview().map_err(failure)?, console);
    let ends_at = args.duration.map(|duration| Instant::now() + duration);
    let transfer = Transfer::new(0, console);
    let patience = args.patience();
    let begun = transfer.wait(request.observe(), &patience);
    let mut observation = tokio::select! {
        begun = begun => begun.map_err(failure)?,
        () = client::interrupted() => return Err(client::unanswered(&args.uri, "interrupted before an answer")),
        () = until(ends_at) => return Err(client::unanswered(&args.uri, "no answer within --duration")),
    };
    let mut course = Course::default();
    let watched = tokio::select! {
        watched = watch(&mut observation, &mut course, args, console) => watched,
        () = client::interrupted() => Ok(()),
        () = until(ends_at) => Ok(()),
    };
    if observation.is_observed() {
        console.detail("leaving the observation");
    }
    // Should the server be gone, that it does not hear of the end matters to nobody.
    let _ = tokio::time::timeout(FAREWELL, observation.cancel()).await;
    watched.map(|()| course.exit())
}

async fn until(ends_at: Option<Instant>) {
    match ends_at {
        Some(ends_at) => tokio::time::sleep_until(ends_at).await,
        None => std::future::pending().await,
    }
}

/// Prints states until there are enough or no more.
async fn watch(
    observation: &mut Observation,
    course: &mut Course,
    args: &ObserveArgs,
    console: &Console,
) -> Result<(), CliError> {
    let observed = observation.is_observed();
    let (mut stale, mut why) = (false, None);
    while let Some(notification) = observation.next().await {
        match notification.map_err(|error| client::failure(&args.uri, error))? {
            Notification::Stale => {
                let reason = observation.lost_because().map(in_words);
                if !std::mem::replace(&mut stale, true) || reason != why {
                    let told = reason
                        .as_deref()
                        .map_or_else(String::new, |why| format!(": {why}"));
                    let what = format!("the last state is no longer fresh; registering again{told}");
                    console.note(&harmless_line(&what));
                }
                why = reason;
            }
            Notification::State(response) => {
                why = None;
                if std::mem::take(&mut stale) {
                    console.note("fresh again");
                }
                tell_response(&response, "", console);
                let exit = client::exit(response.status());
                if !observed && exit == Exit::Success {
                    console.note("the server does not let this be observed; this is its only answer");
                }
                course.exit = Some(exit);
                course.states += 1;
                course.command_failed |= !deliver(&response, args, console).await?;
                if args.count == Some(course.states) {
                    return Ok(());
                }
            }
        }
    }
    if observation.is_observed() && course.exit == Some(Exit::Success) {
        console.note("the server ended the observation");
    }
    Ok(())
}

/// Prints a state and runs the command for it; `false` if that failed.
async fn deliver(response: &Response, args: &ObserveArgs, console: &Console) -> Result<bool, CliError> {
    let success = client::exit(response.status()) == Exit::Success;
    if args.json {
        console.write(json::line(&StateJson::new(response, SystemTime::now()))?.as_bytes())?;
    } else if !success {
        console.complain(&answer::complaint(response));
    } else if args.exec.is_none() {
        console.write(&printed(response, console))?;
    }
    match &args.exec {
        Some(command) if success => exec::run(command, &args.uri, response, console).await,
        _ => Ok(true),
    }
}

/// A state as it is printed: text on lines of its own, other bytes as they are, unless they would hit a terminal.
fn printed(response: &Response, console: &Console) -> Vec<u8> {
    let body = response.payload();
    let format = response.content_format();
    let binary = matches!(
        payload::kind(format, body),
        Kind::Binary | Kind::Cbor | Kind::CborSequence
    );
    let mut shown = match console.out_is_terminal {
        false => body.to_vec(),
        true => match payload::pretty(format, body, console.out) {
            Some(text) => text.into_bytes(),
            None => harmless(&format!("({} bytes) {}", body.len(), crate::hex::digits(body))).into_bytes(),
        },
    };
    if !shown.ends_with(b"\n") && (console.out_is_terminal || !binary) {
        shown.push(b'\n');
    }
    shown
}

/// A state as JSON.
#[derive(Serialize)]
struct StateJson {
    time: String,
    code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    observe: Option<u32>,
    options: Vec<OptionJson>,
    #[serde(flatten)]
    payload: Option<PayloadJson>,
}

impl StateJson {
    fn new(response: &Response, now: SystemTime) -> StateJson {
        let options = response.options().as_options();
        let code = Code::from(response.status());
        StateJson {
            time: timestamp::to_the_millisecond(now),
            code: code.to_string(),
            observe: options.observe(),
            options: json::options(code, options),
            payload: PayloadJson::new(response.content_format(), response.payload()),
        }
    }
}
