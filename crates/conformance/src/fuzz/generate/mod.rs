//! The five generator families of published CoAP fuzzing, as pure functions of a seed.
//!
//! The families are those of FuzzCoAP (B. Melo, P. de Geus, A. Grégio, "Robustness Testing of CoAP Server-side
//! Implementations through Black-box Fuzzing Techniques", SBSeg 2017); what each does here is written anew.

mod corpus;
mod dice;
mod draft;
mod generational;
mod mutational;
mod random;
mod sequence;
mod smart;
mod values;

use std::fmt;
use std::str::FromStr;

use coracle_wire::{OptionNumber, Uri};
use serde::Serialize;

use dice::Dice;
use draft::Draft;

/// A way to make messages. The more a family knows of CoAP, the deeper its messages get into a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Random bytes of random length.
    Random,
    /// A header that makes sense and leads to a resource, the rest random.
    InformedRandom,
    /// Valid messages with bits flipped and bytes inserted, removed, repeated and spliced.
    Mutational,
    /// Valid messages with fields changed: header, option encoding, option values, payload.
    SmartMutational,
    /// Messages made from the table of registered options, and sequences of messages that belong together.
    Generational,
}

impl Family {
    /// All, from the least to the best informed.
    pub const ALL: [Family; 5] = [
        Family::Random,
        Family::InformedRandom,
        Family::Mutational,
        Family::SmartMutational,
        Family::Generational,
    ];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Family::Random => "random",
            Family::InformedRandom => "informed-random",
            Family::Mutational => "mutational",
            Family::SmartMutational => "smart-mutational",
            Family::Generational => "generational",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text is no name of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchFamily;

impl fmt::Display for NoSuchFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the families are ")?;
        let names = Family::ALL.map(Family::name);
        f.write_str(&names.join(", "))
    }
}

impl std::error::Error for NoSuchFamily {}

impl FromStr for Family {
    type Err = NoSuchFamily;

    fn from_str(text: &str) -> Result<Family, NoSuchFamily> {
        let named = |family: &Family| family.name() == text;
        Family::ALL.into_iter().find(named).ok_or(NoSuchFamily)
    }
}

/// Where requests go when a server does not say what it has.
const DEFAULT_PATHS: [&str; 8] = [
    "/.well-known/core",
    "/",
    "/test",
    "/hello",
    "/time",
    "/large",
    "/obs",
    "/store/x",
];

/// How many paths are used at most.
pub const MAX_PATHS: usize = 64;

/// The longest message, in bytes: what a datagram of IPv6 has room for.
pub const MAX_MESSAGE: usize = 65_487;

/// Makes messages. The same seed, paths and corpus make the same bytes.
#[derive(Clone, Debug)]
pub struct Generator {
    seed: u64,
    /// Each as the values of its Uri-Path options.
    paths: Vec<Vec<Vec<u8>>>,
    corpus: Vec<Vec<u8>>,
}

impl Generator {
    /// `paths` lead to resources (as in URIs: `/a%20b/c`; without any, to some that servers often have) and the
    /// first [`MAX_PATHS`] are used. `corpus` adds messages to mutate to those that are built in.
    #[must_use]
    pub fn new(seed: u64, paths: &[String], corpus: Vec<Vec<u8>>) -> Generator {
        let paths: Vec<&str> = match paths {
            [] => DEFAULT_PATHS.to_vec(),
            given => given.iter().map(String::as_str).take(MAX_PATHS).collect(),
        };
        let built_in = corpus::SEEDS.iter().map(|seed| seed.to_vec());
        Generator {
            seed,
            paths: paths.iter().map(|path| segments(path)).collect(),
            corpus: built_in.chain(corpus).collect(),
        }
    }

    /// The messages with this index, which belong together and are sent in this order: one or a few.
    ///
    /// An empty ACK or RST with Message ID 0 stands for an answer to the server's last message; see
    /// [`answer_server`].
    #[must_use]
    pub fn script(&self, family: Family, index: u64) -> Vec<Vec<u8>> {
        let mut dice = Dice::new(self.seed, family, index);
        let mut messages = match family {
            Family::Random => vec![random::random(&mut dice)],
            Family::InformedRandom => vec![random::informed(self, &mut dice)],
            Family::Mutational => vec![mutational::mutate(self, &mut dice)],
            Family::SmartMutational => smart::mutate(self, &mut dice),
            Family::Generational => generational::script(self, index, &mut dice),
        };
        messages
            .iter_mut()
            .for_each(|message| message.truncate(MAX_MESSAGE));
        messages
    }

    /// Adds the Uri-Path options of one of the resources.
    fn add_path(&self, draft: &mut Draft, dice: &mut Dice) {
        let chosen = dice.within(0..=self.paths.len().saturating_sub(1));
        for segment in self.paths.get(chosen).into_iter().flatten() {
            draft.push(OptionNumber::URI_PATH, segment.clone());
        }
    }

    /// One of the messages to mutate.
    fn seed_message(&self, dice: &mut Dice) -> &[u8] {
        let chosen = dice.within(0..=self.corpus.len().saturating_sub(1));
        self.corpus.get(chosen).map_or(&[], Vec::as_slice)
    }
}

/// The values of the Uri-Path options for the path of a URI (RFC 7252 §6.4), or, if it is none, for what stands
/// between its slashes.
pub(super) fn segments(path: &str) -> Vec<Vec<u8>> {
    let path = path.trim_start_matches('/');
    let uri = format!("coap://localhost/{path}");
    match Uri::parse(&uri).and_then(|uri| uri.to_options()) {
        Ok(options) => options.as_options().path().map(<[u8]>::to_vec).collect(),
        Err(_) => path
            .split('/')
            .map(|segment| segment.as_bytes().to_vec())
            .collect(),
    }
}

/// The bytes that are sent for a message: an empty ACK or RST with Message ID 0 gets the ID of the server's last
/// message, if there was one. So scripts, and the files that keep them, need not know the server's Message IDs.
#[must_use]
pub fn answer_server(message: &[u8], last: Option<[u8; 2]>) -> Vec<u8> {
    match (message, last) {
        (&[kind @ (0x60 | 0x70), 0, 0, 0], Some([high, low])) => vec![kind, 0, high, low],
        _ => message.to_vec(),
    }
}

/// A valid message without one of its parts, in every way there is; nothing for others.
pub(super) fn simpler(message: &[u8]) -> Vec<Vec<u8>> {
    Draft::parse(message).map_or_else(Vec::new, |draft| draft.simpler())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "helpers of tests")]

    use std::collections::BTreeSet;

    use coracle_wire::{CodeKind, Message, MessageType};
    use proptest::prelude::*;

    use super::*;

    fn generator(seed: u64) -> Generator {
        Generator::new(seed, &[], Vec::new())
    }

    fn messages(family: Family, scripts: u64) -> Vec<Vec<u8>> {
        let generator = generator(11);
        (0..scripts)
            .flat_map(|index| generator.script(family, index))
            .collect()
    }

    fn valid_percent(messages: &[Vec<u8>]) -> usize {
        let valid = messages
            .iter()
            .filter(|bytes| Message::parse(bytes).is_ok())
            .count();
        valid * 100 / messages.len()
    }

    #[test]
    fn a_seed_always_makes_the_same_bytes() {
        for family in Family::ALL {
            let all = |seed| {
                (0..50)
                    .map(|index| generator(seed).script(family, index))
                    .collect::<Vec<_>>()
            };
            assert_eq!(all(1), all(1));
            assert_ne!(all(1), all(2), "{family}");
            let distinct: BTreeSet<_> = all(1).into_iter().collect();
            assert!(distinct.len() > 45, "{family}: {}", distinct.len());
        }
    }

    #[test]
    fn the_more_is_known_the_more_messages_are_valid() {
        let percent = Family::ALL.map(|family| valid_percent(&messages(family, 3_000)));
        let [random, informed, mutational, smart, generational] = percent;
        assert!(random <= 10, "{percent:?}");
        assert!((20..=80).contains(&informed), "{percent:?}");
        assert!((10..=70).contains(&mutational), "{percent:?}");
        assert!((30..=80).contains(&smart), "{percent:?}");
        assert!(generational >= 95, "{percent:?}");
    }

    #[test]
    fn the_table_is_covered_and_so_are_methods_types_and_responses() {
        let mut options = BTreeSet::new();
        let (mut methods, mut types, mut statuses) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for bytes in messages(Family::Generational, 2_000) {
            let Ok(message) = Message::parse(&bytes) else {
                continue;
            };
            options.extend(message.options.iter().map(|option| option.number));
            types.insert(message.message_type.to_string());
            match message.code.kind() {
                CodeKind::Request(method) => drop(methods.insert(method.name())),
                CodeKind::Response(status) => drop(statuses.insert(status.class())),
                _ => {}
            }
        }
        for definition in OptionNumber::registered() {
            assert!(options.contains(&definition.number), "{}", definition.name);
        }
        assert_eq!(types.len(), 4);
        assert_eq!(statuses.len(), 4);
        // GET, POST, PUT, DELETE, FETCH, PATCH, iPATCH, and unregistered ones.
        assert_eq!(methods.len(), 8, "{methods:?}");
    }

    #[test]
    fn options_of_every_kind_are_also_wrong() {
        let mut wrong = BTreeSet::new();
        for bytes in messages(Family::Generational, 4_000) {
            let Ok(message) = Message::parse(&bytes) else {
                continue;
            };
            let bad = |option: &coracle_wire::OptionRef<'_>| {
                coracle_wire::check_option(option.number, option.value).is_err()
            };
            wrong.extend(message.options.iter().filter(bad).map(|option| option.number));
        }
        let can_be_wrong = |definition: &&coracle_wire::OptionDefinition| definition.max < u16::MAX;
        for definition in OptionNumber::registered().iter().filter(can_be_wrong) {
            assert!(wrong.contains(&definition.number), "{}", definition.name);
        }
    }

    #[test]
    fn requests_lead_to_the_given_paths() {
        let paths = ["/sensors/temp".to_owned()];
        let generator = Generator::new(5, &paths, Vec::new());
        let leads = (0..500)
            .flat_map(|index| generator.script(Family::InformedRandom, index))
            .filter(|bytes| {
                Message::parse(bytes).is_ok_and(|message| {
                    message
                        .options
                        .path()
                        .collect::<Vec<_>>()
                        .starts_with(&[b"sensors", b"temp"])
                })
            });
        assert!(leads.count() > 100);
    }

    #[test]
    fn paths_are_decoded() {
        assert_eq!(segments("/a%20b/c"), [b"a b".to_vec(), b"c".to_vec()]);
        assert_eq!(segments("a b/\u{e9}"), [b"a b".to_vec(), "\u{e9}".into()]);
        assert_eq!(segments("/"), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn a_corpus_of_the_user_is_mutated_too() {
        let own = b"\x40\x01\x00\x01\xb1a\x4cmy-own-query".to_vec();
        let generator = Generator::new(5, &[], vec![own; 100]);
        for family in [Family::Mutational, Family::SmartMutational] {
            let found = (0..200).flat_map(|index| generator.script(family, index));
            let found = found.filter(|bytes| bytes.windows(6).any(|part| part == b"my-own"));
            assert!(found.count() > 50, "{family}");
        }
    }

    #[test]
    fn answers_get_the_message_id_of_the_server() {
        assert_eq!(
            answer_server(b"\x60\0\0\0", Some([0xab, 0xcd])),
            b"\x60\0\xab\xcd"
        );
        assert_eq!(answer_server(b"\x70\0\0\0", Some([0, 1])), b"\x70\0\0\x01");
        assert_eq!(answer_server(b"\x60\0\0\0", None), b"\x60\0\0\0");
        assert_eq!(answer_server(b"\x60\0\0\x01", Some([9, 9])), b"\x60\0\0\x01");
        let ack = Message::empty(MessageType::Acknowledgement, coracle_wire::MessageId(0));
        assert!(
            messages(Family::Generational, 500)
                .iter()
                .any(|m| Message::parse(m) == Ok(ack))
        );
    }

    #[test]
    fn the_longest_messages_are_cut_to_what_can_be_sent() {
        let long = vec![
            b"\x40\x02\0\x01\xff"
                .iter()
                .copied()
                .chain([7; MAX_MESSAGE - 5])
                .collect();
            1_000
        ];
        let generator = Generator::new(2, &[], long);
        let lengths = (0..500).flat_map(|index| generator.script(Family::SmartMutational, index));
        let lengths: Vec<usize> = lengths.map(|message| message.len()).collect();
        assert_eq!(lengths.iter().max(), Some(&MAX_MESSAGE));
    }

    #[test]
    fn families_have_names() {
        for family in Family::ALL {
            assert_eq!(family.name().parse(), Ok(family));
        }
        assert_eq!("dumb".parse::<Family>(), Err(NoSuchFamily));
    }

    proptest! {
        #[test]
        fn every_script_is_short_and_fits_into_datagrams(seed: u64, index: u64, which in 0..5_usize) {
            let script = generator(seed).script(Family::ALL[which], index);
            prop_assert!((1..=12).contains(&script.len()), "{}", script.len());
            for message in script {
                prop_assert!(message.len() <= MAX_MESSAGE, "{}", message.len());
            }
        }
    }
}
