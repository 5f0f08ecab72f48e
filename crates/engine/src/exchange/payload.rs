//! The body of a request: the engine's own bytes, or the application's.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

use crate::values::RequestRef;

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
