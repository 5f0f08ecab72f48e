//! §5.10.6, §5.10.8, §5.9.1.3: If-Match, If-None-Match and ETag.

use coracle_wire::{OptionNumber, Status};

use super::created::{create, remove};
use crate::case::{Case, server};
use crate::message::{Message, Received};
use crate::probe::Probe;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    server(
        "RFC7252-5.10.8-if-match-of-get",
        "RFC 7252 §5.10.8, §5.10.8.1",
        "A GET with an If-Match that does not match is not performed",
        if_match_of_get,
    )
    .anywhere()
    .steps(&[
        "GET a resource with If-Match of 8 bytes that are no ETag of it",
        "4.12 comes, or 4.02; not 2.xx",
    ]),
    server(
        "RFC7252-5.10.8.1-if-match-wrong",
        "RFC 7252 §5.10.8, §5.10.8.1",
        "A PUT with an If-Match that does not match changes nothing: 4.12",
        if_match_wrong,
    )
    .anywhere()
    .needs(&["/validate"])
    .locks(&["/validate"])
    .steps(&[
        "PUT /validate with one and with two ETags that are not its own",
        "4.12 comes each time, and GET gives the same as before",
    ]),
    server(
        "RFC7252-5.10.8.1-if-match-of-delete",
        "RFC 7252 §5.10.8, §5.10.8.1",
        "A DELETE with an If-Match that does not match deletes nothing: 4.12",
        if_match_of_delete,
    )
    .anywhere()
    .locks(&["/create1"])
    .steps(&[
        "Make /create1, and DELETE it with an ETag that is not its own",
        "4.12 comes, and it is still there",
    ]),
    server(
        "RFC7252-5.10.8.1-if-match-right",
        "RFC 7252 §5.10.8, §5.10.8.1",
        "A PUT is performed if one of its If-Match has the ETag",
        if_match_right,
    )
    .anywhere()
    .needs(&["/validate"])
    .locks(&["/validate"])
    .steps(&[
        "PUT /validate with a wrong ETag and the right one, in both orders",
        "2.04 comes each time, and the value is new",
    ]),
    server(
        "RFC7252-5.10.8.1-if-match-exact",
        "RFC 7252 §5.10.8.1, §5.10.6",
        "An If-Match has to be the exact ETag: a part of it does not match",
        if_match_exact,
    )
    .anywhere()
    .needs(&["/validate"])
    .locks(&["/validate"])
    .steps(&[
        "PUT /validate with the ETag less its last byte, or with another last byte",
        "4.12 comes",
    ]),
    server(
        "RFC7252-5.10.8.1-if-match-empty",
        "RFC 7252 §5.10.8, §5.10.8.1",
        "An empty If-Match asks that there is something: else 4.12, and nothing is made",
        if_match_empty,
    )
    .anywhere()
    .locks(&["/create1"])
    .steps(&[
        "PUT /create1 with an empty If-Match while it is not there",
        "4.12 comes, and it is still not there",
        "Make it, and PUT again with an empty If-Match",
        "2.04 comes",
    ]),
    server(
        "RFC7252-5.10.8.2-if-none-match",
        "RFC 7252 §5.10.8, §5.10.8.2",
        "If-None-Match asks that there is nothing: else 4.12, and nothing is changed",
        if_none_match,
    )
    .anywhere()
    .locks(&["/create1"])
    .steps(&[
        "PUT /create1 with If-None-Match while it is not there",
        "2.01 comes",
        "PUT again with If-None-Match and another payload",
        "4.12 comes, and GET gives the first payload",
    ]),
    server(
        "RFC7252-5.10.8-never-fulfilled",
        "RFC 7252 §5.10.8, §5.10.8.2",
        "If-Match and If-None-Match together are never fulfilled",
        never_fulfilled,
    )
    .anywhere()
    .locks(&["/create1"])
    .steps(&[
        "PUT /create1 with an empty If-Match and If-None-Match, while it is there and while it is not",
        "4.12 comes both times",
    ]),
    server(
        "RFC7252-5.9.1.3-valid",
        "RFC 7252 §5.9.1.3, §5.10.6.2",
        "2.03 has the ETag that is valid, and no payload",
        valid,
    )
    .anywhere()
    .needs(&["/validate"])
    .shares(&["/validate"])
    .steps(&[
        "GET /validate",
        "GET it again with its ETag",
        "2.03 comes with this ETag and without payload",
    ]),
    server(
        "RFC7252-5.10.6.2-one-of-several-etags",
        "RFC 7252 §5.10.6.2, §5.9.1.3",
        "Of several ETags in a request, 2.03 names the one that is valid",
        one_of_several_etags,
    )
    .anywhere()
    .needs(&["/validate"])
    .shares(&["/validate"])
    .steps(&[
        "GET /validate with two wrong ETags before and behind the right one",
        "2.03 has only the right one",
    ]),
    server(
        "RFC7252-5.10.6-etag-opaque",
        "RFC 7252 §5.10.6, §5.10.6.2",
        "An ETag is compared as a whole: what only resembles it is not valid",
        etag_opaque,
    )
    .anywhere()
    .needs(&["/validate"])
    .shares(&["/validate"])
    .steps(&[
        "GET /validate with an ETag of which a byte is missing, added or changed",
        "2.05 comes with the payload",
    ]),
    server(
        "RFC7252-5.10.6.1-etag-once",
        "RFC 7252 §5.10.6.1, §5.10",
        "A response has at most one ETag, of 1 to 8 bytes",
        etag_once,
    )
    .anywhere()
    .needs(&["/validate"])
    .shares(&["/validate"])
    .steps(&[
        "GET /validate without and with ETags",
        "No response has more than one, and all are of 1 to 8 bytes",
    ]),
];

/// Something that is no ETag of any resource, if they are not made to be found by chance.
const WRONG: &[u8] = b"\x5anoetag\xa5";
const WRONG_TOO: &[u8] = b"\x00";

fn if_match_of_get(probe: &mut Probe) -> Judged {
    let target = probe.target().to_owned();
    let get = probe.get(&target).option(OptionNumber::IF_MATCH, WRONG);
    // 4.02 from a server for which If-Match is none of the options of GET (§5.4).
    probe
        .ask(&get)?
        .code_in(&[Status::PRECONDITION_FAILED, Status::BAD_OPTION])?;
    Ok(())
}

/// The representation of `/validate`, with its ETag.
fn tagged(probe: &mut Probe) -> Judged<(Received, Vec<u8>)> {
    let get = probe.get("/validate");
    let answer = probe.ask(&get)?;
    answer.code(Status::CONTENT)?;
    match answer.first_etag() {
        Some(etag) => Ok((answer, etag)),
        None => Err(Stop::Skip("the server has no ETag at /validate".to_owned())),
    }
}

/// The request is answered 4.12.
fn failed(probe: &mut Probe, request: &Message) -> Judged {
    may_be_changed(probe.ask(request)?)?.code(Status::PRECONDITION_FAILED)?;
    Ok(())
}

/// A server need not let everybody change a resource, nor know conditions, which it then refuses as critical options.
fn may_be_changed(answer: Received) -> Judged<Received> {
    match answer.status() {
        Some(Status::METHOD_NOT_ALLOWED | Status::FORBIDDEN | Status::UNAUTHORIZED) => {
            Err(Stop::Skip("the server does not let this be changed".to_owned()))
        }
        Some(Status::BAD_OPTION) => Err(Stop::Skip("the server knows no conditions".to_owned())),
        _ => Ok(answer),
    }
}

fn if_match_wrong(probe: &mut Probe) -> Judged {
    let get = probe.get("/validate");
    let before = probe.ask(&get)?;
    before.code(Status::CONTENT)?;
    for others in [&[WRONG][..], &[WRONG_TOO, WRONG]] {
        let put = probe.put("/validate", "lost update");
        let put = others
            .iter()
            .fold(put, |put, etag| put.option(OptionNumber::IF_MATCH, etag));
        let answer = probe.ask(&put)?;
        let get = probe.get("/validate");
        probe
            .ask(&get)?
            .code(Status::CONTENT)?
            .payload_is(&before.payload)?;
        may_be_changed(answer)?.code(Status::PRECONDITION_FAILED)?;
    }
    Ok(())
}

fn if_match_of_delete(probe: &mut Probe) -> Judged {
    create(probe)?;
    let delete = probe.delete("/create1").option(OptionNumber::IF_MATCH, WRONG);
    let answer = probe.ask(&delete)?;
    let get = probe.get("/create1");
    let still = probe.ask(&get)?;
    still.code(Status::CONTENT)?;
    may_be_changed(answer)?.code(Status::PRECONDITION_FAILED)?;
    remove(probe)
}

/// A value that was not there before.
fn new_value(probe: &mut Probe) -> String {
    probe.fresh_token().escape_ascii().to_string()
}

fn if_match_right(probe: &mut Probe) -> Judged {
    for right_first in [true, false] {
        let (_, etag) = tagged(probe)?;
        let value = new_value(probe);
        let both = if right_first {
            [&etag[..], WRONG]
        } else {
            [WRONG, &etag]
        };
        let put = probe.put("/validate", &value);
        let put = both
            .iter()
            .fold(put, |put, etag| put.option(OptionNumber::IF_MATCH, etag));
        may_be_changed(probe.ask(&put)?)?.code_in(&[Status::CHANGED, Status::CREATED])?;
        let get = probe.get("/validate");
        probe
            .ask(&get)?
            .code(Status::CONTENT)?
            .payload_is(value.as_bytes())?;
    }
    Ok(())
}

/// What resembles an ETag: shorter, longer, and with another last byte.
fn resembling(etag: &[u8]) -> Vec<Vec<u8>> {
    let mut resembling = Vec::new();
    if let Some((last, rest)) = etag.split_last() {
        resembling.push([rest, &[last ^ 1]].concat());
        if !rest.is_empty() {
            resembling.push(rest.to_vec());
        }
    }
    for longer in [[etag, b"\x00"].concat(), [b"\x00", etag].concat()] {
        if longer.len() <= 8 {
            resembling.push(longer);
        }
    }
    resembling
}

fn if_match_exact(probe: &mut Probe) -> Judged {
    let (before, etag) = tagged(probe)?;
    for wrong in resembling(&etag) {
        let put = probe
            .put("/validate", "lost update")
            .option(OptionNumber::IF_MATCH, &wrong);
        failed(probe, &put)?;
    }
    let get = probe.get("/validate");
    probe
        .ask(&get)?
        .code(Status::CONTENT)?
        .payload_is(&before.payload)?;
    Ok(())
}

fn if_match_empty(probe: &mut Probe) -> Judged {
    remove(probe)?;
    let put = probe.put("/create1", "made").option(OptionNumber::IF_MATCH, b"");
    failed(probe, &put)?;
    let get = probe.get("/create1");
    probe.ask(&get)?.code(Status::NOT_FOUND)?;
    create(probe)?;
    let put = probe
        .put("/create1", "changed")
        .option(OptionNumber::IF_MATCH, b"");
    probe.ask(&put)?.code(Status::CHANGED)?;
    remove(probe)
}

fn if_none_match(probe: &mut Probe) -> Judged {
    remove(probe)?;
    let put = probe
        .put("/create1", "first")
        .option(OptionNumber::IF_NONE_MATCH, b"");
    may_be_changed(probe.ask(&put)?)?.code(Status::CREATED)?;
    let put = probe
        .put("/create1", "second")
        .option(OptionNumber::IF_NONE_MATCH, b"");
    failed(probe, &put)?;
    let get = probe.get("/create1");
    probe.ask(&get)?.code(Status::CONTENT)?.payload_is(b"first")?;
    remove(probe)
}

fn never_fulfilled(probe: &mut Probe) -> Judged {
    remove(probe)?;
    for there in [false, true] {
        if there {
            create(probe)?;
        }
        let put = probe.put("/create1", "never").option(OptionNumber::IF_MATCH, b"");
        failed(probe, &put.option(OptionNumber::IF_NONE_MATCH, b""))?;
    }
    remove(probe)
}

/// GETs `/validate` with these ETags; a server may leave validation out, which is a SHOULD of §5.8.1.
fn validated(probe: &mut Probe, etags: &[&[u8]]) -> Judged<Received> {
    let get = probe.get("/validate");
    let answer = probe.ask(&etags.iter().fold(get, |get, etag| get.etag(etag)))?;
    if answer.status() == Some(Status::CONTENT) {
        return Err(Stop::Inconclusive(
            "the server does not validate ETags (SHOULD, RFC 7252 §5.8.1)".to_owned(),
        ));
    }
    answer.code(Status::VALID)?;
    Ok(answer)
}

fn is_valid_by(answer: &Received, etag: &[u8]) -> Judged {
    let options = answer.options.as_options();
    let etags: Vec<&[u8]> = options.get_all(OptionNumber::ETAG).collect();
    answer.expect(
        etags == [etag],
        "the ETag that is valid",
        "RFC 7252 §5.9.1.3, §5.10.6.2",
    )?;
    answer.expect(answer.payload.is_empty(), "no payload", "RFC 7252 §5.9.1.3")?;
    Ok(())
}

fn valid(probe: &mut Probe) -> Judged {
    let (_, etag) = tagged(probe)?;
    let answer = validated(probe, &[&etag])?;
    is_valid_by(&answer, &etag)
}

fn one_of_several_etags(probe: &mut Probe) -> Judged {
    let (_, etag) = tagged(probe)?;
    let answer = validated(probe, &[WRONG, &etag, WRONG_TOO])?;
    is_valid_by(&answer, &etag)
}

fn etag_opaque(probe: &mut Probe) -> Judged {
    let (content, etag) = tagged(probe)?;
    for other in resembling(&etag) {
        let get = probe.get("/validate").etag(&other);
        probe
            .ask(&get)?
            .code(Status::CONTENT)?
            .payload_is(&content.payload)?;
    }
    Ok(())
}

fn etag_once(probe: &mut Probe) -> Judged {
    let (content, etag) = tagged(probe)?;
    let get = probe.get("/validate").etag(&etag).etag(WRONG);
    let valid = probe.ask(&get)?;
    let get = probe.get("/validate").etag(WRONG);
    let other = probe.ask(&get)?;
    for answer in [content, valid, other] {
        let options = answer.options.as_options();
        let lengths: Vec<usize> = options.get_all(OptionNumber::ETAG).map(<[u8]>::len).collect();
        answer.expect(lengths.len() <= 1, "one ETag at most", None)?;
        let in_range = lengths.iter().all(|length| (1..=8).contains(length));
        answer.expect(in_range, "an ETag of 1 to 8 bytes", "RFC 7252 §5.10")?;
    }
    Ok(())
}
