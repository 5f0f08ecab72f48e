//! `/counter/NAME`, by which it is seen from outside how often a request was executed.

use coracle_wire::Status;

use crate::probe::Probe;
use crate::verdict::Judged;

/// The path of a counter that no other case uses, in no run; it is at 0 or not there.
pub(in super::super) fn own_counter(probe: &mut Probe) -> String {
    let name = probe.fresh_token();
    let name = name
        .iter()
        .fold(String::new(), |name, byte| format!("{name}{byte:02x}"));
    format!("/counter/{name}")
}

/// What a counter is at.
pub(in super::super) fn count_of(probe: &mut Probe, path: &str) -> Judged<String> {
    let get = probe.get(path);
    let answer = probe.ask(&get)?;
    answer.code(Status::CONTENT)?;
    Ok(String::from_utf8_lossy(&answer.payload).into_owned())
}
