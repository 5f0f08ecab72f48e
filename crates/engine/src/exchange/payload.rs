//! The body of a request: the engine's own bytes, or the application's.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::{Deref, Range};

use crate::values::{RequestRef, ResponseRef};

/// A body that the application and the engine share, so that a long one is not copied as a whole.
#[derive(Clone)]
pub struct SharedBody(Arc<dyn AsRef<[u8]> + Send + Sync>);

impl SharedBody {
    /// Shares these bytes, which must always be the same.
    #[must_use]
    pub fn new(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> SharedBody {
        SharedBody(Arc::new(bytes))
    }
}

impl SharedBody {
    /// Where in it these bytes lie, if they are a part of it and no copy.
    pub(crate) fn range_of(&self, part: &[u8]) -> Option<Range<usize>> {
        let start = part.as_ptr().addr().checked_sub(self.as_ptr().addr())?;
        let end = start.checked_add(part.len())?;
        (end <= self.len()).then_some(start..end)
    }
}

impl Deref for SharedBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

impl fmt::Debug for SharedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedBody({} bytes)", self.len())
    }
}

impl<'a> RequestRef<'a> {
    /// With this body, of which the engine keeps a share instead of a copy.
    #[must_use]
    pub fn with_shared(mut self, body: &'a SharedBody) -> Self {
        self.payload = body;
        self.shared = Some(body);
        self
    }
}

impl<'a> ResponseRef<'a> {
    /// What the payload is a view of: the engine may keep a share of it in place of a copy.
    #[must_use]
    pub fn with_shared(mut self, body: Option<&'a SharedBody>) -> Self {
        self.shared = body;
        self
    }
}

/// A body of ours that is given to the engine part by part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamedBody {
    /// Its length in bytes, if it is known: the server is told (RFC 7959 §4), and can refuse it at once.
    pub total: Option<u64>,
}

/// What the engine holds of it.
#[derive(Debug)]
pub(crate) struct Payload {
    /// In place of bytes of our own.
    shared: Option<SharedBody>,
    own: Vec<u8>,
}

impl Payload {
    pub(crate) fn of(request: &RequestRef<'_>) -> Payload {
        Payload {
            shared: request.shared.cloned(),
            own: match request.shared {
                Some(_) => Vec::new(),
                None => request.payload.into(),
            },
        }
    }

    /// What the bytes are a view of, if they are not our own.
    pub(crate) fn shared(&self) -> Option<&SharedBody> {
        self.shared.as_ref()
    }

    /// Bytes of our own, for a body that comes in parts.
    pub(crate) fn own(&mut self) -> &mut Vec<u8> {
        if let Some(shared) = self.shared.take() {
            self.own = shared.to_vec();
        }
        &mut self.own
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.shared.as_deref().unwrap_or(&self.own)
    }
}
