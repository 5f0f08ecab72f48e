//! The loop: send, receive, look at the clock.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use coracle_net::RecvBatch;

use crate::exchanges::{Exchanges, Schedule};
use crate::limits::{AWAKE_BEFORE, HOPELESS, LONGEST_SLEEP};
use crate::observe::{Fanout, Observers, Phase};
use crate::plan::{Plan, Until};
use crate::tally::{Sample, Tally};
use crate::way::{Wait, Way};

/// Peers of one server, driven by one task.
pub struct Load {
    received: RecvBatch,
    exchanges: Exchanges,
}

/// When the run came nearer to its end.
struct Progress {
    at: Instant,
    answered: u64,
    blocks: u64,
    failed: u64,
}

impl Progress {
    fn new(now: Instant) -> Progress {
        Progress {
            at: now,
            answered: 0,
            blocks: 0,
            failed: 0,
        }
    }

    /// Blocks of long transfers are progress, unless these all come to nothing.
    fn look(&mut self, now: Instant, tally: &Tally) {
        let failed = tally.wrong_answers() + tally.errors() + tally.timeouts;
        let of_blocks = tally.blocks > self.blocks && failed == self.failed;
        if tally.answered > self.answered || of_blocks {
            *self = Progress {
                at: now,
                answered: tally.answered,
                blocks: tally.blocks,
                failed,
            };
        }
    }
}

impl Load {
    /// Peers as the plan says. Nothing is sent yet. To be called within a tokio runtime with I/O and time, in the
    /// thread that runs it.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for a plan that makes no sense, and what the system reports about sockets.
    pub fn start(plan: Plan) -> io::Result<Load> {
        Ok(Load {
            received: RecvBatch::new(),
            exchanges: Exchanges::new(plan, Instant::now())?,
        })
    }

    /// Opens the connections of all peers, as far as they are not open, some hundreds at a time, and waits until the server
    /// has said on each what it takes. Peers without connections have nothing to open. The other functions do the same,
    /// and count nothing of it.
    ///
    /// # Errors
    /// If a connection fails and the server was never heard, and what the system reports.
    pub async fn connect(&mut self, stop: &AtomicBool) -> io::Result<Tally> {
        let started = Instant::now();
        let before = std::mem::take(&mut self.exchanges.tally);
        while let Way::Connections(connections) = &self.exchanges.way {
            let now = Instant::now();
            if connections.are_tried(now) || stop.load(Ordering::Relaxed) {
                break;
            }
            self.turn_settling(now).await?;
        }
        let tally = self.take_tally(started.elapsed());
        self.exchanges.tally = before;
        Ok(tally)
    }

    /// Asks until the end and returns what came. Requests that are outstanding then belong to the next run.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] if [`Until::Answered`] is not reached because no right answer came for three
    /// times as long as a request is waited for; an ICMP error if the server never answered; and what the system reports.
    pub async fn run(&mut self, until: Until) -> io::Result<Tally> {
        self.watch(until, &AtomicBool::new(false), &mut |_| {}).await
    }

    /// As [`run`](Load::run). It ends early when `stop` becomes true, and tells each second what came in it.
    ///
    /// # Errors
    /// As [`run`](Load::run).
    pub async fn watch(
        &mut self,
        until: Until,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(Sample),
    ) -> io::Result<Tally> {
        self.connect(stop).await?;
        let started = Instant::now();
        let mut schedule = self.exchanges.schedule(started);
        self.exchanges.sample = Sample::new(0);
        self.exchanges.tally.sent = self.exchanges.under_way as u64;
        let end = match until {
            Until::Passed(time) => Some(started + time),
            Until::Answered(_) | Until::Over(_) => None,
        };
        self.exchanges.most = match until {
            Until::Over(count) => count,
            Until::Answered(_) | Until::Passed(_) => u64::MAX,
        };
        let mut progress = Progress::new(started);
        loop {
            let now = Instant::now();
            let answered = self.exchanges.tally.answered;
            progress.look(now, &self.exchanges.tally);
            let over = match until {
                Until::Answered(count) => answered >= count,
                Until::Over(count) => self.exchanges.over() >= count,
                Until::Passed(time) => now - started >= time,
            };
            self.tell_seconds(now - started, tell);
            if over || stop.load(Ordering::Relaxed) {
                break;
            }
            if matches!(until, Until::Answered(_))
                && now - progress.at >= self.exchanges.plan.timeout * HOPELESS
            {
                let told = hopeless(&self.exchanges.tally, now - progress.at);
                return Err(io::Error::new(io::ErrorKind::TimedOut, told));
            }
            self.exchanges.tick(now)?;
            self.exchanges.begin(now, schedule.as_mut())?;
            self.turn(schedule.as_ref(), end).await?;
        }
        self.flush().await?;
        let now = Instant::now();
        let left = self.exchanges.left();
        let mut tally = self.take_tally(now - started);
        tally.unsent = schedule.map_or(0, |schedule| {
            schedule.behind(end.unwrap_or(now).min(now)).min(left)
        });
        tell(std::mem::replace(&mut self.exchanges.sample, Sample::new(0)));
        Ok(tally)
    }

    /// Waits for the answers to outstanding requests, without asking more.
    ///
    /// # Errors
    /// What the system reports.
    pub async fn settle(&mut self, longest: Duration) -> io::Result<Tally> {
        let started = Instant::now();
        loop {
            let now = Instant::now();
            if self.exchanges.all_idle() || now - started >= longest {
                break;
            }
            self.exchanges.tick(now)?;
            self.turn_settling(now).await?;
        }
        self.flush().await?;
        Ok(self.take_tally(started.elapsed()))
    }

    /// Registers all observers of a plan for [`Work::Observe`](crate::Work::Observe), a few hundred at a time. The
    /// tally counts the first answers; who is refused or not answered is not asked again.
    ///
    /// # Errors
    /// As [`run`](Load::run).
    pub async fn register(&mut self, stop: &AtomicBool) -> io::Result<Tally> {
        self.observe(Phase::Registering, None, stop).await
    }

    /// How many observers are registered.
    #[must_use]
    pub fn observers(&self) -> usize {
        self.exchanges.observing(true).len()
    }

    /// Listens to what the registered observers are told.
    ///
    /// # Errors
    /// As [`run`](Load::run).
    pub async fn listen(
        &mut self,
        time: Duration,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(Sample),
    ) -> io::Result<(Tally, Fanout)> {
        if let Some(observers) = &mut self.exchanges.observers {
            observers.phase = Phase::Listening;
            // What came during registration belongs to no change that all could see.
            observers.take();
        }
        let tally = self.watch(Until::Passed(time), stop, tell).await?;
        let fanout = self.exchanges.observers.as_mut().map(Observers::take);
        Ok((tally, fanout.unwrap_or_default()))
    }

    /// Ends all observations (RFC 7641 §3.6), as [`register`](Load::register) began them.
    ///
    /// # Errors
    /// As [`run`](Load::run).
    pub async fn leave(&mut self, longest: Duration) -> io::Result<Tally> {
        self.observe(Phase::Leaving, Some(longest), &AtomicBool::new(false))
            .await
    }

    async fn observe(
        &mut self,
        phase: Phase,
        longest: Option<Duration>,
        stop: &AtomicBool,
    ) -> io::Result<Tally> {
        self.connect(stop).await?;
        let started = Instant::now();
        let mut next = self.exchanges.observing(phase == Phase::Leaving).into_iter();
        if let Some(observers) = &mut self.exchanges.observers {
            observers.phase = phase;
        }
        loop {
            let now = Instant::now();
            self.exchanges.tick(now)?;
            let begun = self.exchanges.begin_observing(now, &mut next)?;
            let late = longest.is_some_and(|longest| now - started >= longest);
            if (begun && self.exchanges.all_idle()) || late || stop.load(Ordering::Relaxed) {
                break;
            }
            let wait = self.until(now, None.into_iter());
            self.exchange(Wait::Asleep(wait)).await?;
        }
        self.flush().await?;
        Ok(self.take_tally(started.elapsed()))
    }

    fn take_tally(&mut self, elapsed: Duration) -> Tally {
        let mut tally = std::mem::take(&mut self.exchanges.tally);
        tally.elapsed = elapsed;
        tally.outstanding = self.exchanges.under_way as u64;
        tally
    }

    /// How many different source addresses and ports, or connections, were used.
    #[must_use]
    pub fn sources(&self) -> u64 {
        self.exchanges.way.given()
    }

    fn tell_seconds(&mut self, elapsed: Duration, tell: &mut dyn FnMut(Sample)) {
        let second = elapsed.as_secs();
        if self.exchanges.sample.second < second {
            let mut sample = std::mem::replace(&mut self.exchanges.sample, Sample::new(second));
            sample.complete = true;
            tell(sample);
        }
    }

    /// Sends what is to be sent, and waits for what comes or is due.
    async fn turn(&mut self, schedule: Option<&Schedule>, end: Option<Instant>) -> io::Result<()> {
        let now = Instant::now();
        let can_begin = self.exchanges.can_begin();
        let due = schedule.map(Schedule::next).filter(|_| can_begin);
        let wait = if due.is_some_and(|due| due <= now) || (schedule.is_none() && can_begin) {
            Wait::No
        } else if self.exchanges.plan.awake || due.is_some_and(|due| due - now <= AWAKE_BEFORE) {
            Wait::Awake
        } else {
            let due = due.map(|due| due - AWAKE_BEFORE);
            Wait::Asleep(self.until(now, due.into_iter().chain(end)))
        };
        self.exchange(wait).await
    }

    async fn turn_settling(&mut self, now: Instant) -> io::Result<()> {
        let wait = self.until(now, None.into_iter());
        self.exchange(Wait::Asleep(wait)).await
    }

    /// The time to the first of these moments or that of a timer.
    fn until(&self, now: Instant, moments: impl Iterator<Item = Instant>) -> Duration {
        let first = moments.chain(self.exchanges.deadline()).min();
        let wait = first.map_or(LONGEST_SLEEP, |first| first.saturating_duration_since(now));
        wait.min(LONGEST_SLEEP)
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.exchanges.way.flush().await
    }

    async fn exchange(&mut self, wait: Wait) -> io::Result<()> {
        self.flush().await?;
        self.exchanges.way.wait(wait).await;
        match &mut self.exchanges.way {
            Way::Datagrams(datagrams) => {
                let socket = datagrams.receive(&mut self.received)?;
                self.take_in(socket)
            }
            Way::Connections(_) => self.exchanges.receive_frames(Instant::now()).await,
        }
    }

    /// Takes in the datagrams that came to this socket.
    fn take_in(&mut self, socket: Option<u32>) -> io::Result<()> {
        let now = Instant::now();
        if let Some(socket) = socket {
            for datagram in self.received.datagrams() {
                self.exchanges
                    .handle(now, socket, &datagram.path, datagram.payload)?;
            }
        }
        self.look_at_errors()
    }

    /// Errors of the network end a run if the server was never heard; otherwise it may come back.
    fn look_at_errors(&mut self) -> io::Result<()> {
        let Way::Datagrams(datagrams) = &mut self.exchanges.way else {
            return Ok(());
        };
        for error in datagrams.errors() {
            if !self.exchanges.heard {
                return Err(error);
            }
            self.exchanges.tally.unreachable += 1;
        }
        Ok(())
    }
}

/// Why a run ends that waits for right answers in vain.
fn hopeless(tally: &Tally, silence: Duration) -> String {
    let mut told = format!("no right answer came for {:.1} s", silence.as_secs_f64());
    for (status, count) in tally.codes.iter().filter(|(status, _)| !status.is_success()) {
        told.push_str(&format!(", {count} times {status}"));
    }
    if tally.timeouts > 0 {
        told.push_str(&format!(", {} requests given up", tally.timeouts));
    }
    if let Some(loss) = &tally.first_loss {
        told.push_str(&format!(
            ", {} connections lost: {loss}",
            tally.lost_connections()
        ));
    }
    if let Some(wrong) = &tally.first_wrong {
        told.push_str(&format!(", {} wrong answers: {wrong}", tally.wrong_answers()));
    }
    told
}

impl std::fmt::Debug for Load {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Load")
            .field("plan", &self.exchanges.plan)
            .finish_non_exhaustive()
    }
}
