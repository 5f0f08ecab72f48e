//! `coracle get`, `put` and the other methods: one request, one answer.

pub(crate) mod answer;
mod download;
mod partial;
mod payload;
pub(crate) mod transfer;

use std::time::Instant;

use clap::Args;

use crate::client::{
    self, Client, OptionArgs, RequestBuilder, Response, SentRequest, StreamedResponse, TransmissionArgs,
};
use crate::console::Console;
use crate::error::{CliError, Exit};
use crate::request::answer::AnswerArgs;
use crate::request::download::Download;
use crate::request::payload::PayloadArgs;
use crate::request::transfer::Transfer;
use crate::serve::Signals;
use crate::show::message;
use crate::wire::{ContentFormat, Method, OptionNumber};

/// A request without payload.
#[derive(Args, Debug)]
pub(crate) struct RequestArgs {
    /// What to ask for; `coap://` may be left out
    #[arg(value_parser = client::parse_uri)]
    uri: String,

    #[command(flatten)]
    options: OptionArgs,

    #[command(flatten)]
    transmission: TransmissionArgs,

    #[command(flatten)]
    answer: AnswerArgs,
}

/// A request with payload.
#[derive(Args, Debug)]
pub(crate) struct PayloadRequestArgs {
    #[command(flatten)]
    request: RequestArgs,

    #[command(flatten)]
    payload: PayloadArgs,
}

/// A request of a representation.
#[derive(Args, Debug)]
pub(crate) struct GetArgs {
    #[command(flatten)]
    request: RequestArgs,

    /// With -o, go on with what an interrupted transfer has left, if the resource is still the same
    #[arg(short = 'C', long = "continue", help_heading = "Output")]
    resumes: bool,
}

/// Asks for a representation.
pub(crate) async fn get(args: &GetArgs, console: &Console) -> Result<Exit, CliError> {
    let (resumes, args) = (args.resumes, &args.request);
    if resumes && args.answer.file().is_none() {
        let needed = CliError::usage("-C, or --continue, goes on with a file, and none is named");
        return Err(
            needed.with_hint("add -o FILE, the same as of the interrupted transfer, and leave out --json")
        );
    }
    send(args, (Method::GET, resumes), &|request| Ok(request), console).await
}

/// Asks without payload.
pub(crate) async fn run(method: Method, args: &RequestArgs, console: &Console) -> Result<Exit, CliError> {
    send(args, (method, false), &|request| Ok(request), console).await
}

/// Asks with payload.
pub(crate) async fn run_with_payload(
    method: Method,
    args: &PayloadRequestArgs,
    console: &Console,
) -> Result<Exit, CliError> {
    // The others describe what they want in few bytes, which are looked at.
    let streams = [Method::PUT, Method::POST].contains(&method);
    let payload = args.payload.read(streams, console)?;
    let with_payload = |request: RequestBuilder| {
        let request = request.body(payload.body()?);
        let format = args.payload.format();
        Ok(match format.or_else(|| required_format(method, &request)) {
            Some(format) => request.content_format(format),
            None => request,
        })
    };
    send(&args.request, (method, false), &with_payload, console).await
}

/// What is said of a payload that has to have a format, where the user says nothing: FETCH, PATCH and iPATCH describe
/// what they ask for in it (RFC 8132 §2.3.1).
fn required_format(method: Method, request: &RequestBuilder) -> Option<ContentFormat> {
    let sent = request.preview().ok()?;
    let describes = [Method::FETCH, Method::PATCH, Method::IPATCH].contains(&method);
    let needs = describes && !sent.payload.is_empty() && !sent.options.contains(OptionNumber::CONTENT_FORMAT);
    let is_text = std::str::from_utf8(&sent.payload).is_ok();
    needs.then_some(if is_text {
        ContentFormat::TEXT
    } else {
        ContentFormat::OCTET_STREAM
    })
}

/// Sends the request, which `complete` makes whole, and brings its answer where it belongs.
async fn send(
    args: &RequestArgs,
    (method, resumes): (Method, bool),
    complete: &dyn Fn(RequestBuilder) -> Result<RequestBuilder, CliError>,
    console: &Console,
) -> Result<Exit, CliError> {
    let client = args.transmission.client(&args.uri, console)?;
    args.transmission.hop(&client, &args.uri).await?;
    let delivered = ask(args, &client, (method, resumes), complete, console).await;
    let delivered = delivered.map_err(|error| client::explained(error, &client, &args.uri, method.is_safe()));
    client::leave(&client).await;
    delivered
}

/// Sends the request by this client.
async fn ask(
    args: &RequestArgs,
    client: &Client,
    (method, resumes): (Method, bool),
    complete: &dyn Fn(RequestBuilder) -> Result<RequestBuilder, CliError>,
    console: &Console,
) -> Result<Exit, CliError> {
    let failure = |error| client::failure(&args.uri, error);
    let request = || {
        let request = args.transmission.apply(client.request(method, &args.uri));
        complete(args.options.add_to(request)?)
    };
    args.options.warn(console);
    tell_request(&args.uri, &request()?.preview().map_err(failure)?, console);
    let patience = args.transmission.patience(&args.uri);
    let mut signals = Signals::new().map_err(|error| CliError::io("cannot take signals", &error))?;
    if let Some(path) = args.answer.file() {
        let download = Download {
            uri: &args.uri,
            request: &request,
            repeats: method.is_safe(),
            resumes,
            patience: &patience,
            console,
        };
        return download.to(path, &args.answer, &mut signals).await;
    }
    let transfer = Transfer::new(0, console);
    let started = Instant::now();
    let answer = async {
        match method {
            Method::GET => download::whole(&args.uri, &request, &transfer).await,
            _ => request()?
                .progress(transfer.reporter())
                .send()
                .await
                .map_err(failure),
        }
    };
    let answer = tokio::select! {
        answer = transfer.wait(answer, &patience) => answer,
        () = signals.next() => Err(interruption(method, &args.uri, &transfer)),
    };
    drop(transfer);
    let response = answer?;
    tell_response(
        &response,
        &format!(" in {:.1} ms", started.elapsed().as_secs_f64() * 1e3),
        console,
    );
    args.answer.deliver(&args.uri, &response, console)
}

/// What is told of a request that a signal ended, and what can be done about it.
fn interruption(method: Method, uri: &str, transfer: &Transfer) -> CliError {
    let error = client::interruption(uri, &transfer.done());
    match transfer.is_under_way() {
        false => error,
        true if method == Method::GET => {
            error.with_hint("with -o FILE, an interrupted transfer can go on with -C, or --continue")
        }
        true => error.with_hint("uploads cannot be resumed: send it again as a whole"),
    }
}

/// Tells what is sent, if the user wants to know.
pub(crate) fn tell_request(uri: &str, request: &SentRequest, console: &Console) {
    // On connections there are no types (RFC 8323 §2.2).
    let kind = match (client::is_reliable(uri), request.confirmable) {
        (true, _) => "",
        (false, true) => " (CON)",
        (false, false) => " (NON)",
    };
    let start = format!("{} {uri}{kind}", request.method);
    let outline = message::outline(
        '>',
        &start,
        request.options.as_options(),
        &request.payload,
        console.err,
    );
    console.detail(&outline);
}

/// Tells what came, if the user wants to know.
pub(crate) fn tell_response(response: &Response, when: &str, console: &Console) {
    let code = message::code(response.status().into());
    let start = format!("{code} from {}{when}", response.remote());
    let options = response.options().as_options();
    console.detail(&message::outline(
        '<',
        &start,
        options,
        response.payload(),
        console.err,
    ));
}

/// Tells what came before its body, if the user wants to know.
fn tell_head(response: &StreamedResponse, console: &Console) {
    let code = message::code(response.status().into());
    let start = format!("{code} from {}", response.remote());
    let options = response.options().as_options();
    console.detail(&message::outline('<', &start, options, &[], console.err));
}
