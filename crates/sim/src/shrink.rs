//! Makes a scenario that fails smaller, until what is left is about what matters.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use coracle_engine::ConnectionParameters;
use coracle_wire::{Framing, Method};

use crate::application::Flaw;
use crate::history::{History, Totals};
use crate::judge::Complaint;
use crate::link::{Bursts, Link};
use crate::pipe::Pipe;
use crate::play::{Run, play};
use crate::scenario::{Action, Connections, Fault, Host, LARGEST_BLOCK, LONGEST_MAX_AGE, Scenario};

/// The smallest scenario that was found, and what it fails at.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The scenario.
    pub scenario: Scenario,
    /// What came of it.
    pub run: Run,
    /// How many scenarios were played.
    pub tries: usize,
}

impl fmt::Display for Shrunk {
    /// The scenario, its datagrams up to the first complaint, and all complaints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.scenario, self.run.ladder)?;
        for complaint in &self.run.complaints {
            writeln!(f, "{complaint}")?;
        }
        Ok(())
    }
}

/// Seeds that are tried for each smaller scenario: with fewer datagrams the same seed loses others.
const SEEDS_EACH: u64 = 3;

/// Plays a scenario; a panic is a complaint too.
#[must_use]
pub fn play_safely(scenario: &Scenario, flaw: Flaw) -> Run {
    catch_unwind(AssertUnwindSafe(|| play(scenario, flaw))).unwrap_or_else(|_| Run {
        history: History::default(),
        totals: Totals::default(),
        complaints: vec![Complaint::Panicked],
        ladder: "it went down with the run".into(),
    })
}

/// Makes a scenario smaller as long as it fails with a complaint of the same kind, by at most `tries` runs.
///
/// Deterministic. `None` when the scenario itself does not fail.
#[must_use]
pub fn shrink(scenario: &Scenario, flaw: Flaw, tries: usize) -> Option<Shrunk> {
    let run = play_safely(scenario, flaw);
    let complaint = run.complaints.first()?.clone();
    let mut smallest = Shrunk {
        scenario: scenario.clone(),
        run,
        tries: 1,
    };
    let mut stuck = false;
    while !stuck {
        stuck = true;
        for candidate in smaller(&smallest.scenario) {
            if smallest.tries >= tries {
                return Some(smallest);
            }
            if let Some((scenario, run)) = fails(&candidate, flaw, &complaint, &mut smallest.tries) {
                smallest.scenario = scenario;
                smallest.run = run;
                stuck = false;
                break;
            }
        }
    }
    Some(smallest)
}

/// Plays a candidate under some seeds; what failed in the same way.
fn fails(
    candidate: &Scenario,
    flaw: Flaw,
    complaint: &Complaint,
    tries: &mut usize,
) -> Option<(Scenario, Run)> {
    (0..SEEDS_EACH).find_map(|more| {
        let mut scenario = candidate.clone();
        scenario.seed = scenario.seed.wrapping_add(more);
        let run = play_safely(&scenario, flaw);
        *tries += 1;
        let same = run.complaints.iter().any(|other| other.is_like(complaint));
        same.then_some((scenario, run))
    })
}

/// Scenarios that are smaller by one thing, those that are much smaller first.
fn smaller(scenario: &Scenario) -> Vec<Scenario> {
    let mut all = Vec::new();
    let mut without = |change: &dyn Fn(&mut Scenario)| {
        let mut candidate = scenario.clone();
        change(&mut candidate);
        if candidate != *scenario {
            all.push(candidate);
        }
    };
    let count = scenario.operations.len();
    let mut chunk = count.div_ceil(2);
    while chunk > 0 {
        for start in (0..count).step_by(chunk) {
            let end = (start + chunk).min(count);
            without(&|smaller| drop(smaller.operations.drain(start..end)));
        }
        chunk /= 2;
    }
    for index in 0..scenario.faults.len() {
        without(&|smaller| {
            smaller.faults.remove(index);
        });
    }
    without(&|smaller| smaller.nodes.truncate(nodes_in_use(scenario)));
    without(&|smaller| smaller.constrained = false);
    without(&|smaller| smaller.links = [Link::perfect(); 2]);
    for calm in CALMER_PIPES {
        without(&|smaller| {
            if let Some(connections) = &mut smaller.connections {
                calm(connections);
            }
        });
    }
    for calm in CALMER {
        without(&|smaller| smaller.links.iter_mut().for_each(calm));
    }
    without(&|smaller| smaller.links[1] = smaller.links[0]);
    for plain in PLAINER {
        without(&|smaller| smaller.nodes.iter_mut().for_each(plain));
    }
    for index in 0..count {
        for simpler in SIMPLER {
            without(&|smaller| {
                if let Some(operation) = smaller.operations.get_mut(index) {
                    simpler(&mut operation.action);
                }
            });
        }
    }
    all
}

/// What makes a link calmer, one thing at a time.
const CALMER: [fn(&mut Link); 8] = [
    |link| link.loss = 0.0,
    |link| link.bursts = Bursts::NONE,
    |link| link.duplication = 0.0,
    |link| link.jitter = Duration::ZERO,
    |link| *link = link.with_reordering(0.0, Duration::ZERO),
    |link| *link = link.with_late_copies(0.0, Duration::ZERO),
    |link| link.mtu = usize::MAX,
    |link| link.latency = Link::perfect().latency,
];

/// What makes connections calmer, one thing at a time.
const CALMER_PIPES: [fn(&mut Connections); 6] = [
    |connections| connections.pipe = Pipe::perfect(connections.pipe.framing),
    |connections| connections.pipe.framing = Framing::Tcp,
    |connections| connections.pipe = connections.pipe.with_breaks(0.0, 0),
    |connections| connections.pipe = connections.pipe.with_slow_readers(1 << 20, Duration::ZERO),
    |connections| connections.pipe = connections.pipe.with_capacity(1 << 20, 1 << 16),
    |connections| {
        let parameters = ConnectionParameters::default();
        connections.parameters.fill(parameters);
    },
];

/// What makes a node more like others, one thing at a time.
const PLAINER: [fn(&mut Host); 3] = [
    |host| host.clock.drift_ppm = 0,
    |host| host.block_szx = LARGEST_BLOCK,
    |host| host.streams = false,
];

/// What makes an operation simpler, one thing at a time.
const SIMPLER: [fn(&mut Action); 7] = [
    |action| with_ask(action, |ask| ask.parts = false),
    |action| with_ask(action, |ask| ask.body = 0),
    |action| with_ask(action, |ask| ask.answer = 0),
    |action| with_ask(action, |ask| ask.takes = Duration::ZERO),
    |action| with_ask(action, |ask| ask.confirmable = true),
    // Fewer registrations anew make the ladder shorter.
    |action| {
        with_ask(action, |ask| {
            if let Some(observes) = &mut ask.observes {
                observes.max_age = Duration::from_secs(LONGEST_MAX_AGE);
            }
        });
    },
    |action| {
        with_ask(action, |ask| {
            if ask.method == Method::FETCH {
                ask.method = Method::GET;
                ask.body = 0;
            }
        });
    },
];

fn with_ask(action: &mut Action, change: fn(&mut crate::scenario::Ask)) {
    if let Action::Ask(ask) = action {
        change(ask);
    }
}

/// The number of nodes up to the last that anything is about.
fn nodes_in_use(scenario: &Scenario) -> usize {
    let operations = scenario
        .operations
        .iter()
        .map(|operation| match &operation.action {
            Action::Ask(ask) => ask.from.max(ask.to) + 1,
            Action::Change { node, .. } => node + 1,
            Action::Ping { from, to, .. } | Action::Release { from, to } => from.max(to) + 1,
            Action::Cancel { .. } => 0,
        });
    let faults = scenario.faults.iter().map(|fault| match fault {
        Fault::Rebind { node, .. } | Fault::Crash { node, .. } | Fault::Forge { node, .. } => node + 1,
        Fault::Break { nodes, .. } => nodes.iter().max().unwrap_or(&0) + 1,
        Fault::Outage { .. } => 0,
    });
    operations.chain(faults).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays the first scenarios with a flaw until one is caught, and makes it smaller.
    fn caught(flaw: Flaw) -> Shrunk {
        let mut shrunk = (0..50).find_map(|seed| shrink(&Scenario::draw(seed), flaw, 1_000));
        shrunk.take().expect("the flaw comes out within 50 seeds")
    }

    fn asks(shrunk: &Shrunk) -> usize {
        let actions = shrunk
            .scenario
            .operations
            .iter()
            .map(|operation| &operation.action);
        actions.filter(|action| matches!(action, Action::Ask(_))).count()
    }

    #[track_caller]
    fn assert_small(shrunk: &Shrunk, operations: usize) {
        let Shrunk { scenario, run, .. } = shrunk;
        let text = shrunk.to_string();
        assert!(scenario.operations.len() <= operations, "{text}");
        assert!(scenario.faults.is_empty(), "{text}");
        assert_eq!(scenario.links, [Link::perfect(); 2], "{text}");
        assert!(scenario.nodes.len() <= 4, "{text}");
        assert!(run.ladder.lines().count() < 60, "{text}");
    }

    #[test]
    fn a_server_that_executes_twice_is_caught_with_one_request() {
        let shrunk = caught(Flaw::ExecutesTwice);
        assert_small(&shrunk, 1);
        assert!(matches!(
            shrunk.run.complaints[..],
            [Complaint::ExecutedAgain { .. }]
        ));
    }

    #[test]
    fn an_answer_of_another_request_is_caught_with_one_request() {
        let shrunk = caught(Flaw::AnswersAnother);
        assert_small(&shrunk, 1);
        assert!(matches!(
            shrunk.run.complaints[0],
            Complaint::AnswerOfAnother { .. }
        ));
    }

    #[test]
    fn an_answer_that_lacks_a_byte_is_caught_with_one_request() {
        let shrunk = caught(Flaw::CutsAnswers);
        assert_small(&shrunk, 1);
        assert!(matches!(shrunk.run.complaints[0], Complaint::AnswerBroken { .. }));
    }

    #[test]
    fn a_server_that_never_answers_is_caught_with_one_request() {
        let shrunk = caught(Flaw::NeverAnswers);
        assert_small(&shrunk, 1);
        let complaints = &shrunk.run.complaints[..];
        assert!(
            matches!(
                complaints,
                [Complaint::FailedWithoutReason { .. }, Complaint::Remains { .. }]
            ),
            "{complaints:?}"
        );
    }

    #[test]
    fn a_server_that_tells_nobody_of_changes_is_caught_with_one_observer_and_one_change() {
        let shrunk = caught(Flaw::KeepsQuiet);
        assert_small(&shrunk, 2);
        assert_eq!(asks(&shrunk), 1);
        assert!(matches!(shrunk.run.complaints[0], Complaint::Outdated { .. }));
    }

    /// The same over connections.
    fn caught_on_connections(flaw: Flaw) -> Shrunk {
        let mut shrunk = (0..50).find_map(|seed| shrink(&Scenario::draw_connections(seed), flaw, 1_000));
        shrunk.take().expect("the flaw comes out within 50 seeds")
    }

    #[test]
    fn what_applications_do_wrong_is_caught_on_connections_too() {
        for (flaw, complaint) in [
            (Flaw::ExecutesTwice, Complaint::ExecutedAgain { request: 0 }),
            (
                Flaw::AnswersAnother,
                Complaint::AnswerOfAnother { request: 0, of: 0 },
            ),
            (Flaw::CutsAnswers, Complaint::AnswerBroken { request: 0 }),
            (Flaw::NeverAnswers, Complaint::FailedWithoutReason { request: 0 }),
        ] {
            let found = (0..100).any(|seed| {
                let complaints = play(&Scenario::draw_connections(seed), flaw).complaints;
                complaints.iter().any(|other| other.is_like(&complaint))
            });
            assert!(found, "{flaw:?}");
        }
    }

    #[test]
    fn who_takes_it_that_what_broke_was_not_executed_is_caught_with_one_request() {
        let shrunk = caught_on_connections(Flaw::TrustsBrokenConnections);
        let text = shrunk.to_string();
        assert_eq!(asks(&shrunk), 1, "{text}");
        let complaints = &shrunk.run.complaints[..];
        assert!(
            matches!(complaints, [Complaint::ExecutedThoughUnsent { .. }]),
            "{text}"
        );
    }

    #[test]
    fn who_works_for_the_gone_is_caught_with_one_request() {
        let shrunk = caught_on_connections(Flaw::WorksForTheGone);
        let text = shrunk.to_string();
        assert_eq!(asks(&shrunk), 1, "{text}");
        assert!(
            matches!(shrunk.run.complaints[..], [Complaint::Orphaned { .. }]),
            "{text}"
        );
    }

    /// What came out smaller fails when it is played again, and comes out the same from the same beginning.
    #[test]
    fn shrinking_is_deterministic_and_bounded() {
        let scenario = Scenario::draw(3);
        let [once, again] = [0, 1].map(|_| shrink(&scenario, Flaw::ExecutesTwice, 30).expect("it fails"));
        assert_eq!(once.scenario, again.scenario);
        assert_eq!(once.run.ladder, again.run.ladder);
        assert!(once.tries < 30 + usize::try_from(SEEDS_EACH).unwrap());
        assert!(!play(&once.scenario, Flaw::ExecutesTwice).complaints.is_empty());
        assert!(shrink(&once.scenario, Flaw::None, 30).is_none());
    }
}
