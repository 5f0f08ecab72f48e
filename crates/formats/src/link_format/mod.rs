//! The CoRE Link Format (RFC 6690): lists of typed links, as served at `/.well-known/core`.
//!
//! Reading checks a whole payload once and then walks it without allocating; what was checked cannot fail
//! later:
//!
//! ```
//! use coracle_formats::link_format::{Filter, Links};
//!
//! let links = Links::parse(r#"</sensors>;ct=40,</sensors/temp>;rt="temperature-c";if="sensor""#)?;
//! let wanted = Filter::parse("rt=temperature*");
//! let found = links.iter().filter(|link| link.matches(&wanted));
//! let found: Vec<&str> = found.map(|link| link.target()).collect();
//! assert_eq!(found, ["/sensors/temp"]);
//! # Ok::<(), coracle_formats::link_format::ParseError>(())
//! ```
//!
//! Writing goes through [`LinkWriter`], or through owned [`Link`]s:
//!
//! ```
//! use coracle_formats::link_format::{Link, write_links};
//!
//! let link = Link::new("/temp").attr("rt", "temperature").attr("ct", "0").flag("obs");
//! assert_eq!(write_links([&link])?, r#"</temp>;rt="temperature";ct=0;obs"#);
//! # Ok::<(), coracle_formats::link_format::WriteError>(())
//! ```
//!
//! # Reading of the grammar
//! The parser follows RFC 6690 §2 and takes in addition what RFC 8288 §3 allows: blanks and line breaks
//! around `,`, `;` and `=`, and any attribute either as a token or quoted. The text is UTF-8 and has no
//! percent-encoding of its own (RFC 9176 appendix B.4). Attribute names are compared without regard to case
//! (RFC 8288 §2.2), everything else byte by byte.
//!
//! # Bounds
//! Checking, walking, filtering and resolving take time linear in their input. Only values that hold a
//! backslash are copied when they are read as a `Cow`. The parser needs no bound of its own beyond the length
//! of the payload, which the block-wise layer limits.

mod attribute;
mod filter;
mod link;
mod parse;
mod resolve;
mod write;

pub use attribute::{Attribute, Value};
pub use filter::Filter;
pub use link::{Link, write_links};
pub use parse::{Attributes, LinkRef, Links, LinksIter, ParseError, ParseErrorKind};
pub use resolve::{ResolveError, ResolvedLink, resolve};
pub use write::{LinkWriter, WriteError};
