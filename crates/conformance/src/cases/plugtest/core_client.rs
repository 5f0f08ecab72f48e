//! TD_COAP_CORE for clients.

use coracle_wire::Method;

use crate::case::{Case, Judge};
use crate::host::Host;
use crate::plugtests::plugtest;
use crate::template::Stimulus;
use crate::verdict::Judged;

/// The cases.
pub(super) const CASES: &[Case] = &[plugtest("TD_COAP_CORE_01", Judge::Client(core_01))];

fn core_01(host: &mut Host) -> Judged {
    host.start(&Stimulus::get("/test"))?;
    let request = host.request()?;
    request.is_request(Method::GET)?;
    request.expect(request.is_con(), "a confirmable request", None)?;
    request.expect(request.uri_path() == "/test", "Uri-Path /test", None)?;
    host.answer_text(&request, "plugtest 01");
    host.finish()?;
    host.expect_shown("plugtest 01")
}
