//! Captures of the path.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::FromRequest;
use crate::pattern::{Pattern, Segment};
use crate::rejection::Rejection;
use crate::request::Request;

/// What the route captured of the path: one value, a tuple of up to six in their order, or all by name.
///
/// ```
/// use coracle_router::{get, Path, Router};
///
/// async fn led(Path(n): Path<u8>) -> String { format!("LED {n}") }
/// async fn file(Path((disk, name)): Path<(u8, String)>) -> String { format!("{name} on {disk}") }
///
/// let app: Router = Router::new().route("/led/{n}", get(led)).route("/disk/{n}/{*name}", get(file));
/// ```
///
/// A segment that does not read as the type is 4.04: nothing has that name. A wildcard's segments are joined by
/// slashes; if one of them holds a slash itself the two could not be told apart and it is 4.04 too. A `Vec<String>`
/// has each segment by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Path<T>(pub T);

/// Reads one capture: numbers, `bool`, `char`, `String` and addresses do, by their `FromStr`.
///
/// ```
/// use coracle_router::FromSegment;
///
/// struct Led(u8);
///
/// impl FromSegment for Led {
///     type Error = std::num::ParseIntError;
///
///     fn from_segment(text: &str) -> Result<Self, Self::Error> {
///         text.parse().map(Led)
///     }
/// }
/// ```
pub trait FromSegment: Sized {
    /// Why the text is not one, for people.
    type Error: Display;

    /// Reads the decoded text.
    ///
    /// # Errors
    /// If it is not one.
    fn from_segment(text: &str) -> Result<Self, Self::Error>;
}

/// Reads all captures: what `Path<T>` can be made of.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be made of the captures of a path",
    note = "take one `FromSegment` value, a tuple of up to six, `Vec<String>`, or a map of `String` to `String`"
)]
pub trait FromPath: Sized {
    /// Reads them.
    ///
    /// # Errors
    /// The [`Rejection`] to answer with.
    fn from_path(captures: &PathCaptures<'_>) -> Result<Self, Rejection>;
}

/// The captures of a path with their names.
#[derive(Clone, Debug)]
pub struct PathCaptures<'r> {
    captures: Vec<Capture<'r>>,
}

#[derive(Clone, Debug)]
struct Capture<'r> {
    name: &'r str,
    /// Several only of a wildcard.
    segments: Vec<&'r str>,
}

impl<'r> PathCaptures<'r> {
    fn of(request: &'r Request) -> Result<PathCaptures<'r>, Rejection> {
        let pattern = request
            .matched()
            .and_then(|matched| matched.table.any_pattern(matched.hit));
        let segments = pattern.map(Pattern::segments).unwrap_or_default();
        let mut path = request.options.as_options().path();
        let mut captures = Vec::new();
        for segment in segments {
            let (name, values) = match segment {
                Segment::Literal(_) => {
                    path.next();
                    continue;
                }
                Segment::Capture(name) => (name, path.next().into_iter().collect()),
                Segment::Rest(name) => (name, path.by_ref().collect::<Vec<_>>()),
            };
            // The router has refused what is not UTF-8; a layer may have put something else there.
            let texts = values.into_iter().map(|value| std::str::from_utf8(value).ok());
            let segments = texts.collect::<Option<Vec<_>>>().ok_or(Rejection::NotFound)?;
            captures.push(Capture { name, segments });
        }
        Ok(PathCaptures { captures })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.captures.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.captures.is_empty()
    }

    /// Names and texts in their order; the text of a wildcard is joined by slashes.
    ///
    /// # Errors
    /// If a segment of a wildcard holds a slash.
    pub fn iter(&self) -> impl Iterator<Item = Result<(&'r str, String), Rejection>> + '_ {
        self.captures
            .iter()
            .map(|capture| Ok((capture.name, capture.text()?)))
    }

    /// Reads the capture at a place, counted from 0.
    ///
    /// # Errors
    /// If it does not read as a `T`, or if there is no such capture.
    pub fn get<T: FromSegment>(&self, at: usize) -> Result<T, Rejection> {
        let missing = Rejection::Captures {
            wanted: at + 1,
            found: self.captures.len(),
        };
        self.captures.get(at).ok_or(missing)?.read()
    }

    /// Refuses to be read as another number of values.
    fn expect(&self, wanted: usize) -> Result<(), Rejection> {
        let found = self.captures.len();
        if found == wanted {
            Ok(())
        } else {
            Err(Rejection::Captures { wanted, found })
        }
    }
}

impl Capture<'_> {
    fn text(&self) -> Result<String, Rejection> {
        if self.segments.iter().any(|segment| segment.contains('/')) {
            return Err(self.refuse("a segment holds a slash"));
        }
        Ok(self.segments.join("/"))
    }

    fn read<T: FromSegment>(&self) -> Result<T, Rejection> {
        let read = match self.segments[..] {
            [segment] => T::from_segment(segment),
            _ => T::from_segment(&self.text()?),
        };
        read.map_err(|error| self.refuse(error))
    }

    fn refuse(&self, reason: impl Display) -> Rejection {
        Rejection::Path {
            name: self.name.into(),
            reason: reason.to_string(),
        }
    }
}

impl<S: Sync, T: FromPath> FromRequest<S> for Path<T> {
    type Rejection = Rejection;

    fn is_at_hand(_: &Request) -> bool {
        true
    }

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Rejection> {
        T::from_path(&PathCaptures::of(request)?).map(Path)
    }
}

macro_rules! segments {
    ($($type:ty),*) => {$(
        impl FromSegment for $type {
            type Error = <$type as std::str::FromStr>::Err;

            fn from_segment(text: &str) -> Result<Self, Self::Error> {
                text.parse()
            }
        }
    )*};
}

segments!(
    u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64, bool, char
);
segments!(IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr);

impl FromSegment for String {
    type Error = Infallible;

    fn from_segment(text: &str) -> Result<Self, Infallible> {
        Ok(text.into())
    }
}

impl<T: FromSegment> FromPath for T {
    fn from_path(captures: &PathCaptures<'_>) -> Result<Self, Rejection> {
        captures.expect(1)?;
        captures.get(0)
    }
}

macro_rules! tuples {
    ($($count:literal: $($T:ident $at:literal),*;)*) => {$(
        impl<$($T: FromSegment),*> FromPath for ($($T,)*) {
            fn from_path(captures: &PathCaptures<'_>) -> Result<Self, Rejection> {
                captures.expect($count)?;
                Ok(($(captures.get::<$T>($at)?,)*))
            }
        }
    )*};
}

tuples! {
    1: A 0;
    2: A 0, B 1;
    3: A 0, B 1, C 2;
    4: A 0, B 1, C 2, D 3;
    5: A 0, B 1, C 2, D 3, E 4;
    6: A 0, B 1, C 2, D 3, E 4, F 5;
}

/// All captured segments, those of a wildcard one by one.
impl FromPath for Vec<String> {
    fn from_path(captures: &PathCaptures<'_>) -> Result<Self, Rejection> {
        let segments = captures.captures.iter().flat_map(|capture| &capture.segments);
        Ok(segments.map(|segment| (*segment).to_owned()).collect())
    }
}

macro_rules! maps {
    ($($map:ident),*) => {$(
        impl FromPath for $map<String, String> {
            fn from_path(captures: &PathCaptures<'_>) -> Result<Self, Rejection> {
                captures.iter().map(|capture| capture.map(|(name, text)| (name.to_owned(), text))).collect()
            }
        }
    )*};
}

maps!(HashMap, BTreeMap);
