//! `coracle serve`: a site to try clients with, or the files of a folder.
//!
//! What is served is a [`Router`] like that of any application of the library; this folder is an example of it.

mod access;
mod announce;
mod args;
mod clock;
mod connections;
mod credentials;
mod files;
mod listen;
mod log;
mod rates;
mod shutdown;
mod site;
mod store;
mod tls;
mod window;

use std::future::IntoFuture;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use coracle::{Bound, Config, Endpoint, Error, Router, Statistics};
use tokio::sync::oneshot;

use self::access::Access;
use self::announce::Announcement;
pub(crate) use self::announce::{base, listening};
pub(crate) use self::args::{EXAMPLES, ListenArgs, ServeArgs};
pub(crate) use self::shutdown::Signals;
use self::store::Store;
use crate::console::Console;
use crate::descriptors;
use crate::error::{CliError, Exit};
use crate::trace;

/// How long what was cut off may take to clean up.
const CLEANUP: Duration = Duration::from_millis(500);

/// Serves until a signal ends it.
pub(crate) fn run(args: &ServeArgs, console: &Console) -> Result<Exit, CliError> {
    args.store.check()?;
    serve(&args.listen, config(args), console, |bound| {
        let folder = args.files.dir.as_deref();
        let local = folder.is_none() && listen::is_local(bound);
        let access = if args.write || local {
            Access::Write
        } else {
            Access::ReadOnly
        };
        let announcement = Announcement {
            bound,
            cert: args.listen.tls.cert(),
            folder,
            access,
            write: args.write,
        };
        Ok((router(args, access, console)?, announcement.text()))
    })
}

/// Serves until a signal ends it, with all processors. What is served, and what is said of it, is told by `prepare`
/// within the tokio runtime, once the addresses are bound.
pub(crate) fn serve(
    listen: &ListenArgs,
    config: Config,
    console: &Console,
    prepare: impl FnOnce(&[Bound]) -> Result<(Router, String), CliError>,
) -> Result<Exit, CliError> {
    let descriptors = descriptors::allow(None);
    trace::tell(*console, trace::Before::Time);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::io("cannot start", &error))?;
    let ended = runtime.block_on(async {
        let signals = Signals::new().map_err(|error| CliError::io("cannot take signals", &error))?;
        let mut endpoint = listen::bind(listen, listen.configured(config, descriptors), console)?;
        if let Some(shards) = listen.shards {
            endpoint = endpoint.with_shards(shards.into());
        }
        let (router, announcement) = prepare(&endpoint.bound())?;
        console.note(&announcement);
        let router = match listen.rate_limit() {
            Some(limit) => router.layer(limit),
            None => router,
        };
        let router = if console.verbose {
            log::told(router, *console)
        } else {
            router
        };
        if let Some(seconds) = listen.stats {
            let every = Duration::from_secs(seconds.into());
            tokio::spawn(rates::tell(endpoint.statistics(), every, *console));
        }
        until_signals(endpoint, router, signals, console).await
    });
    // Files that were not written to their end are removed; a disk that does not answer holds nobody up.
    runtime.shutdown_timeout(CLEANUP);
    ended
}

/// What is served.
fn router(args: &ServeArgs, access: Access, console: &Console) -> Result<Router, CliError> {
    let Some(folder) = &args.files.dir else {
        return Ok(site::router(Arc::new(Store::new(args.store.into())), access));
    };
    files::router(
        folder,
        args.files.hidden,
        access,
        args.files.max_file_bytes,
        *console,
    )
    .map_err(|error| CliError::io(format_args!("cannot serve {}", folder.display()), &error))
}

/// The library's bounds, with room for the largest item that the store takes.
fn config(args: &ServeArgs) -> Config {
    let mut config = Config::default();
    let item = usize::try_from(args.store.item_bytes()).unwrap_or(usize::MAX);
    config.assembly_bytes_per_peer = config.assembly_bytes_per_peer.max(item);
    config.assembly_bytes = config.assembly_bytes.max(item);
    config
}

/// The first signal lets what was accepted be answered, the second one ends it at once.
async fn until_signals(
    endpoint: Endpoint,
    router: Router,
    mut signals: Signals,
    console: &Console,
) -> Result<Exit, CliError> {
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async {
        // Nothing is sent: that the other end is dropped is the sign.
        let _ = stopped.await;
    };
    let (bound, statistics) = (endpoint.bound(), endpoint.statistics());
    let serving = endpoint.serve(router).with_graceful_shutdown(stopped);
    let mut serving = pin!(serving.into_future());
    tokio::select! {
        ended = &mut serving => return over(ended, &bound),
        () = signals.next() => console.note(&ending(&statistics.read().await)),
    }
    drop(stop);
    tokio::select! {
        ended = &mut serving => over(ended, &bound),
        () = signals.next() => Err(CliError::new("ended before all was answered")),
    }
}

/// What is waited for, if anything is.
fn ending(now: &Statistics) -> String {
    let requests = now.pending.saturating_sub(now.uploads);
    let mut text = "ending".to_owned();
    if requests > 0 {
        text.push_str(&format!(
            ", waiting for up to 5 s for answers to requests: {requests}"
        ));
    }
    if now.uploads > 0 {
        let uploads = now.uploads;
        text.push_str(&format!(
            ", waiting for up to 5 s for uploads, while blocks come: {uploads}"
        ));
    }
    text.push_str("; again to end at once");
    text
}

fn over(ended: coracle::Result<()>, bound: &[Bound]) -> Result<Exit, CliError> {
    let Err(error) = ended else {
        return Ok(Exit::Success);
    };
    let bound: Vec<String> = bound.iter().map(Bound::to_string).collect();
    let what = format!("cannot serve {} any longer", bound.join(", "));
    Err(match error {
        Error::Io(error) => CliError::io(what, &error),
        error => CliError::new(format_args!("{what}: {error}")),
    })
}
