//! With 30 % loss, duplication and reordering every exchange ends, none is executed twice, and nothing remains.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "helpers of tests"
)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use coracle_engine::{Event, ExchangeId, RequestRef, ResponseRef};
use coracle_sim::{Input, Link, Network, NodeId};
use coracle_wire::{Method, OptionNumber, Options, OptionsBuf, Status};

const SEEDS: u64 = 200;
const EXCHANGES: usize = 50;
const METHODS: [Method; 5] = [
    Method::GET,
    Method::PUT,
    Method::POST,
    Method::DELETE,
    Method::FETCH,
];

/// How often each request was executed, by the tag that its query carries.
type Executions = Rc<RefCell<HashMap<String, usize>>>;

/// Tags of the requests under way, and what each came to: the body of its answer, or nothing.
#[derive(Default)]
struct Asked {
    under_way: HashMap<ExchangeId, String>,
    ended: HashMap<String, bool>,
}

/// A server that answers with the tag; every third request late, which makes a separate response of it.
fn server(network: &mut Network, executions: &Executions) -> NodeId {
    let executions = Rc::clone(executions);
    let mut late = HashMap::new();
    network.add_server(move |io, input| match input {
        Input::Request { id, options, .. } => {
            let tag = options.get_str(OptionNumber::URI_QUERY).unwrap().to_owned();
            let number = executions.borrow().len() as u64;
            *executions.borrow_mut().entry(tag.clone()).or_default() += 1;
            if number.is_multiple_of(3) {
                io.wake_after(Duration::from_millis(number * 97 % 4000), number);
                late.insert(number, (id, tag));
            } else {
                io.respond(id, answer(&tag)).unwrap();
            }
        }
        Input::Wake(number) => {
            let (id, tag) = late.remove(&number).unwrap();
            io.respond(id, answer(&tag)).unwrap();
        }
        _ => {}
    })
}

fn answer(tag: &str) -> ResponseRef<'_> {
    ResponseRef::new(Status::CONTENT, Options::empty(), tag.as_bytes())
}

fn ask(network: &mut Network, from: NodeId, to: NodeId, asked: &mut Asked, tag: String) {
    let method = METHODS[(asked.ended.len() + asked.under_way.len()) % METHODS.len()];
    let mut options = OptionsBuf::new();
    options.push_str(OptionNumber::URI_PATH, "a").unwrap();
    options.push_str(OptionNumber::URI_QUERY, &tag).unwrap();
    let request = RequestRef::new(method, options.as_options()).with_payload(tag.as_bytes());
    let id = network.request(from, to, request).unwrap();
    asked.under_way.insert(id, tag);
}

fn collect(network: &mut Network, node: NodeId, asked: &mut Asked) {
    for event in network.take_events(node) {
        let (id, answered) = match event {
            Event::Response { id, response, more } => {
                assert!(!more);
                let tag = &asked.under_way[&id];
                assert_eq!(response.payload, tag.as_bytes(), "the answer to another request");
                (id, true)
            }
            Event::Failed { id, .. } => (id, false),
            other => panic!("{other:?}"),
        };
        let tag = asked.under_way.remove(&id).expect("an exchange ends once");
        asked.ended.insert(tag, answered);
    }
}

/// One network; how many of its exchanges were answered.
fn run(seed: u64) -> usize {
    let mut network = Network::new(seed);
    network.set_link(
        Link::perfect()
            .with_loss(0.3)
            .with_duplication(0.2)
            .with_latency(Duration::from_millis(20))
            .with_jitter(Duration::from_millis(2500)),
    );
    let executions = Executions::default();
    let server = server(&mut network, &executions);
    let clients = [network.add_client(), network.add_client()];
    let mut asked = [Asked::default(), Asked::default()];
    for number in 0..EXCHANGES {
        let turn = number & 1;
        ask(
            &mut network,
            clients[turn],
            server,
            &mut asked[turn],
            format!("{seed}-{number}"),
        );
        network.run_for(Duration::from_millis(number as u64 * 41 % 700));
        collect(&mut network, clients[turn], &mut asked[turn]);
    }
    assert!(
        network.run_to_silence(Duration::from_secs(12_000)),
        "it never ends"
    );
    for (client, asked) in clients.into_iter().zip(&mut asked) {
        collect(&mut network, client, asked);
        assert!(asked.under_way.is_empty(), "not ended: {:?}", asked.under_way);
        for (tag, answered) in &asked.ended {
            let times = executions.borrow().get(tag).copied().unwrap_or(0);
            assert!(times <= 1, "{tag} was executed {times} times");
            assert!(!answered || times == 1, "{tag} was answered and not executed");
        }
        assert!(network.endpoint(client).is_pristine());
    }
    assert!(network.endpoint(server).is_pristine());
    asked
        .iter()
        .flat_map(|asked| asked.ended.values())
        .filter(|answered| **answered)
        .count()
}

#[test]
fn ten_thousand_exchanges_end_and_run_at_most_once() {
    let answered: usize = (0..SEEDS).map(run).sum();
    let all = SEEDS as usize * EXCHANGES;
    // A message and its answer pass with 0.7 * 0.7; five attempts fail together in 0.51^5, about 3.5 %.
    assert!(
        answered > all * 94 / 100,
        "only {answered} of {all} were answered"
    );
    assert!(answered < all, "the network was not bad at all");
}

/// Both are client and server at once, and each separate response waits for the other's slot of NSTART.
#[test]
fn two_that_ask_each_other_do_not_block_each_other() {
    for seed in 0..20 {
        let mut network = Network::new(seed);
        if seed > 0 {
            network.set_link(Link::perfect().with_loss(0.2).with_jitter(Duration::from_secs(2)));
        }
        let ended = Rc::new(RefCell::new([0, 0]));
        let nodes = [0, 1].map(|side: usize| {
            let ended = Rc::clone(&ended);
            let mut late = HashMap::new();
            network.add_server(move |io, input| match input {
                Input::Request { id, .. } => {
                    let number = late.len() as u64;
                    late.insert(number, id);
                    io.wake_after(Duration::from_millis(1500), number);
                }
                Input::Wake(number) => io.respond(late[&number], answer("x")).unwrap(),
                Input::Event(Event::Response { .. }) => ended.borrow_mut()[side] += 1,
                Input::Event(Event::Failed { .. }) => {
                    ended.borrow_mut()[side] += 1;
                    assert!(seed > 0, "nothing was lost");
                }
                _ => {}
            })
        });
        for _ in 0..20 {
            for (from, to) in [(0, 1), (1, 0)] {
                let ask = RequestRef::new(Method::POST, Options::empty());
                network.request(nodes[from], nodes[to], ask).unwrap();
            }
        }
        assert!(network.run_to_silence(Duration::from_secs(20_000)));
        assert_eq!(*ended.borrow(), [20, 20], "seed {seed}");
        assert!(nodes.iter().all(|node| network.endpoint(*node).is_pristine()));
    }
}
