//! Payloads that mean nothing, and ETags (§5.5, §5.10.6).

use coracle_wire::{OptionNumber, Status};

use super::steps::{RIGHT, WRONG, not_taken};
use crate::case::{Case, client};
use crate::host::Host;
use crate::template::Stimulus;
use crate::verdict::Judged;

/// The cases.
pub(super) const CASES: &[Case] = &[
    client(
        "RFC7252-5.5-payload-of-valid",
        "RFC 7252 §5.5, §5.9.1.3",
        "The payload of 2.03, which has none, is ignored",
        payload_of_valid,
    )
    .steps(&[
        "The client is told to GET with an ETag, and gets 2.03 with that ETag and a payload.",
        "It does not show the payload.",
    ]),
    client(
        "RFC7252-5.10.6-etag-opaque",
        "RFC 7252 §5.10.6",
        "An ETag is given back byte for byte",
        etag_opaque,
    )
    .within(60)
    .steps(&[
        "The client is told to GET with ETags of one to eight bytes, among them zeros and no text.",
        "Each comes as it was told.",
    ]),
];

fn payload_of_valid(host: &mut Host) -> Judged {
    let request = host.provoke(&Stimulus::get("/validate").with("etag", "0e01"))?;
    request.has(OptionNumber::ETAG)?;
    let response = host.separate_to(&request, Status::VALID);
    let response = response.etag(b"\x0e\x01").payload(WRONG.as_bytes());
    host.deliver(&request, &response)?;
    host.finish()?;
    not_taken(host, "RFC 7252 §5.5")
}

fn etag_opaque(host: &mut Host) -> Judged {
    let etags: [(&str, &[u8]); 4] = [
        ("00", b"\0"),
        ("0000ff", b"\0\0\xff"),
        ("22410a5c", b"\"A\n\\"),
        ("0001020304050600", b"\0\x01\x02\x03\x04\x05\x06\0"),
    ];
    for (told, etag) in etags {
        let request = host.provoke(&Stimulus::get("/validate").with("etag", told))?;
        let options = request.options.as_options();
        let same = options.get_all(OptionNumber::ETAG).eq([etag]);
        request.expect(same, format!("ETag 0x{told}"), None)?;
        host.answer_text(&request, RIGHT);
    }
    Ok(())
}
