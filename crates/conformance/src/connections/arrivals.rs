//! The threads that accept connections and read them, so that one place can wait for all.

use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;

/// How many pieces are read ahead that nobody has taken yet.
pub(super) const READ_AHEAD: usize = 8;

/// How long a piece is at most, in bytes.
const PIECE: usize = 16 * 1024;

/// How long it may take to wake the thread that accepts.
const WAKE: Duration = Duration::from_secs(1);

/// What the threads tell.
pub(super) enum News {
    Accepted(TcpStream, SocketAddr),
    Bytes(SocketAddr, Vec<u8>),
    /// Nothing more comes; whether the connection was reset.
    Ended(SocketAddr, bool),
}

/// Waits for connections until it is dropped.
#[derive(Debug)]
pub(super) struct Acceptor {
    local: SocketAddr,
    over: Arc<AtomicBool>,
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes the thread; if that fails it ends with the next connection.
        let _ = TcpStream::connect_timeout(&self.local, WAKE);
    }
}

impl Acceptor {
    /// Accepts in a thread of its own.
    pub(super) fn start(listener: TcpListener, local: SocketAddr, tell: SyncSender<News>) -> Acceptor {
        let over = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&over);
        thread::spawn(move || {
            while let Ok((stream, peer)) = listener.accept() {
                if done.load(Ordering::Relaxed) || tell.send(News::Accepted(stream, peer)).is_err() {
                    return;
                }
            }
        });
        Acceptor { local, over }
    }
}

/// Reads a connection to its end, in a thread of its own, as far as anybody takes what it reads.
pub(super) fn read(mut stream: TcpStream, peer: SocketAddr, tell: SyncSender<News>) {
    thread::spawn(move || {
        let mut buf = vec![0; PIECE];
        loop {
            let news = match stream.read(&mut buf) {
                Ok(0) => News::Ended(peer, false),
                Ok(length) => News::Bytes(peer, buf.get(..length).unwrap_or_default().to_vec()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => News::Ended(peer, true),
            };
            let ended = matches!(news, News::Ended(..));
            if tell.send(news).is_err() || ended {
                return;
            }
        }
    });
}
