//! A server of several schemes, and what tests of connections have in common.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]

pub mod raw;

use std::net::SocketAddr;
use std::time::Duration;

use coracle_router::Router;
use coracle_runtime::{Bound, Client, Config, Endpoint, Error, StatisticsReader};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longer than anything here takes; a bound, not a measure.
pub const BOUND: Duration = Duration::from_secs(30);

pub async fn bounded<T>(work: impl Future<Output = T>) -> T {
    timeout(BOUND, work).await.unwrap()
}

/// As many connections as are wished for, or as there are descriptors for both ends of each.
pub fn affordable(connections: usize) -> usize {
    let limits = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limits.maximum,
        ..limits
    };
    // What cannot be raised stays as it is.
    let _ = setrlimit(Resource::Nofile, most);
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let spared = limit.saturating_sub(200) / 2;
    connections.min(usize::try_from(spared).unwrap_or(usize::MAX))
}

pub fn pattern(len: usize) -> Vec<u8> {
    (0..len)
        .map(|i| u8::try_from((i * 7 + i / 256) & 255).unwrap())
        .collect()
}

pub struct Server {
    pub bound: Vec<Bound>,
    pub client: Client,
    pub statistics: StatisticsReader,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), Error>>,
}

impl Server {
    /// One of plain TCP.
    pub fn start(router: Router) -> Server {
        Server::with(router, Config::default())
    }

    pub fn with(router: Router, config: Config) -> Server {
        let endpoint = Endpoint::bind("coap+tcp://127.0.0.1:0").unwrap();
        Server::serve(endpoint.with_config(config), router)
    }

    pub fn serve(endpoint: Endpoint, router: Router) -> Server {
        let (bound, statistics) = (endpoint.bound(), endpoint.statistics());
        let client = endpoint.client();
        let (stop, stopped) = oneshot::channel();
        let serve = endpoint.serve(router).with_graceful_shutdown(async {
            let _ = stopped.await;
        });
        Server {
            bound,
            client,
            statistics,
            stop: Some(stop),
            task: tokio::spawn(async move { serve.await }),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.bound[0].address
    }

    pub fn uri(&self, path: &str) -> String {
        format!("{}{path}", self.bound[0])
    }

    /// Begins to shut down, and gives what ends with the server.
    pub fn stop(mut self) -> JoinHandle<Result<(), Error>> {
        self.stop.take().unwrap().send(()).unwrap();
        self.task
    }

    /// Ends as a process that is killed: nobody is told.
    pub async fn kill(self) {
        self.task.abort();
        assert!(bounded(self.task).await.is_err());
    }

    pub async fn shut_down(self) {
        bounded(self.stop()).await.unwrap().unwrap();
    }
}
