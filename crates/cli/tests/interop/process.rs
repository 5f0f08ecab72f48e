//! Child processes with a bound on every wait, killed by their handle when the test lets go of them.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a server may take until it says that it listens.
pub(crate) const START_LIMIT: Duration = Duration::from_secs(20);
/// How often a condition that nobody announces is looked at again.
pub(crate) const POLL: Duration = Duration::from_millis(10);
/// Lines of a transcript that a failure shows, and characters of each.
const SHOWN_LINES: usize = 40;
const SHOWN_COLUMNS: usize = 200;

/// What a process has printed so far on both of its streams.
#[derive(Default)]
struct Transcript {
    lines: Mutex<Lines>,
    grown: Condvar,
}

#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    open_streams: usize,
}

/// A process in the background: a server or a capture.
pub(crate) struct Running {
    name: String,
    child: Child,
    transcript: Arc<Transcript>,
}

impl Running {
    /// Starts `command`; panics if there is no such program.
    pub(crate) fn start(name: &str, command: &mut Command) -> Running {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let transcript = Arc::new(Transcript::default());
        lock(&transcript).open_streams = 2;
        follow(child.stdout.take().expect("stdout is piped"), &transcript);
        follow(child.stderr.take().expect("stderr is piped"), &transcript);
        Running {
            name: name.to_owned(),
            child,
            transcript,
        }
    }

    /// Waits for the first line, also of those printed before, in which `find` finds something.
    /// `None` when the process closes both streams without such a line; panics after `limit`.
    pub(crate) fn wait_for<T>(&self, limit: Duration, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + limit;
        let mut lines = lock(&self.transcript);
        let mut seen = 0;
        loop {
            if let Some(found) = lines.lines[seen..].iter().find_map(|line| find(line)) {
                return Some(found);
            }
            if lines.open_streams == 0 {
                return None;
            }
            seen = lines.lines.len();
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "{} did not print what was awaited within {limit:?}",
                self.name
            );
            lines = wait(&self.transcript, lines, left);
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the process has ended by itself; panics after `limit`.
    pub(crate) fn wait_for_end(&mut self, limit: Duration) {
        end_of(&self.name, &mut self.child, limit);
    }

    pub(crate) fn transcript(&self) -> String {
        shown(&lock(&self.transcript).lines)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A process that has ended already cannot be killed: that is no failure.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- {} printed:\n{}", self.name, self.transcript());
        }
    }
}

/// What a process that ran to its end has left behind.
pub(crate) struct Finished {
    /// The command, for messages.
    pub(crate) command: String,
    /// The exit status, `None` if a signal ended the process.
    pub(crate) status: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Finished {
    pub(crate) fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub(crate) fn expect_status(&self, wanted: i32) {
        assert_eq!(self.status, Some(wanted), "{self}");
    }

    pub(crate) fn expect_stdout(&self, wanted: &str) {
        assert_eq!(self.stdout_text().trim_end(), wanted, "{self}");
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stdout = self.stdout_text();
        let stdout: Vec<String> = stdout.lines().map(str::to_owned).collect();
        let stderr: Vec<String> = self.stderr.lines().map(str::to_owned).collect();
        write!(
            f,
            "`{}` ended with {:?} after {:?}",
            self.command, self.status, self.took
        )?;
        write!(
            f,
            "\n--- stdout:\n{}\n--- stderr:\n{}",
            shown(&stdout),
            shown(&stderr)
        )
    }
}

/// Runs `command` to its end; kills it and panics when that takes longer than `limit`.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Finished {
    let described = describe(command);
    let begin = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("`{described}` does not start: {error}"));
    let stdout = collect(child.stdout.take().expect("stdout is piped"));
    let stderr = collect(child.stderr.take().expect("stderr is piped"));
    let status = end_of(&described, &mut child, limit);
    let stdout = stdout.join().expect("the reader of stdout ends");
    let stderr = stderr.join().expect("the reader of stderr ends");
    let stderr = String::from_utf8_lossy(&stderr).into_owned();
    Finished {
        command: described,
        status,
        stdout,
        stderr,
        took: begin.elapsed(),
    }
}

fn end_of(name: &str, child: &mut Child, limit: Duration) -> Option<i32> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().expect("the child can be waited for") {
            return status.code();
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            panic!("`{name}` did not end within {limit:?}");
        }
        // tidy: the standard library waits for a child without a bound only; this looks again until the limit.
        thread::sleep(POLL);
    }
}

fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

fn collect(mut stream: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // A stream that breaks ends what was read: the test judges what is there.
        let _ = stream.read_to_end(&mut bytes);
        bytes
    })
}

fn follow(stream: impl Read + Send + 'static, transcript: &Arc<Transcript>) {
    let transcript = Arc::clone(transcript);
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while matches!(stream.read_until(b'\n', &mut line), Ok(length) if length > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            lock(&transcript).lines.push(text);
            transcript.grown.notify_all();
            line.clear();
        }
        lock(&transcript).open_streams -= 1;
        transcript.grown.notify_all();
    });
}

fn lock(transcript: &Transcript) -> std::sync::MutexGuard<'_, Lines> {
    transcript.lines.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait<'a>(
    transcript: &'a Transcript,
    lines: std::sync::MutexGuard<'a, Lines>,
    limit: Duration,
) -> std::sync::MutexGuard<'a, Lines> {
    transcript
        .grown
        .wait_timeout(lines, limit)
        .unwrap_or_else(PoisonError::into_inner)
        .0
}

/// The end of a transcript, short enough to read.
fn shown(lines: &[String]) -> String {
    let last = lines.len().saturating_sub(SHOWN_LINES);
    let cut = |line: &String| line.chars().take(SHOWN_COLUMNS).collect::<String>();
    lines[last..].iter().map(cut).collect::<Vec<_>>().join("\n")
}
