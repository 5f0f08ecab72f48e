//! §7.2: the attribute that CoAP adds to links. Links themselves are the matter of RFC 6690.

use coracle_wire::Status;

use crate::case::{Case, server};
use crate::message::Received;
use crate::probe::Probe;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[server(
    "RFC7252-7.2.1-ct",
    "RFC 7252 §7.2.1, §12.3; draft-ietf-core-corr-clar, RFC7252-7.2.1",
    "The attribute ct of a link is there once at most, and holds decimal numbers from 0 to 65535",
    ct,
)
.steps(&[
    "GET /.well-known/core",
    "Each ct is a number, or several with a space between, without a sign and below 65000",
    "No link has two of them",
])];

fn ct(probe: &mut Probe) -> Judged {
    let get = probe.get("/.well-known/core");
    let (answer, body) = probe.fetch_body(&get)?;
    if answer.status() != Some(Status::CONTENT) {
        return Err(Stop::Skip(
            "the server does not offer /.well-known/core".to_owned(),
        ));
    }
    let text = String::from_utf8_lossy(&body);
    let mut count = 0;
    for link in split(&text, ',') {
        let attributes = split(link, ';');
        let values: Vec<&str> = attributes
            .iter()
            .filter_map(|attribute| attribute.trim().strip_prefix("ct="))
            .collect();
        answer.expect(values.len() <= 1, format!("one ct at most in {link}"), None)?;
        for value in values {
            formats(&answer, value)?;
            count += 1;
        }
    }
    if count == 0 {
        return Err(Stop::Skip("the server says no ct of its links".to_owned()));
    }
    Ok(())
}

/// The numbers of one attribute. 65000 and more are for experiments, not for operation (§12.3).
fn formats(answer: &Received, value: &str) -> Judged {
    for number in value.trim_matches('"').split(' ') {
        let digits = number.bytes().all(|byte| byte.is_ascii_digit());
        let format: Option<u16> = number.parse().ok().filter(|_| digits);
        let expected = format!("a Content-Format in ct={value}");
        answer.expect(format.is_some_and(|format| format < 65_000), expected, None)?;
    }
    Ok(())
}

/// Parts of a text between separators, which do not count within a URI or a string in quotes.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut within, mut escaped) = (None, false);
    let outside = move |c: char| {
        let ends = !std::mem::take(&mut escaped) && within == Some(c);
        match (within, c) {
            (Some(_), _) if ends => within = None,
            (Some('"'), '\\') => escaped = true,
            (None, '<') => within = Some('>'),
            (None, '"') => within = Some('"'),
            _ => return within.is_none() && c == separator,
        }
        false
    };
    text.split(outside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_within_uris_and_strings_are_none() {
        let links = r#"</a,b>;title="x\",;y";ct=0,</c;d>;ct="0 41""#;
        let parts = split(links, ',');
        assert_eq!(parts, [r#"</a,b>;title="x\",;y";ct=0"#, r#"</c;d>;ct="0 41""#]);
        assert_eq!(split(r#"</c;d>;ct="0 41""#, ';'), ["</c;d>", r#"ct="0 41""#]);
    }
}
