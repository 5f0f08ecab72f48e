//! `coracle discover`: what servers have, asked of one or of all at once.

mod links;

use std::cell::RefCell;
use std::collections::HashSet;
use std::time::Duration;

use clap::Args;
use coracle::{Error, ExchangeError};

use crate::client::{self, Client, FamilyArgs, Response, TlsArgs};
use crate::console::{Console, harmless_line};
use crate::discover::links::{Found, base_of};
use crate::error::{CliError, Exit};
use crate::request::transfer::Transfer;
use crate::request::{answer, tell_request, tell_response};
use crate::wire::{ContentFormat, Uri};

/// All CoAP nodes of the link, by IPv6 and by IPv4 (RFC 7252 §12.8).
const GROUPS: [&str; 2] = ["coap://[ff02::fd]", "coap://224.0.1.187"];

/// How long to wait for a group: members answer within DEFAULT_LEISURE, which is 5 s (RFC 7252 §8.2).
const WAIT: Duration = Duration::from_secs(6);

/// How long to wait for one server: its answer may take two retransmissions.
const WAIT_FOR_SERVER: Duration = Duration::from_secs(10);

/// Lines that are remembered; of further ones some may be printed twice.
const MAX_REMEMBERED: usize = 100_000;

/// Find resources by /.well-known/core (RFC 6690).
#[derive(Args, Debug)]
pub(crate) struct DiscoverArgs {
    /// A server or a group [default: all CoAP nodes, by IPv6 and IPv4]
    #[arg(value_parser = client::parse_uri)]
    uri: Option<String>,

    /// Only resources of this type; `*` at the end stands for anything
    #[arg(long, value_name = "TYPE")]
    rt: Option<String>,

    /// Only resources with this interface description
    #[arg(long = "if", value_name = "INTERFACE")]
    interface: Option<String>,

    /// Only this resource
    #[arg(long, value_name = "PATH")]
    href: Option<String>,

    /// Only resources with this attribute, whatever its value if none is given
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    filter: Vec<String>,

    /// How long to wait for answers: members of a group wait a random time of up to 5 s themselves [default: 6 for
    /// a group, 10 for a server]
    #[arg(short, long, value_name = "SECS", value_parser = client::parse_seconds)]
    wait: Option<Duration>,

    /// Print one JSON object a line: href, from, attributes
    #[arg(long, help_heading = "Output")]
    json: bool,

    #[command(flatten)]
    family: FamilyArgs,

    #[command(flatten)]
    tls: TlsArgs,
}

impl DiscoverArgs {
    /// The filters as queries (RFC 6690 §4.1).
    fn filters(&self) -> Vec<String> {
        let named = [("rt", &self.rt), ("if", &self.interface), ("href", &self.href)];
        let named = named.into_iter();
        let named = named.filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?)));
        named.chain(self.filter.iter().cloned()).collect()
    }

    fn groups(&self) -> Vec<&'static str> {
        let (ipv4, ipv6) = self.family.wants();
        let wanted = GROUPS.into_iter().zip([ipv6, ipv4]);
        wanted
            .filter_map(|(group, wanted)| wanted.then_some(group))
            .collect()
    }
}

/// Asks one server, a group, or both groups of all nodes.
pub(crate) async fn run(args: &DiscoverArgs, console: &Console) -> Result<Exit, CliError> {
    let uri = args.uri.as_deref().unwrap_or("coap://");
    let search = Search {
        client: args.tls.protect(args.family.client()?, uri, console)?,
        filters: args.filters(),
        args,
        console,
        printed: RefCell::default(),
    };
    args.tls.hop(&search.client, uri).await?;
    let found = match args.uri.as_deref() {
        Some(uri) if is_group(uri) => match search.ask_group(uri).await {
            Ok(0) => Err(client::silence(uri)),
            asked => asked.map(|_| Exit::Success),
        },
        Some(uri) => {
            let asked = search.ask_server(uri).await;
            asked.map_err(|error| client::explained(error, &search.client, uri, true))
        }
        None => search.ask_groups(&args.groups()).await,
    };
    client::leave(&search.client).await;
    found
}

fn is_group(uri: &str) -> bool {
    let host = Uri::parse(uri).ok().and_then(|uri| uri.host.ip());
    host.is_some_and(|address| address.is_multicast())
}

struct Search<'a> {
    client: Client,
    filters: Vec<String>,
    args: &'a DiscoverArgs,
    console: &'a Console,
    /// Lines that were printed, so that a node with two addresses in a group does not repeat itself.
    printed: RefCell<HashSet<String>>,
}

impl Search<'_> {
    async fn ask_server(&self, uri: &str) -> Result<Exit, CliError> {
        let failure = |error| match error {
            // The hint of requests names options that this command does not have.
            Error::Exchange(ExchangeError::NoAnswer { .. } | ExchangeError::Timeout) => client::silence(uri),
            error => client::failure(uri, error),
        };
        let request = self.request(uri)?;
        let patience = client::up_to(self.args.wait.unwrap_or(WAIT_FOR_SERVER));
        let transfer = Transfer::new(0, self.console);
        let response = transfer.wait(request.send(), &patience).await;
        let response = response.map_err(failure)?;
        let exit = client::exit(response.status());
        if exit == Exit::Success {
            self.print(&response, uri)?;
        } else {
            self.console.complain(&answer::complaint(&response));
        }
        Ok(exit)
    }

    /// The request, told to those who want to know. Servers need to understand one filter only (RFC 6690 §4.1);
    /// the others are applied here.
    fn request(&self, uri: &str) -> Result<client::RequestBuilder, CliError> {
        let group = is_group(uri);
        let default = if group { WAIT } else { WAIT_FOR_SERVER };
        let mut request = self
            .client
            .discover(uri)
            .accept(ContentFormat::LINK_FORMAT)
            .confirmable(!group)
            .timeout(self.args.wait.unwrap_or(default));
        if let Some(filter) = self.filters.iter().find(|filter| filter.contains('=')) {
            request = request.query(filter);
        }
        let sent = request.preview().map_err(|error| client::failure(uri, error))?;
        tell_request(uri, &sent, self.console);
        Ok(request)
    }

    /// Prints what the members of a group have, and tells how many answered.
    async fn ask_group(&self, uri: &str) -> Result<usize, CliError> {
        let failure = |error| client::failure(uri, error);
        let request = self.request(uri)?;
        let mut responses = request.send_to_all().await.map_err(failure)?;
        let (mut count, mut failed) = (0, None);
        while let Some(response) = responses.next().await {
            match response {
                Ok(response) => {
                    count += 1;
                    self.print(&response, &base_of(uri, response.remote()))?;
                }
                Err(error) => {
                    if let Some(earlier) = failed.replace(failure(error)) {
                        self.console.detail(&earlier.to_string());
                    }
                }
            }
        }
        match failed {
            Some(error) if count == 0 => return Err(error),
            // Where somebody answered, it matters little that somebody else could not.
            Some(error) => self.console.detail(&error.to_string()),
            None => {}
        }
        Ok(count)
    }

    /// Both at once; that a system has only one of IPv6 and IPv4 is no failure.
    async fn ask_groups(&self, groups: &[&str]) -> Result<Exit, CliError> {
        let ask = |index: usize| async move {
            match groups.get(index) {
                Some(group) => self.ask_group(group).await,
                None => Ok(0),
            }
        };
        match tokio::join!(ask(0), ask(1)) {
            (Ok(0), Ok(0)) => Err(client::silence(&groups.join(", "))),
            (Err(error), Err(_) | Ok(0)) | (Ok(0), Err(error)) => Err(error),
            (Err(error), Ok(_)) | (Ok(_), Err(error)) => {
                self.console.detail(&error.to_string());
                Ok(Exit::Success)
            }
            (Ok(_), Ok(_)) => Ok(Exit::Success),
        }
    }

    fn print(&self, response: &Response, base: &str) -> Result<(), CliError> {
        tell_response(response, "", self.console);
        let links = match links::read(response, base, &self.filters) {
            Ok(links) => links,
            Err(what) => {
                let from = response.remote();
                self.console
                    .complain(&format!("{from}: {}", harmless_line(&what)));
                return Ok(());
            }
        };
        for link in links {
            let line = self.line(&link)?;
            if !self.is_known(&line) {
                self.console.write(line.as_bytes())?;
            }
        }
        Ok(())
    }

    fn is_known(&self, line: &str) -> bool {
        let mut printed = self.printed.borrow_mut();
        let known = printed.contains(line);
        if !known && printed.len() < MAX_REMEMBERED {
            printed.insert(line.to_owned());
        }
        known
    }

    fn line(&self, link: &Found) -> Result<String, CliError> {
        match self.args.json {
            true => crate::json::line(&link.json()),
            false => Ok(format!("{}\n", link.line(self.console.out))),
        }
    }
}
