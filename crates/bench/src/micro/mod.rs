//! Single operations, in this process: how long they take, and work for a tool that counts their instructions.

mod block;
mod codec;
mod exchange;
mod notify;
mod route;
mod stream;
mod whole;

use std::time::{Duration, Instant as SystemInstant};

use clap::ValueEnum;
use coracle_engine::Config;

use crate::statistics::median;

/// Units of work before a measurement: the engine's memory of message IDs is full then.
const WARM_UP: u32 = 700_000;

/// The same under a tool that counts instructions and takes fifty times as long, and the bytes of that memory.
const WARM_UP_COUNTED: u32 = 12_000;
const SEEN_BYTES_COUNTED: usize = 512 << 10;

/// Units of work whose instructions are counted.
const COUNTED: u32 = 4_000;

/// Units of an operation that is too short to be timed by itself.
const REPEATED: u32 = 1_000;

/// Measurements, of which the median is told, and how long each takes.
const SAMPLES: usize = 15;
const SAMPLE: Duration = Duration::from_millis(20);

/// The function whose instructions are counted, with all that it calls: see [`counted`].
pub(crate) const COUNTED_FUNCTION: &str = "*coracle_bench::micro::counted*";

/// An operation to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Case {
    /// Read a request, with all its options
    Parse,
    /// Write it
    Encode,
    /// Read the same request as a frame of TCP
    ParseFrame,
    /// Write it as such
    EncodeFrame,
    /// Through the engine: request in, response out
    Exchange,
    /// The same on a connection
    StreamExchange,
    /// Through the engine: a non-confirmable notification, one of a thousand that a change leads to
    Notification,
    /// Through the engine: a block of a large response, asked for and sent
    DownloadBlock,
    /// Through the engine: a block of a large request, taken and acknowledged
    UploadBlock,
    /// Through the router: find the handler, call it, make the response
    Route,
    /// All that the server does for a request
    Server,
    /// The same on connections, eight requests in a read
    StreamServer,
}

impl Case {
    pub(crate) const ALL: [Case; 12] = [
        Case::Parse,
        Case::Encode,
        Case::ParseFrame,
        Case::EncodeFrame,
        Case::Exchange,
        Case::StreamExchange,
        Case::Notification,
        Case::DownloadBlock,
        Case::UploadBlock,
        Case::Route,
        Case::Server,
        Case::StreamServer,
    ];

    /// For people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Case::Parse => "wire: parse a request",
            Case::Encode => "wire: encode a request",
            Case::ParseFrame => "wire: parse a frame",
            Case::EncodeFrame => "wire: encode a frame",
            Case::Exchange => "engine: a request and its response",
            Case::StreamExchange => "engine: the same on a connection",
            Case::Notification => "engine: a NON notification, one of 1,000",
            Case::DownloadBlock => "engine: a block of a download",
            Case::UploadBlock => "engine: a block of an upload",
            Case::Route => "router: a request to its response",
            Case::Server => "server: all outside of the kernel",
            Case::StreamServer => "server on TCP: all outside of the kernel",
        }
    }

    /// For programs, and for the file of the recorded counts.
    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The operation, ready to be repeated.
    fn start(self, seen_bytes: usize) -> Box<dyn Operation> {
        match self {
            Case::Parse => Box::new(Repeated(codec::parse())),
            Case::Encode => Box::new(Repeated(codec::encode())),
            Case::ParseFrame => Box::new(Repeated(stream::parse())),
            Case::EncodeFrame => Box::new(Repeated(stream::encode())),
            Case::Exchange => {
                let mut exchanges = exchange::Exchanges::new(seen_bytes);
                Box::new(Repeated(move || exchanges.one()))
            }
            Case::StreamExchange => {
                let mut exchanges = stream::Exchanges::new();
                Box::new(Repeated(move || exchanges.one()))
            }
            Case::Notification => Box::new(notify::Notifications::new()),
            Case::DownloadBlock => Box::new(block::Download::new()),
            Case::UploadBlock => Box::new(block::Upload::new()),
            Case::Route => Box::new(Repeated(route::route())),
            Case::Server => Box::new(whole::Whole::start(seen_bytes)),
            Case::StreamServer => Box::new(stream::Whole::start()),
        }
    }
}

/// Something that can be repeated.
trait Operation {
    /// What others do before it; not measured.
    fn prepare(&mut self) {}

    /// What is measured.
    fn run(&mut self);

    /// Checks what came of it and tells how many units of work it was; not measured.
    fn finish(&mut self) -> u32;
}

/// An operation that is too short to be timed by itself, and needs no preparation.
struct Repeated<F>(F);

impl<F: FnMut()> Operation for Repeated<F> {
    fn run(&mut self) {
        (0..REPEATED).for_each(|_| (self.0)());
    }

    fn finish(&mut self) -> u32 {
        REPEATED
    }
}

/// Nanoseconds of a unit of work.
pub(crate) fn nanoseconds(case: Case) -> f64 {
    let mut operation = case.start(Config::default().seen_bytes);
    work(&mut *operation, WARM_UP);
    let samples = (0..SAMPLES).map(|_| {
        let (mut time, mut units) = (Duration::ZERO, 0);
        while time < SAMPLE {
            operation.prepare();
            let started = SystemInstant::now();
            operation.run();
            time += started.elapsed();
            units += operation.finish();
        }
        time.as_secs_f64() * 1e9 / f64::from(units)
    });
    median(samples)
}

/// Works for a tool that counts the instructions of [`COUNTED_FUNCTION`], and returns the units of work.
pub(crate) fn work_counted(case: Case) -> u32 {
    let mut operation = case.start(SEEN_BYTES_COUNTED);
    work(&mut *operation, WARM_UP_COUNTED);
    let mut units = 0;
    while units < COUNTED {
        operation.prepare();
        counted(&mut *operation);
        units += operation.finish();
    }
    units
}

fn work(operation: &mut dyn Operation, enough: u32) {
    let mut units = 0;
    while units < enough {
        operation.prepare();
        operation.run();
        units += operation.finish();
    }
}

/// Not inlined, so that the tool finds it by its name.
#[inline(never)]
fn counted(operation: &mut dyn Operation) {
    operation.run();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_can_be_repeated() {
        for case in Case::ALL {
            let mut operation = case.start(1 << 20);
            work(&mut *operation, 2 * REPEATED);
        }
    }
}
