//! A response on its way out, to which the stages add options of their own.

use coracle_wire::{OptionNumber, Options, OptionsBuf, Status};

use crate::values::ResponseRef;

pub(crate) struct Reply<'a> {
    pub(crate) status: Status,
    base: Options<'a>,
    /// The options with what the stages added; made when the first is added.
    extended: Option<OptionsBuf>,
    pub(crate) payload: &'a [u8],
}

impl<'a> Reply<'a> {
    pub(crate) fn new(status: Status, payload: &'a [u8]) -> Reply<'a> {
        Reply {
            status,
            base: Options::empty(),
            extended: None,
            payload,
        }
    }

    pub(crate) fn of(response: &ResponseRef<'a>) -> Reply<'a> {
        Reply {
            status: response.status,
            base: response.options,
            extended: None,
            payload: response.payload,
        }
    }

    pub(crate) fn with_options(status: Status, options: Options<'a>, payload: &'a [u8]) -> Reply<'a> {
        Reply {
            status,
            base: options,
            extended: None,
            payload,
        }
    }

    pub(crate) fn options(&self) -> Options<'_> {
        self.extended.as_ref().map_or(self.base, OptionsBuf::as_options)
    }

    pub(crate) fn set(&mut self, number: OptionNumber, value: &[u8]) {
        let base = self.base;
        // Block options, Observe, sizes and ETags are far shorter than the longest option.
        let _ = self
            .extended
            .get_or_insert_with(|| OptionsBuf::from(base))
            .set(number, value);
    }

    pub(crate) fn set_uint(&mut self, number: OptionNumber, value: u64) {
        let base = self.base;
        self.extended
            .get_or_insert_with(|| OptionsBuf::from(base))
            .set_uint(number, value);
    }

    /// Puts an error in place of the response.
    pub(crate) fn replace(&mut self, status: Status, diagnostic: &'a str) {
        *self = Reply::new(status, diagnostic.as_bytes());
    }
}
