//! A client's command that is running.

use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

/// How much of what a command prints is kept: the end of it.
const KEPT: usize = 64 * 1024;

/// How long the rest of the output is waited for.
const DRAIN: Duration = Duration::from_secs(1);

/// A command that is ended, with all that it started, when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    output: Arc<Mutex<Vec<u8>>>,
    /// Is closed when both outputs are.
    closed: mpsc::Receiver<()>,
}

impl Running {
    /// Starts a command without input, in a process group of its own.
    pub(crate) fn start(arguments: &[String]) -> io::Result<Running> {
        let (program, rest) = arguments
            .split_first()
            .ok_or_else(|| io::Error::other("there is no command"))?;
        let mut command = Command::new(program);
        command.args(rest);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        let output = Arc::default();
        let (open, closed) = mpsc::channel();
        if let Some(pipe) = child.stdout.take() {
            read(pipe, Arc::clone(&output), open.clone());
        }
        if let Some(pipe) = child.stderr.take() {
            read(pipe, Arc::clone(&output), open);
        }
        Ok(Running {
            child,
            output,
            closed,
        })
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Interrupts it and all that it started, as Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        #[cfg(unix)]
        if let Some(group) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            // It may have ended by itself just now.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::INT);
        }
    }

    /// Ends it and all that it started.
    pub(crate) fn end(&mut self) {
        #[cfg(unix)]
        if let Some(group) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            // What it left behind is in its group even if it has ended itself.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// What it has printed on both of its outputs, as far as it is kept.
    pub(crate) fn output(&self) -> Vec<u8> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// As [`output`](Self::output), after it has ended: waits for what is still in the pipes, but not for a process
    /// that has left the group and holds them open.
    pub(crate) fn last_output(&mut self) -> Vec<u8> {
        self.end();
        let _ = self.closed.recv_timeout(DRAIN);
        self.output()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// Reads a pipe to its end, so that the command never has to wait for us; `open` is dropped then.
fn read(mut pipe: impl Read + Send + 'static, output: Arc<Mutex<Vec<u8>>>, open: mpsc::Sender<()>) {
    thread::spawn(move || {
        let _open = open;
        let mut buf = [0; 4096];
        while let Ok(length @ 1..) = pipe.read(&mut buf) {
            let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
            output.extend_from_slice(buf.get(..length).unwrap_or_default());
            let excess = output.len().saturating_sub(KEPT);
            output.drain(..excess);
        }
    });
}

/// A command line as a shell takes it.
pub(crate) fn quoted(arguments: &[String]) -> String {
    let words: Vec<String> = arguments.iter().map(|word| quote(word)).collect();
    words.join(" ")
}

/// A word in quotes if a shell would read it otherwise without them.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    // Within single quotes nothing but the quote itself is special.
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// How a command ended, for people.
pub(crate) fn describe(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("killed by signal {signal}");
    }
    match status.code() {
        Some(code) => format!("exit status {code}"),
        None => "an unknown status".to_owned(),
    }
}

/// Whether it was ended by a signal, but not by ours as Ctrl-C sends it: it crashed.
pub(crate) fn crashed(status: ExitStatus) -> bool {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return signal != rustix::process::Signal::INT.as_raw();
    }
    status.code().is_none()
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn wait(running: &mut Running) -> ExitStatus {
        loop {
            if let Some(status) = running.ended() {
                return status;
            }
            thread::yield_now();
        }
    }

    fn shell(script: &str) -> Running {
        Running::start(&["sh", "-c", script].map(str::to_owned)).unwrap()
    }

    /// Whether a process is gone, or is soon: it may be busy with its end.
    fn dies(pid: &str) -> bool {
        let until = std::time::Instant::now() + Duration::from_secs(10);
        while std::time::Instant::now() < until {
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if state.is_empty() || state.contains(") Z ") {
                return true;
            }
            thread::yield_now();
        }
        false
    }

    #[test]
    fn a_command_line_can_be_given_to_a_shell() {
        let words = ["printf", "%s|", "a b", "it's", "", "coap://h/?a=b&c", "$x", "~"].map(str::to_owned);
        let line = quoted(&words);
        assert!(line.starts_with("printf '%s|' 'a b' "), "{line}");
        let mut running = shell(&line);
        assert!(wait(&mut running).success());
        assert_eq!(running.last_output(), b"a b|it's||coap://h/?a=b&c|$x|~|");
    }

    #[test]
    fn what_is_printed_is_kept_and_the_status_told() {
        let mut running = shell("echo out; echo err >&2; exit 3");
        let status = wait(&mut running);
        assert_eq!(describe(status), "exit status 3");
        let output = String::from_utf8(running.last_output()).unwrap();
        assert!(output.contains("out\n") && output.contains("err\n"));
    }

    #[test]
    fn children_of_a_command_end_with_it() {
        let mut running = shell("sleep 1000 & echo $!; wait");
        let pid = loop {
            let output = running.output();
            if let Some(line) = output.strip_suffix(b"\n") {
                break String::from_utf8(line.to_vec()).unwrap();
            }
            thread::yield_now();
        };
        assert!(running.ended().is_none());
        running.last_output();
        assert!(dies(&pid), "still there: {pid}");
    }

    #[test]
    fn a_process_that_left_the_group_is_not_waited_for() {
        let mut running = shell("echo here; setsid sh -c 'echo $$; sleep 20' & wait");
        let pid = loop {
            let output = String::from_utf8(running.output()).unwrap();
            if let Some(pid) = output.lines().nth(1)
                && output.ends_with('\n')
            {
                break pid.parse().unwrap();
            }
            thread::yield_now();
        };
        let began = std::time::Instant::now();
        assert!(running.last_output().starts_with(b"here\n"));
        assert!(began.elapsed() < Duration::from_secs(15));
        let left = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process_group(left, rustix::process::Signal::KILL).unwrap();
    }

    #[test]
    fn an_interrupted_command_may_end_in_its_own_way() {
        let mut running = shell("trap 'echo bye; exit 7' INT; echo here; while :; do sleep 0.1; done");
        while running.output().is_empty() {
            thread::yield_now();
        }
        running.interrupt();
        let status = wait(&mut running);
        assert_eq!(describe(status), "exit status 7");
        assert_eq!(running.last_output(), b"here\nbye\n");
        assert!(!crashed(wait(&mut shell("kill -INT $$"))));
    }

    #[test]
    fn a_crash_is_told_from_an_end() {
        let status = wait(&mut shell("kill -SEGV $$"));
        assert!(crashed(status));
        assert_eq!(describe(status), "killed by signal 11");
    }
}
