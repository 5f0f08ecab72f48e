//! A connection as its peer sees it: what was given to the endpoint, what it wrote, and what must hold of that.

use std::collections::{HashSet, VecDeque};

use coracle_engine::ConnectionId;
use coracle_wire::{CodeKind, Csm, Custody, Framing, Message, Options, Release, Signal, frame_len};

/// The shortest Max-Message-Size that an endpoint goes on with.
const LEAST: u32 = 32;

/// A message of ours that the peer may answer.
#[derive(Clone)]
pub struct Asked {
    pub token: Vec<u8>,
    pub frame: Vec<u8>,
}

pub struct Line {
    pub id: ConnectionId,
    pub framing: Framing,
    /// What came and was not taken: of a WebSocket message by message, otherwise in one piece.
    inbox: VecDeque<Vec<u8>>,
    /// The beginning of a message that the endpoint writes.
    begun: Vec<u8>,
    messages: usize,
    /// Max-Message-Size as the peer told it last, and the highest since nothing waited.
    told: usize,
    highest: usize,
    /// The peer takes BERT blocks, or has once.
    bert: bool,
    block_wise: bool,
    tokens: HashSet<Vec<u8>>,
    /// Pings of the peer that have no Pong.
    pings: Vec<Vec<u8>>,
    /// Requests and Pings of the endpoint, the last of them.
    pub asked: Vec<Asked>,
    pub waits: bool,
    pub emptied: bool,
    pub closing: bool,
    /// The peer has closed its side.
    pub ended: bool,
    opened: bool,
    released: bool,
    aborted: bool,
    /// What the peer transfers block by block: the next block.
    pub transfer: (u8, u32),
}

impl Line {
    pub fn new(id: ConnectionId, framing: Framing) -> Line {
        let base = Csm::BASE_MAX_MESSAGE_SIZE as usize;
        Line {
            id,
            framing,
            inbox: VecDeque::new(),
            begun: Vec::new(),
            messages: 0,
            told: base,
            highest: base,
            bert: false,
            block_wise: false,
            tokens: HashSet::new(),
            pings: Vec::new(),
            asked: Vec::new(),
            waits: false,
            emptied: false,
            closing: false,
            ended: false,
            opened: false,
            released: false,
            aborted: false,
            transfer: (0, 0),
        }
    }

    /// Bytes come; of a WebSocket they are a message.
    pub fn comes(&mut self, bytes: &[u8]) {
        match (self.framing, self.inbox.back_mut()) {
            _ if bytes.is_empty() => {}
            (Framing::Tcp, Some(before)) => before.extend_from_slice(bytes),
            _ => self.inbox.push_back(bytes.to_vec()),
        }
    }

    /// What is given to the endpoint next.
    pub fn next(&self) -> &[u8] {
        self.inbox.front().map_or(&[], |bytes| bytes)
    }

    /// The endpoint took so many bytes of it; whether it may take more.
    pub fn took(&mut self, used: usize) -> bool {
        let Some(bytes) = self.inbox.front_mut() else {
            assert_eq!(used, 0);
            return false;
        };
        assert!(used <= bytes.len(), "{used} of {} bytes", bytes.len());
        assert!(
            used > 0 || self.framing == Framing::Tcp,
            "a message of a WebSocket is whole"
        );
        let taken: Vec<u8> = bytes.drain(..used).collect();
        if bytes.is_empty() {
            self.inbox.pop_front();
        }
        if let Ok(message) = Message::parse_frame(self.framing, &taken) {
            self.heard(&message);
        }
        used > 0
    }

    /// What the peer has said, as far as what is written depends on it.
    fn heard(&mut self, message: &Message<'_>) {
        match message.code.kind() {
            CodeKind::Request(_) => drop(self.tokens.insert(message.token.to_vec())),
            CodeKind::Signal(Signal::PING) => self.pings.push(message.token.to_vec()),
            CodeKind::Signal(Signal::CSM) => {
                let Ok(csm) = Csm::read(message.options) else {
                    return;
                };
                if let Some(size) = csm.max_message_size.filter(|size| *size >= LEAST) {
                    self.told = size as usize;
                    self.highest = self.highest.max(self.told);
                }
                self.block_wise |= csm.block_wise_transfer;
                self.bert |= self.block_wise && self.told > Csm::BASE_MAX_MESSAGE_SIZE as usize;
            }
            _ => {}
        }
    }

    /// Nothing waits that was put in line for an earlier Max-Message-Size.
    pub fn counts_from_now(&mut self) {
        if std::mem::take(&mut self.emptied) {
            self.waits = false;
            self.highest = self.told;
        }
    }

    /// The transport takes bytes.
    pub fn writes(&mut self, bytes: &[u8]) {
        self.begun.extend_from_slice(bytes);
        loop {
            let len = match self.framing {
                Framing::WebSocket => self.begun.len(),
                Framing::Tcp => match frame_len(&self.begun).expect("what is written is messages") {
                    Some(len) => len as usize,
                    None => return,
                },
            };
            if self.begun.is_empty() || self.begun.len() < len {
                return;
            }
            let rest = self.begun.split_off(len);
            let frame = std::mem::replace(&mut self.begun, rest);
            self.wrote(frame);
        }
    }

    fn wrote(&mut self, frame: Vec<u8>) {
        let message = Message::parse_frame(self.framing, &frame).expect("what is written is messages");
        let kind = message.code.kind();
        assert!(!self.aborted, "{message} after an Abort");
        assert_eq!(
            kind == CodeKind::Signal(Signal::CSM),
            self.messages == 0,
            "{message} is number {}",
            self.messages
        );
        self.messages += 1;
        assert!(
            frame.len() <= self.highest,
            "{message} has {} bytes, the peer takes {}",
            frame.len(),
            self.highest
        );
        match kind {
            CodeKind::Request(_) | CodeKind::Signal(Signal::PING) => {
                let asked = Asked {
                    token: message.token.to_vec(),
                    frame: frame.clone(),
                };
                self.asked.push(asked);
                let old = self.asked.len().saturating_sub(16);
                self.asked.drain(..old);
            }
            CodeKind::Response(_) => {
                assert!(self.tokens.contains(message.token), "{message} answers nobody");
            }
            CodeKind::Signal(Signal::PONG) => {
                let ping = self.pings.iter().position(|token| token == message.token);
                self.pings.remove(ping.expect("a Pong without a Ping"));
                assert!(Custody::read(message.options).is_ok());
            }
            CodeKind::Signal(Signal::CSM) => assert!(Csm::read(message.options).is_ok()),
            CodeKind::Signal(Signal::RELEASE) => assert!(Release::read(message.options).is_ok()),
            CodeKind::Signal(Signal::ABORT) => self.aborted = true,
            _ => panic!("{message} has no place on a connection"),
        }
        if !matches!(kind, CodeKind::Signal(_)) {
            let is_request = matches!(kind, CodeKind::Request(_));
            self.has_only_meaningful_options(is_request, message.options);
        }
    }

    /// The engine's own options are what their definitions say, and BERT blocks go to who takes them (RFC 8323 §6).
    fn has_only_meaningful_options(&self, is_request: bool, options: Options<'_>) {
        for (descriptive, block) in [(is_request, options.block1()), (!is_request, options.block2())] {
            let Some(block) = block else { continue };
            let block = block.expect("a Block option of ours");
            assert!(!descriptive || !block.is_bert() || self.bert, "{options:?}");
        }
    }

    pub fn opens(&mut self) {
        assert!(!std::mem::replace(&mut self.opened, true), "opened twice");
    }

    pub fn is_released(&mut self) {
        assert!(!std::mem::replace(&mut self.released, true), "released twice");
        assert!(!self.closing);
    }

    pub fn closes(&mut self) {
        assert!(!std::mem::replace(&mut self.closing, true), "closed twice");
    }
}
