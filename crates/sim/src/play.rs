//! Plays a scenario: builds its network, drives the applications, and writes down what happened.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use coracle_engine::{Body, BodyPolicy, Config, RequestRef, Topic};
use coracle_wire::{Method, Options};

use crate::application::{Flaw, World, asked, message_of};
use crate::forgery::Forgery;
use crate::history::{Happening, History, Totals};
use crate::judge::{Complaint, judge};
use crate::link::Link;
use crate::network::Network;
use crate::node::{Io, NodeId};
use crate::scenario::{Action, Ask, Fault, Host, LONGEST_MAX_AGE, Operation, Scenario};
use crate::stream::Break;

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Run {
    /// What happened.
    pub history: History,
    /// How often.
    pub totals: Totals,
    /// What was not as it is promised.
    pub complaints: Vec<Complaint>,
    /// The datagrams up to the first complaint; only if there is one.
    pub ladder: String,
}

/// After this time without faults an observer on its server's list has been told the latest state: the last
/// non-confirmable notification is repeated within 300 s, a confirmable one that the faults left without an answer is
/// sent again or given up within MAX_TRANSMIT_WAIT, 93 s, and clocks run 5 % slow.
const SETTLES_IN: Duration = Duration::from_secs(450);

/// After this time more any Max-Age is over, and who observes has registered anew.
const RENEWS_IN: Duration = Duration::from_secs(LONGEST_MAX_AGE * 21 / 20 + 150);

/// After this time more every lifetime is over.
const FORGETS_IN: Duration = Duration::from_secs(5_000);

/// Room for some ten message IDs and their answers, in bytes.
const LITTLE_MEMORY: usize = 2_048;

/// Plays a scenario and judges what came of it.
#[must_use]
pub fn play(scenario: &Scenario, flaw: Flaw) -> Run {
    let mut player = Player::new(scenario, flaw);
    player.run();
    player.conclude()
}

/// Bodies are taken block by block.
struct Streams;

impl BodyPolicy for Streams {
    fn body(&self, _method: Method, _options: Options<'_>) -> Body {
        Body::Stream
    }
}

fn config_of(scenario: &Scenario, number: usize, host: Host) -> Config {
    let mut config = if scenario.constrained {
        Config::constrained()
    } else {
        Config::default()
    };
    config.block_szx = config.block_szx.min(host.block_szx);
    let connections = scenario.connections.as_ref();
    if let Some(parameters) = connections.and_then(|all| all.parameters.get(number)) {
        let constrained = config.connections;
        config.connections = *parameters;
        if scenario.constrained {
            config.connections.max_connections = constrained.max_connections;
            config.connections.queued_bytes = constrained.queued_bytes;
        }
    }
    if scenario.constrained {
        // So little that it is used up, and at most once still holds.
        config.seen_bytes = LITTLE_MEMORY;
    }
    if host.streams {
        config.body_policy = Some(Arc::new(Streams));
    }
    config
}

/// A step of the run.
#[derive(Clone, Copy)]
enum Step<'s> {
    Do(&'s Operation),
    Crash(usize),
    Restart(usize),
    Rebind(usize),
    Cut,
    Mend,
    Forge(usize, Forgery),
    Honest(usize, Forgery),
    Break([usize; 2], Break),
}

struct Player<'s> {
    scenario: &'s Scenario,
    network: Network,
    nodes: Vec<NodeId>,
    world: Rc<RefCell<World>>,
    /// How often each node is down, since faults may overlap.
    down: BTreeMap<usize, u32>,
    outages: u32,
}

impl<'s> Player<'s> {
    fn new(scenario: &'s Scenario, flaw: Flaw) -> Player<'s> {
        let asks = scenario
            .operations
            .iter()
            .filter_map(|operation| match &operation.action {
                Action::Ask(ask) => Some((operation.number, ask.clone())),
                _ => None,
            });
        let world = Rc::new(RefCell::new(World::new(flaw, asks.collect())));
        let mut network = Network::new(scenario.seed);
        let mut nodes = Vec::new();
        for (number, host) in scenario.nodes.iter().enumerate() {
            let world = Rc::clone(&world);
            let application = move |io: &mut Io<'_>, input| world.borrow_mut().hear(number, io, input);
            let config = config_of(scenario, number, *host);
            let node = network.add_node(config, Some(Box::new(application)));
            network.set_clock(node, host.clock);
            nodes.push(node);
        }
        let mut player = Player {
            scenario,
            network,
            nodes,
            world,
            down: BTreeMap::new(),
            outages: 0,
        };
        player.network.messages.short_of_memory = scenario.constrained;
        if let Some(connections) = &scenario.connections {
            player.network.set_pipe(connections.pipe);
        }
        player.set_links();
        player
    }

    /// The links of the scenario, or none during an outage.
    fn set_links(&mut self) {
        if self.scenario.connections.is_some() {
            return match self.outages {
                0 => self.network.end_outage(),
                _ => self.network.begin_outage(),
            };
        }
        if self.outages > 0 {
            return self.network.set_link(Link::perfect().with_loss(1.0));
        }
        let [there, back] = self.scenario.links;
        for (number, from) in self.nodes.iter().enumerate() {
            for (other, to) in self.nodes.iter().enumerate() {
                let link = if number < other { there } else { back };
                self.network.set_link_between(*from, *to, link);
            }
        }
    }

    fn tell(&mut self, happening: Happening) {
        let at = self.network.now();
        self.world.borrow_mut().history.push(at, happening);
    }

    fn steps(&self) -> Vec<(Duration, Step<'s>)> {
        let operations = self.scenario.operations.iter();
        let mut steps: Vec<_> = operations
            .map(|operation| (operation.at, Step::Do(operation)))
            .collect();
        for fault in &self.scenario.faults {
            match *fault {
                Fault::Outage { at, .. } => steps.extend([(at, Step::Cut), (fault.end(), Step::Mend)]),
                Fault::Forge {
                    at, node, forgery, ..
                } => steps.extend([
                    (at, Step::Forge(node, forgery)),
                    (fault.end(), Step::Honest(node, forgery)),
                ]),
                Fault::Break { at, nodes, how } => steps.push((at, Step::Break(nodes, how))),
                Fault::Rebind { at, node } => steps.push((at, Step::Rebind(node))),
                Fault::Crash { at, node, .. } => {
                    steps.extend([(at, Step::Crash(node)), (fault.end(), Step::Restart(node))]);
                }
            }
        }
        steps.sort_by_key(|(at, _)| *at);
        steps
    }

    fn run(&mut self) {
        let start = self.network.now();
        for (at, step) in self.steps() {
            self.network.run_until(start + at);
            self.step(step);
        }
        let longest = self.scenario.links.map(|link| link.longest_travel());
        let mut world = self.world.borrow_mut();
        world.history.longest_travel = longest.into_iter().max().unwrap_or_default();
        world.history.short_of_memory = self.scenario.constrained;
        world.history.connections = self.scenario.connections.is_some();
        world.history.nothing_lost = self.scenario.loses_nothing();
        drop(world);
        self.network.note("from here on nothing is lost".into());
        self.network.set_link(Link::perfect());
        self.network.mend_pipes();
        self.network.run_for(SETTLES_IN);
        self.tell(Happening::Settled);
        self.network.run_for(RENEWS_IN);
        self.tell(Happening::Renewed);
        self.cancel_all();
        self.network.run_for(SETTLES_IN);
        self.change_all();
        self.release_all();
        let silent = self.network.run_to_silence(FORGETS_IN);
        for (number, node) in self.nodes.clone().into_iter().enumerate() {
            if !silent || !self.network.endpoint(node).is_pristine() {
                self.tell(Happening::Remains { node: number });
            }
        }
    }

    fn step(&mut self, step: Step<'_>) {
        match step {
            Step::Do(operation) => match &operation.action {
                Action::Ask(ask) => self.ask(operation.number, ask),
                Action::Cancel { operation } => self.cancel(*operation),
                Action::Change { node, topic } => self.change(*node, *topic),
                Action::Ping { from, to, custody } => self.ping(operation.number, (*from, *to), *custody),
                Action::Release { from, to } => self.release(*from, *to),
            },
            Step::Cut | Step::Mend => {
                let cut = matches!(step, Step::Cut);
                self.outages = if cut { self.outages + 1 } else { self.outages - 1 };
                let what = if cut { "an outage begins" } else { "an outage ends" };
                self.network.note(what.into());
                self.set_links();
            }
            Step::Forge(number, forgery) => {
                if let Some(node) = self.nodes.get(number) {
                    self.network.begin_forging(*node, forgery);
                }
            }
            Step::Honest(number, forgery) => {
                if let Some(node) = self.nodes.get(number) {
                    self.network.end_forging(*node, forgery);
                }
            }
            Step::Break(pair, how) => {
                if let [Some(one), Some(other)] = pair.map(|number| self.nodes.get(number).copied()) {
                    self.network.break_between(one, other, how);
                }
            }
            Step::Rebind(number) => {
                if let Some(node) = self.nodes.get(number) {
                    self.network.rebind(*node);
                    self.tell(Happening::Rebound { node: number });
                }
            }
            Step::Crash(number) => {
                let Some(node) = self.nodes.get(number).copied() else {
                    return;
                };
                *self.down.entry(number).or_default() += 1;
                self.network.crash(node);
                self.world.borrow_mut().forget(number);
                self.tell(Happening::Crashed { node: number });
            }
            Step::Restart(number) => {
                let down = self.down.entry(number).or_default();
                *down -= 1;
                if *down == 0
                    && let Some(node) = self.nodes.get(number)
                {
                    self.network.restart(*node);
                }
            }
        }
    }

    fn is_up(&self, number: usize) -> bool {
        self.down.get(&number).is_none_or(|down| *down == 0)
    }

    fn ask(&mut self, request: u32, ask: &Ask) {
        let (Some(from), Some(to)) = (self.nodes.get(ask.from).copied(), self.nodes.get(ask.to)) else {
            return;
        };
        if !self.is_up(ask.from) {
            return;
        }
        if self.scenario.connections.is_some() {
            self.tell(asked(request, ask));
            let world = Rc::clone(&self.world);
            let asks = |io: &mut Io<'_>| world.borrow_mut().ask_on_connection(ask.from, io, request);
            return self.network.with_io(from, asks);
        }
        let (options, payload) = message_of(request, ask);
        let message = RequestRef::new(ask.method, options.as_options())
            .with_payload(&payload)
            .with_confirmable(ask.confirmable);
        let begun = self.network.request(from, *to, message);
        self.tell(asked(request, ask));
        match begun {
            Ok(id) => drop(self.world.borrow_mut().asking.insert((ask.from, id), request)),
            Err(_) => self.tell(Happening::Failed {
                request,
                unsent: true,
            }),
        }
    }

    /// A node looks whether another is there, on their connection if they have one.
    fn ping(&mut self, request: u32, (from, to): (usize, usize), custody: bool) {
        let open = self.world.borrow().calling.open_between(from, to);
        let (Some((stream, connection)), Some(node)) = (open, self.nodes.get(from).copied()) else {
            return;
        };
        if custody {
            let [.., token] = request.to_be_bytes();
            self.network.inject_custody(node, connection, token);
            return;
        }
        let begun = self.network.with_io(node, |io| {
            let path = io.endpoint.connection_path(connection)?;
            io.endpoint.ping(io.now, &path).ok()
        });
        if let Some(id) = begun {
            self.world.borrow_mut().asking.insert((from, id), request);
            self.tell(Happening::Asked {
                request,
                by: from,
                of: to,
                method: Method::GET,
                // It may fail where a long message is before it.
                confirmable: false,
                observes: None,
                max_age: Duration::ZERO,
            });
            let connection = stream.0;
            self.tell(Happening::Went { request, connection });
        }
    }

    /// Releases all connections (RFC 8323 §5.5).
    fn release_all(&mut self) {
        let all = self.world.borrow().calling.all();
        for (number, connection) in all {
            if let Some(node) = self.nodes.get(number) {
                self.network
                    .with_io(*node, |io| io.endpoint.release(io.now, connection));
            }
        }
    }

    fn release(&mut self, from: usize, to: usize) {
        let open = self.world.borrow().calling.open_between(from, to);
        if let (Some((_, connection)), Some(node)) = (open, self.nodes.get(from)) {
            self.network
                .with_io(*node, |io| io.endpoint.release(io.now, connection));
        }
    }

    /// Cancels a request, if it has not ended.
    fn cancel(&mut self, request: u32) {
        let open = self.open();
        let mut world = self.world.borrow_mut();
        let (at, mut request) = (self.network.now(), request);
        while let Some(again) = world.calling.again.get(&request) {
            request = *again;
        }
        if world.calling.drop_waiting(request) {
            return world.history.push(at, Happening::Cancelled { request });
        }
        let exchange = world.asking.iter().find(|(_, of)| **of == request);
        let Some(&(by, id)) = exchange.map(|(exchange, _)| exchange) else {
            return;
        };
        if let Some(node) = self.nodes.get(by).filter(|_| open.contains(&request)) {
            let now = self.network.time_of(*node);
            world.history.push(at, Happening::Cancelled { request });
            drop(world);
            self.network.endpoint(*node).cancel(now, id);
        }
    }

    /// The requests that have not ended.
    fn open(&self) -> BTreeSet<u32> {
        let mut open = BTreeSet::new();
        for (_, happening) in &self.world.borrow().history.entries {
            match happening {
                Happening::Asked { request, .. } => drop(open.insert(*request)),
                Happening::Answered {
                    request, more: false, ..
                }
                | Happening::Failed { request, .. }
                | Happening::Cancelled { request } => drop(open.remove(request)),
                _ => {}
            }
        }
        open
    }

    /// Cancels all that still observes.
    fn cancel_all(&mut self) {
        self.world.borrow_mut().calling.is_over = true;
        let world = self.world.borrow();
        let observes = |request: &u32| world.asks.get(request).is_some_and(|ask| ask.observes.is_some());
        let observers: Vec<u32> = self.open().into_iter().filter(observes).collect();
        drop(world);
        for request in observers {
            self.cancel(request);
        }
    }

    fn change(&mut self, number: usize, topic: u64) {
        let Some(node) = self.nodes.get(number).copied() else {
            return;
        };
        let mut world = self.world.borrow_mut();
        let state = world.states.entry((number, topic)).or_default();
        *state += 1;
        let state = *state;
        let tells = world.tells_changes();
        drop(world);
        if tells {
            self.network.endpoint(node).changed(Topic(topic));
        }
        self.tell(Happening::Changed {
            node: number,
            topic,
            state,
        });
    }

    /// Changes all states, so that servers find out which of their observers are gone (RFC 7641 §4.5).
    fn change_all(&mut self) {
        let world = self.world.borrow();
        let asks = world.asks.values();
        let topics = asks.filter_map(|ask| Some((ask.to, ask.observes.as_ref()?.topic)));
        let topics: BTreeSet<(usize, u64)> = topics.collect();
        drop(world);
        for (number, topic) in topics {
            if let Some(node) = self.nodes.get(number) {
                self.network.endpoint(*node).changed(Topic(topic));
            }
        }
    }

    fn conclude(self) -> Run {
        let mut history = std::mem::take(&mut self.world.borrow_mut().history);
        history.nothing_lost &= !self.network.messages.collided;
        let breaches = self.network.messages.breaches(self.network.now());
        history.entries.extend(breaches);
        history.entries.extend(self.network.frames.breaches());
        history.entries.sort_by_key(|(at, _)| *at);
        let complaints = judge(&history);
        let first = complaints.first().map(|(at, _)| *at);
        let ladder = first.map(|at| self.network.ladder_until(at));
        let totals = Totals {
            datagrams: self.network.sent() - self.network.frames.written,
            frames: self.network.frames.written,
            worst_amplification: self.network.worst_amplification(),
            ..history.totals()
        };
        Run {
            totals,
            ladder: ladder.unwrap_or_default(),
            complaints: complaints.into_iter().map(|(_, complaint)| complaint).collect(),
            history,
        }
    }
}
