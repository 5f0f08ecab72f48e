//! DTLS 1.2 (RFC 6347) for many sessions on one socket, as a machine: datagrams and time in, datagrams and events out.
//!
//! It has no socket, clock or randomness of its own, and knows nothing of CoAP. Of the protocol there is what devices
//! keep (RFC 7925): pre-shared keys, raw public keys (RFC 7250), certificates, connection IDs (RFC 9146), resumption.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod certificates;
mod config;
mod cookie;
mod credentials;
mod crypto;
mod dtls;
mod event;
mod failure;
mod handshake;
mod identity;
pub mod limits;
mod messages;
mod path;
mod record;
mod resumption;
mod sessions;
mod state;
mod stats;

pub use certificates::{
    AuthorityError, CertificateIdentity, CertificateProblem, CertifiedKey, CertifiedKeyError,
    TrustedAuthorities, TrustedKeys,
};
pub use config::{ClientAuthentication, Config, ConnectionIds, KeyLog, Resumption, ServerConfig};
pub use credentials::{ClientCredentials, Connect, OwnKeys, Trust};
pub use crypto::{KeyError, SignatureScheme, SigningKey, Suite};
pub use dtls::{ConnectError, Dtls, Loaded, ProtectError, Saving, SavingScope, Unsaved};
pub use event::{Event, LookupId, Received, Sealed, Transmit};
pub use failure::{Failure, NoticedBy, Reason};
pub use identity::Identity;
pub use messages::alert::AlertDescription;
pub use path::{Path, SessionId};
pub use state::ImportError;
pub use stats::{Discards, Stats};

/// Bytes that are overwritten in memory when they are no longer used.
pub type Secret = zeroize::Zeroizing<alloc::vec::Vec<u8>>;
