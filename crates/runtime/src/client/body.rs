//! Bodies of requests: whole in memory, or read as they go.

use std::fmt;
use std::io;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use coracle_engine::StreamedBody;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::error::Error;

/// How much of a body is read at once, in bytes.
const PART: usize = 8 << 10;

/// The body of a request: bytes, or something to read them from while they go, so that the whole is never in memory.
///
/// ```no_run
/// # async fn example(client: coracle_runtime::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let image = std::fs::File::open("image.bin")?;
/// client.put("coap://device/fw").body(image).send().await?;
/// # Ok(())
/// # }
/// ```
pub struct Body(Source);

enum Source {
    Bytes(Bytes),
    Reader(Reader),
}

struct Reader {
    reader: Pin<Box<dyn AsyncRead + Send>>,
    length: Option<u64>,
}

impl Body {
    /// A body that is read while it goes. A server that is told its `length` can refuse it at once (RFC 7959 §4); the
    /// request fails if the reader has less, and what it has more is not sent.
    pub fn from_reader(reader: impl AsyncRead + Send + 'static, length: Option<u64>) -> Body {
        Body(Source::Reader(Reader {
            reader: Box::pin(reader),
            length,
        }))
    }

    /// The whole body, as far as it is in memory.
    pub(crate) fn bytes(&self) -> Bytes {
        match &self.0 {
            Source::Bytes(bytes) => bytes.clone(),
            Source::Reader(_) => Bytes::new(),
        }
    }

    /// What goes with the request, and what is read afterwards.
    pub(crate) fn begin(self) -> (Bytes, Option<Upload>) {
        match self.0 {
            Source::Bytes(bytes) => (bytes, None),
            Source::Reader(reader) => (Bytes::new(), Some(Upload::new(reader))),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Bytes(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            Source::Reader(reader) => write!(f, "Body(reader of {:?} bytes)", reader.length),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Body {
        Body(Source::Bytes(bytes))
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Body {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Body {
        Bytes::from(text).into()
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Body {
        Bytes::from(bytes).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Body {
        Bytes::from(text).into()
    }
}

/// Read from where it stands. Of a regular file the length is what follows from its beginning, so open it anew.
impl From<std::fs::File> for Body {
    fn from(file: std::fs::File) -> Body {
        let regular = file.metadata().ok().filter(std::fs::Metadata::is_file);
        let length = regular.map(|metadata| metadata.len());
        Body::from_reader(tokio::fs::File::from_std(file), length)
    }
}

/// As of other readers, the length is not known; see [`Body::from_reader`].
impl From<tokio::fs::File> for Body {
    fn from(file: tokio::fs::File) -> Body {
        Body::from_reader(file, None)
    }
}

/// A body that is being read.
pub(crate) struct Upload {
    reader: Pin<Box<dyn AsyncRead + Send>>,
    length: Option<u64>,
    given: u64,
    /// The first part, until the second is wanted: should nobody be at an address, it is given to the next one.
    first: Option<(Bytes, bool)>,
}

impl Upload {
    fn new(Reader { reader, length }: Reader) -> Upload {
        Upload {
            reader,
            length,
            given: 0,
            first: None,
        }
    }

    /// What is known of it before it goes.
    pub(crate) fn announced(&self) -> StreamedBody {
        StreamedBody { total: self.length }
    }

    /// Begins again, for another address, which is possible as long as only the first part was given.
    pub(crate) fn begins_again(&self) -> bool {
        self.given == 0 || self.first.is_some()
    }

    /// The first part.
    pub(crate) async fn first(&mut self) -> Result<(Bytes, bool), Error> {
        if self.first.is_none() {
            self.first = Some(self.read().await?);
        }
        Ok(self.first.clone().unwrap_or_default())
    }

    /// The next part, and whether more follow.
    pub(crate) async fn next(&mut self) -> Result<(Bytes, bool), Error> {
        self.first = None;
        self.read().await
    }

    async fn read(&mut self) -> Result<(Bytes, bool), Error> {
        let left = self.length.map_or(u64::MAX, |length| length - self.given);
        let wanted = usize::try_from(left).unwrap_or(PART).min(PART);
        let mut part = BytesMut::with_capacity(wanted);
        while part.len() < wanted {
            let mut rest = (&mut self.reader).take((wanted - part.len()) as u64);
            if rest.read_buf(&mut part).await.map_err(Error::Body)? == 0 {
                break;
            }
        }
        let ended = part.len() < wanted;
        if ended && self.length.is_some() {
            let short = io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the body is shorter than it was said to be",
            );
            return Err(Error::Body(short));
        }
        self.given += part.len() as u64;
        let more = !ended && self.length != Some(self.given);
        Ok((part.freeze(), more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &'static [u8], length: Option<u64>) -> Result<Vec<(usize, bool)>, Error> {
        let (_, upload) = Body::from_reader(bytes, length).begin();
        let mut upload = upload.unwrap();
        let (first, mut more) = upload.first().await?;
        let mut parts = vec![(first.len(), more)];
        while more {
            let (part, goes_on) = upload.next().await?;
            parts.push((part.len(), goes_on));
            more = goes_on;
        }
        Ok(parts)
    }

    #[tokio::test]
    async fn parts_are_full_until_the_last_one() {
        static BODY: [u8; 2 * PART] = [b'x'; 2 * PART];
        assert_eq!(read(b"", None).await.unwrap(), [(0, false)]);
        assert_eq!(read(b"", Some(0)).await.unwrap(), [(0, false)]);
        assert_eq!(read(b"abc", None).await.unwrap(), [(3, false)]);
        assert_eq!(read(b"abc", Some(3)).await.unwrap(), [(3, false)]);
        assert_eq!(read(b"abcd", Some(3)).await.unwrap(), [(3, false)]);
        let whole = Some(BODY.len() as u64);
        assert_eq!(read(&BODY, whole).await.unwrap(), [(PART, true), (PART, false)]);
        assert_eq!(
            read(&BODY, None).await.unwrap(),
            [(PART, true), (PART, true), (0, false)]
        );
    }

    #[tokio::test]
    async fn a_body_that_turns_out_shorter_is_an_error() {
        assert!(matches!(read(b"abc", Some(4)).await, Err(Error::Body(_))));
    }

    #[tokio::test]
    async fn the_first_part_is_there_for_a_second_address() {
        let (_, upload) = Body::from_reader(&[b'x'; 3 * PART][..], None).begin();
        let mut upload = upload.unwrap();
        assert!(upload.begins_again());
        let first = upload.first().await.unwrap();
        assert!(upload.begins_again());
        assert_eq!(upload.first().await.unwrap(), first);
        upload.next().await.unwrap();
        assert!(!upload.begins_again());
    }
}
