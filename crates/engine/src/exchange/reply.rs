//! A response on its way out, to which the stages add options of their own.

use coracle_wire::{OptionNumber, Options, OptionsBuf, Status};

use crate::exchange::payload::SharedBody;
use crate::values::ResponseRef;

#[derive(Clone)]
pub(crate) struct Reply<'a> {
    pub(crate) status: Status,
    base: Options<'a>,
    /// The options with what the stages added; made when the first is added.
    extended: Option<OptionsBuf>,
    pub(crate) payload: &'a [u8],
    /// What the payload is a part of, if the application shares it.
    pub(crate) shared: Option<&'a SharedBody>,
}

impl<'a> Reply<'a> {
    pub(crate) fn new(status: Status, payload: &'a [u8]) -> Reply<'a> {
        Reply {
            status,
            base: Options::empty(),
            extended: None,
            payload,
            shared: None,
        }
    }

    pub(crate) fn of(response: &ResponseRef<'a>) -> Reply<'a> {
        Reply {
            status: response.status,
            base: response.options,
            extended: None,
            payload: response.payload,
            shared: response.shared,
        }
    }

    pub(crate) fn with_options(status: Status, options: Options<'a>, payload: &'a [u8]) -> Reply<'a> {
        Reply {
            status,
            base: options,
            extended: None,
            payload,
            shared: None,
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

    pub(crate) fn remove(&mut self, number: OptionNumber) {
        let base = self.base;
        self.extended
            .get_or_insert_with(|| OptionsBuf::from(base))
            .remove(number);
    }

    fn retain(&mut self, kept: &[OptionNumber]) {
        let base = self.base;
        self.extended
            .get_or_insert_with(|| OptionsBuf::from(base))
            .retain(|option| kept.contains(&option.number));
    }

    /// The length of the options and of the payload with its marker, in bytes.
    pub(crate) fn len(&self) -> usize {
        let marker = usize::from(!self.payload.is_empty());
        self.options().as_bytes().len() + marker + self.payload.len()
    }

    /// Leaves out what does not fit into so many bytes: of a diagnostic payload the end, of another the whole, then the
    /// options that only tell more about the answer.
    pub(crate) fn fit(&mut self, room: usize) {
        if self.len() <= room {
            return;
        }
        let left = room.saturating_sub(self.options().as_bytes().len() + 1);
        let is_text = !self.status.is_success() && !self.options().contains(OptionNumber::CONTENT_FORMAT);
        match core::str::from_utf8(self.payload) {
            Ok(text) if is_text && left > 0 => {
                let end = text.floor_char_boundary(left);
                self.payload = self.payload.get(..end).unwrap_or_default();
            }
            _ => {
                self.payload = &[];
                self.remove(OptionNumber::CONTENT_FORMAT);
            }
        }
        const SAY_WHAT_IT_IS: [OptionNumber; 3] =
            [OptionNumber::OBSERVE, OptionNumber::BLOCK1, OptionNumber::ECHO];
        if self.len() > room {
            self.retain(&SAY_WHAT_IT_IS);
        }
        if self.len() > room {
            self.remove(OptionNumber::ECHO);
        }
    }

    /// Puts an error in place of the response.
    pub(crate) fn replace(&mut self, status: Status, diagnostic: &'a str) {
        *self = Reply::new(status, diagnostic.as_bytes());
    }
}
