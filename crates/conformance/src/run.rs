//! Runs cases against a subject, several at once, within a time that is told beforehand.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use coracle_wire::{OptionNumber, Status};

use crate::case::{Case, Judge, Role};
use crate::host::Host;
use crate::keys::Keys;
use crate::probe::{self, Probe, ServerFacts};
use crate::reach::knock;
use crate::report::{CaseReport, Report};
use crate::sessions::{Callee, Caller};
use crate::talk::Frame;
use crate::template::Template;
use crate::transcript::Transcript;
use crate::transport::Transport;
use crate::verdict::{Judged, Outcome, Stop};

/// Who is judged.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A server.
    Server {
        /// What carries its messages.
        transport: Transport,
        /// Where it is.
        address: SocketAddr,
        /// What reports call it.
        uri: String,
        /// Which of its paths plays the role of one of the plugtest site: `("/obs", "/time")`.
        map: Vec<(String, String)>,
    },
    /// A client.
    Client {
        /// What carries its messages.
        transport: Transport,
        /// How it is started.
        template: Template,
    },
}

impl Subject {
    /// What carries its messages.
    #[must_use]
    pub fn transport(&self) -> Transport {
        match self {
            Subject::Server { transport, .. } | Subject::Client { transport, .. } => *transport,
        }
    }
}

/// How a run goes.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The lossy gateway is between both sides.
    pub lossy: bool,
    /// How many cases run at once.
    pub jobs: usize,
    /// By what the judge proves itself to servers in the cases of DTLS, and whom it believes.
    pub keys: Keys,
    /// How long all may take; by default what the cases need.
    pub time_limit: Option<Duration>,
    /// Set to end the run: cases that have not ended then are inconclusive.
    pub stop: Arc<AtomicBool>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            lossy: false,
            jobs: 4,
            keys: Keys::default(),
            time_limit: None,
            stop: Arc::default(),
        }
    }
}

/// What is told while a run goes on.
#[derive(Clone, Copy)]
pub enum Progress<'a> {
    /// It begins.
    Planned {
        /// How many cases there are.
        cases: usize,
        /// How long all take at most.
        at_most: Duration,
    },
    /// A case begins.
    Started(&'a Case),
    /// A case has ended.
    Ended {
        /// How many have ended.
        done: usize,
        /// Of how many.
        of: usize,
        /// What it came to.
        report: &'a CaseReport,
    },
}

/// How much longer a case may take behind the lossy gateway.
const LOSSY_FACTOR: u32 = 4;

/// How long a server may say nothing at all before it counts as gone: as long as any answer is waited for, and some
/// more for one that is busy with the cases beside.
const SILENCE: Duration = Duration::from_secs(10);

/// Runs cases and blocks until all have ended, at the latest when the time that was told is over.
pub fn run(
    subject: &Subject,
    cases: &[Case],
    settings: &Settings,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Report {
    let (began, start) = (SystemTime::now(), Instant::now());
    let at_most = settings.time_limit.unwrap_or_else(|| planned(cases, settings));
    progress(Progress::Planned {
        cases: cases.len(),
        at_most,
    });
    let deadline = start + at_most;
    let gone = unreachable(subject, deadline);
    let court = Court {
        subject,
        facts: Arc::new(facts(subject, settings, deadline, gone.is_some())),
        settings,
        deadline,
        offered: Mutex::default(),
        gone: Mutex::new(gone),
    };
    let reports = judge_all(&court, cases, progress);
    Report {
        role: match subject {
            Subject::Server { .. } => Role::Server,
            Subject::Client { .. } => Role::Client,
        },
        subject: match subject {
            Subject::Server { uri, .. } => uri.clone(),
            Subject::Client { template, .. } => template.source().to_owned(),
        },
        lossy: settings.lossy,
        began,
        took: start.elapsed(),
        cases: reports,
    }
}

/// How long cases take at most: with list scheduling, the sum shared by all workers and the longest chain.
fn planned(cases: &[Case], settings: &Settings) -> Duration {
    let judged = cases
        .iter()
        .filter(|case| !matches!(case.judge, Judge::NotYet(..)));
    let limits: Vec<(Duration, &Case)> = judged.map(|case| (limit(case, settings.lossy), case)).collect();
    let sum: Duration = limits.iter().map(|(limit, _)| *limit).sum();
    let mut chains: HashMap<&str, Duration> = HashMap::new();
    for (limit, case) in &limits {
        let chain = case.locks.iter().chain(case.shares).next();
        let chain = chain.copied().unwrap_or(case.id);
        *chains.entry(chain).or_default() += *limit;
    }
    let jobs = u32::try_from(settings.jobs.max(1)).unwrap_or(u32::MAX);
    sum / jobs + chains.into_values().max().unwrap_or_default() + 2 * SILENCE
}

fn limit(case: &Case, lossy: bool) -> Duration {
    case.limit * if lossy { LOSSY_FACTOR } else { 1 }
}

/// What all workers share.
struct Court<'s> {
    subject: &'s Subject,
    facts: Arc<ServerFacts>,
    settings: &'s Settings,
    deadline: Instant,
    /// Which resources the server offers, as far as it was asked.
    offered: Mutex<HashMap<&'static str, bool>>,
    /// Why nobody answers any more.
    gone: Mutex<Option<String>>,
}

/// Which cases wait, and what those that run hold.
#[derive(Default)]
struct Queue {
    waiting: Vec<usize>,
    locked: HashSet<&'static str>,
    /// Once for each case that shares it.
    shared: Vec<&'static str>,
}

impl Queue {
    fn is_free(&self, case: &Case) -> bool {
        let unlocked = |path: &&str| !self.locked.contains(path);
        case.locks.iter().chain(case.shares).all(unlocked)
            && !case.locks.iter().any(|path| self.shared.contains(path))
    }

    fn hold(&mut self, case: &Case) {
        self.locked.extend(case.locks);
        self.shared.extend(case.shares);
    }

    fn free(&mut self, case: &Case) {
        self.locked.retain(|path| !case.locks.contains(path));
        for path in case.shares {
            if let Some(place) = self.shared.iter().position(|shared| shared == path) {
                self.shared.swap_remove(place);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

enum News {
    Started(usize),
    Ended(usize, Box<CaseReport>),
}

fn judge_all(court: &Court<'_>, cases: &[Case], progress: &mut dyn FnMut(Progress<'_>)) -> Vec<CaseReport> {
    let queue = Mutex::new(Queue {
        waiting: (0..cases.len()).rev().collect(),
        ..Queue::default()
    });
    let freed = Condvar::new();
    let mut reports: Vec<Option<CaseReport>> = vec![None; cases.len()];
    thread::scope(|scope| {
        let (tell, news) = mpsc::channel();
        for _ in 0..court.settings.jobs.max(1) {
            let (tell, queue, freed) = (tell.clone(), &queue, &freed);
            scope.spawn(move || work(court, cases, queue, freed, &tell));
        }
        drop(tell);
        let mut done = 0;
        for news in news {
            match news {
                News::Started(index) => {
                    if let Some(case) = cases.get(index) {
                        progress(Progress::Started(case));
                    }
                }
                News::Ended(index, report) => {
                    done += 1;
                    let of = cases.len();
                    progress(Progress::Ended {
                        done,
                        of,
                        report: &report,
                    });
                    if let Some(place) = reports.get_mut(index) {
                        *place = Some(*report);
                    }
                }
            }
        }
    });
    reports.into_iter().flatten().collect()
}

/// One worker: takes the first case whose resources are free, until none waits.
fn work(court: &Court<'_>, cases: &[Case], queue: &Mutex<Queue>, freed: &Condvar, tell: &mpsc::Sender<News>) {
    while let Some((index, case)) = next(cases, queue, freed) {
        // The other side is there until all workers have ended.
        let _ = tell.send(News::Started(index));
        let report = court.judge(case);
        let mut queue = lock(queue);
        queue.free(case);
        freed.notify_all();
        drop(queue);
        let _ = tell.send(News::Ended(index, Box::new(report)));
    }
}

fn next<'c>(cases: &'c [Case], queue: &Mutex<Queue>, freed: &Condvar) -> Option<(usize, &'c Case)> {
    let mut queue = lock(queue);
    loop {
        if queue.waiting.is_empty() {
            return None;
        }
        let free = |index: &usize| cases.get(*index).is_none_or(|case| queue.is_free(case));
        if let Some(position) = queue.waiting.iter().rposition(free) {
            let index = queue.waiting.remove(position);
            let case = cases.get(index)?;
            queue.hold(case);
            return Some((index, case));
        }
        queue = freed.wait(queue).unwrap_or_else(PoisonError::into_inner);
    }
}

/// What a case has seen, whatever it came to.
#[derive(Default)]
struct Evidence {
    commands: Vec<String>,
    output: String,
}

impl Court<'_> {
    fn judge(&self, case: &Case) -> CaseReport {
        let transcript = Transcript::begin();
        let mut evidence = Evidence::default();
        let judged = self.judge_within(case, &transcript, &mut evidence);
        let judged = self.unless_gone(case, judged);
        let (outcome, reason, section, offending) = match judged {
            Ok(()) => (Outcome::Pass, String::new(), None, None),
            Err(Stop::Fail(finding)) => (Outcome::Fail, finding.what, finding.section, finding.at),
            Err(Stop::Inconclusive(why)) => (Outcome::Inconclusive, why, None, None),
            Err(Stop::Skip(why)) => match case.judge {
                Judge::NotYet(..) => (Outcome::NotYet, why, None, None),
                _ => (Outcome::Skipped, why, None, None),
            },
        };
        CaseReport {
            case: *case,
            outcome,
            reason,
            section: section.unwrap_or(case.authority()),
            offending,
            took: transcript.elapsed(),
            records: transcript.take(),
            commands: evidence.commands,
            output: evidence.output,
        }
    }

    fn judge_within(&self, case: &Case, transcript: &Transcript, evidence: &mut Evidence) -> Judged {
        if let Judge::NotYet(_, what) = case.judge {
            return Err(Stop::Skip(format!("waits for {what}")));
        }
        if self.settings.lossy && case.no_gateway {
            return Err(Stop::Skip("makes its own loss".to_owned()));
        }
        if let Some(why) = lock(&self.gone).clone() {
            return Err(Stop::Inconclusive(why));
        }
        if self.settings.stop.load(Ordering::Relaxed) {
            return Err(Stop::Inconclusive("interrupted".to_owned()));
        }
        if Instant::now() >= self.deadline {
            return Err(Stop::Inconclusive(
                "the time of the whole run was over".to_owned(),
            ));
        }
        let frame = Frame {
            transcript: transcript.clone(),
            deadline: self
                .deadline
                .min(Instant::now() + limit(case, self.settings.lossy)),
            lossy: self.settings.lossy,
            stop: Arc::clone(&self.settings.stop),
        };
        // A fault of the judge itself is no reason to lose the other verdicts.
        let judged = catch_unwind(AssertUnwindSafe(|| self.call(case, &frame, evidence)));
        judged.unwrap_or_else(|_| Err(Stop::Inconclusive("the judge itself failed".to_owned())))
    }

    fn call(&self, case: &Case, frame: &Frame, evidence: &mut Evidence) -> Judged {
        if !case.over.contains(&self.subject.transport()) {
            let what = format!("is not about {}", self.subject.transport());
            return Err(Stop::Skip(what));
        }
        match (&case.judge, self.subject) {
            (Judge::Server(judge), Subject::Server { address, .. }) => {
                for &path in case.needs {
                    if !self.offers(*address, path, frame) {
                        return Err(Stop::Skip(format!("the server does not offer {path}")));
                    }
                }
                judge(&mut Probe::opened(*address, case.opening, &self.facts, frame)?)
            }
            (Judge::Caller(judge), Subject::Server { address, .. }) => judge(&mut Caller::new(
                *address,
                &self.facts.map,
                &self.settings.keys,
                frame,
            )?),
            (Judge::Callee(judge), Subject::Client { template, .. }) => {
                let mut callee = Callee::new(template, frame)?;
                let judged = judge(&mut callee);
                callee.end();
                evidence.commands = callee.commands().to_vec();
                evidence.output = callee.output();
                judged
            }
            (Judge::Client(judge), Subject::Client { template, transport }) => {
                let mut host = Host::new(*transport, case.opening, template, frame)?;
                let judged = judge(&mut host);
                host.end();
                evidence.commands = host.commands().to_vec();
                evidence.output = host.output();
                judged
            }
            _ => Err(Stop::Skip("judges the other role".to_owned())),
        }
    }

    /// Whether a GET of a resource says anything but 4.04; asked once for all cases, beside their transcripts.
    fn offers(&self, server: SocketAddr, path: &'static str, frame: &Frame) -> bool {
        if let Some(known) = lock(&self.offered).get(path) {
            return *known;
        }
        let frame = Frame {
            transcript: Transcript::begin(),
            lossy: false,
            ..frame.clone()
        };
        let answer = Probe::new(server, &self.facts, &frame).and_then(|mut probe| {
            let request = probe.get(path);
            probe.ask(&request)
        });
        // Whoever does not answer here, or wrongly, will fail in the case, where it is seen.
        let missing = answer.is_ok_and(|answer| answer.status() == Some(Status::NOT_FOUND));
        let offers = !missing;
        lock(&self.offered).insert(path, offers);
        offers
    }

    /// A case during which a server fell silent has killed it, or one that ran beside it has.
    fn unless_gone(&self, case: &Case, judged: Judged) -> Judged {
        let silent = matches!(&judged, Err(Stop::Fail(_) | Stop::Inconclusive(_)));
        let mut gone = lock(&self.gone);
        if !silent || gone.is_some() || self.settings.stop.load(Ordering::Relaxed) {
            return judged;
        }
        // Too little time is left to tell silence from slowness.
        let late = Instant::now() + SILENCE >= self.deadline;
        if late || unreachable(self.subject, self.deadline).is_none() {
            return judged;
        }
        *gone = Some(format!("nobody answers any more since {}", case.id));
        Err(Stop::fail(
            "the server fell silent and answers nobody any more",
            None,
        ))
    }
}

/// Learns which resource answers a GET with 2.05, and whether addresses have to be proved.
fn facts(subject: &Subject, settings: &Settings, deadline: Instant, gone: bool) -> ServerFacts {
    let mut facts = ServerFacts {
        transport: subject.transport(),
        map: HashMap::new(),
        target: String::new(),
        echoes: false,
    };
    let Subject::Server { address, map, .. } = subject else {
        return facts;
    };
    facts = ServerFacts {
        map: map.iter().cloned().collect(),
        target: "/test".to_owned(),
        ..facts
    };
    let frame = Frame {
        transcript: Transcript::begin(),
        deadline,
        lossy: false,
        stop: Arc::clone(&settings.stop),
    };
    if facts.transport == Transport::Dtls {
        // What there is to be known is said in sessions, and each case makes its own.
        return facts;
    }
    let known = Arc::new(facts.clone());
    let targets = ["/test", "/hello", "/", "/time", "/.well-known/core"];
    for target in targets.iter().filter(|_| !gone) {
        let answer = Probe::new(*address, &known, &frame).and_then(|mut probe| {
            let request = probe.get(target);
            probe.ask(&request)
        });
        match answer {
            Ok(answer) if answer.status() == Some(Status::CONTENT) => {
                facts.target = (*target).to_owned();
                break;
            }
            Ok(_) => {}
            // Whoever does not answer here, or wrongly, will fail in the cases, where it is seen.
            Err(_) => return facts,
        }
    }
    let answer = Probe::new(*address, &known, &frame).and_then(|mut probe| {
        let request = probe.get(probe::LONG);
        probe.ask(&request)
    });
    facts.echoes = answer.is_ok_and(|answer| answer.options.get(OptionNumber::ECHO).is_some());
    facts
}

/// Why a server cannot be reached: nothing comes for pings and requests, from nowhere. What it is that comes is for
/// the cases to judge.
fn unreachable(subject: &Subject, deadline: Instant) -> Option<String> {
    let Subject::Server {
        address, transport, ..
    } = subject
    else {
        return None;
    };
    let until = deadline.min(Instant::now() + SILENCE);
    match knock(*transport, *address, until) {
        Ok(true) => None,
        Ok(false) => Some(format!("nobody answers at {address}: nothing came")),
        Err(error) => Some(format!("nobody answers at {address}: {error}")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::case::server;

    #[test]
    fn many_share_what_one_alone_may_lock() {
        let case = || server("a", "", "", |_| Ok(()));
        let (sharing, locking) = (case().shares(&["/a"]), case().locks(&["/a"]));
        let mut queue = Queue::default();
        queue.hold(&sharing);
        queue.hold(&sharing);
        assert!(queue.is_free(&sharing) && !queue.is_free(&locking));
        queue.free(&sharing);
        assert!(!queue.is_free(&locking), "one is left");
        queue.free(&sharing);
        assert!(queue.is_free(&locking));
        queue.hold(&locking);
        assert!(!queue.is_free(&sharing) && !queue.is_free(&locking));
        queue.free(&locking);
        assert!(queue.is_free(&sharing) && queue.is_free(&locking));
    }
}
