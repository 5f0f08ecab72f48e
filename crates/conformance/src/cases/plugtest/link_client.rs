//! TD_COAP_LINK for clients.

use coracle_wire::{ContentFormat, Status};

use super::client_steps::{conclude_with, exchange, stimulate};
use crate::case::{Case, Judge};
use crate::host::Host;
use crate::plugtests::plugtest;
use crate::template::Stimulus;
use crate::verdict::Judged;

/// The cases.
pub(super) const CASES: &[Case] = &[
    plugtest("TD_COAP_LINK_01", Judge::Client(link_01)),
    plugtest("TD_COAP_LINK_02", Judge::Client(link_02)),
    plugtest("TD_COAP_LINK_03", Judge::Client(link_03)),
    plugtest("TD_COAP_LINK_04", Judge::Client(link_04)),
    plugtest("TD_COAP_LINK_05", Judge::Client(link_05)),
    plugtest("TD_COAP_LINK_06", Judge::Client(link_06)),
    plugtest("TD_COAP_LINK_07", Judge::Client(link_07)),
    plugtest("TD_COAP_LINK_08", Judge::Client(link_08)),
    plugtest("TD_COAP_LINK_09", Judge::Client(link_09)),
];

/// The client reads links, all or those that a query selects.
fn read(host: &mut Host, target: &str, links: &str) -> Judged {
    let request = stimulate(host, &Stimulus::get(target))?;
    let response = host.response_to(&request, Status::CONTENT);
    let response = response.content(ContentFormat::LINK_FORMAT, links.as_bytes());
    conclude_with(host, &request, &response, links)
}

fn link_01(host: &mut Host) -> Judged {
    let links = "</link1>;rt=\"Type1 Type2\";if=If1,</link2>;rt=\"Type2 Type3\";sz=64,</test>";
    read(host, "/.well-known/core", links)
}

fn link_02(host: &mut Host) -> Judged {
    read(host, "/.well-known/core?rt=Type1", "</link1>;rt=\"Type1 Type2\"")
}

fn link_03(host: &mut Host) -> Judged {
    let links = "</link1>;rt=\"Type1 Type2\",</link2>;rt=\"Type2 Type3\"";
    read(host, "/.well-known/core?rt=*", links)
}

fn link_04(host: &mut Host) -> Judged {
    let links = "</link1>;rt=\"Type1 Type2\",</link2>;rt=\"Type2 Type3\"";
    read(host, "/.well-known/core?rt=Type2", links)
}

fn link_05(host: &mut Host) -> Judged {
    let links = "</link1>;if=If1,</link2>;if=If2";
    read(host, "/.well-known/core?if=If*", links)
}

fn link_06(host: &mut Host) -> Judged {
    read(host, "/.well-known/core?sz=*", "</link2>;sz=64")
}

fn link_07(host: &mut Host) -> Judged {
    read(host, "/.well-known/core?href=/link1", "</link1>;if=If1")
}

fn link_08(host: &mut Host) -> Judged {
    read(
        host,
        "/.well-known/core?href=/link*",
        "</link1>,</link2>,</link3>",
    )
}

fn link_09(host: &mut Host) -> Judged {
    read(host, "/.well-known/core", "</path>;ct=40,</test>")?;
    read(host, "/path", "</path/sub1>,</path/sub2>")?;
    let get = Stimulus::get("/path/sub1");
    exchange(host, &get, Status::CONTENT, "plugtest link 09")?;
    Ok(())
}
