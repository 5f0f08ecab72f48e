//! Who a certificate or a raw public key belongs to, and whether it is trusted.

mod own;
mod problem;
mod subject;
#[cfg(test)]
mod tests;
mod trust;
mod verify;

pub use own::{CertifiedKey, CertifiedKeyError};
pub use problem::CertificateProblem;
pub use trust::{AuthorityError, TrustedAuthorities, TrustedKeys};
pub use verify::CertificateIdentity;
pub(crate) use verify::verify;
