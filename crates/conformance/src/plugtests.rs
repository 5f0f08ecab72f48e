//! The test descriptions of the CoAP plugtests, as data.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::case::{Case, Judge, Role};

/// A test of the plugtests: what `data/plugtests.json` says about it.
#[derive(Debug, Deserialize)]
pub(crate) struct Description {
    id: &'static str,
    group: &'static str,
    objective: &'static str,
    roles: Vec<&'static str>,
    references: &'static str,
    #[serde(default)]
    config: &'static str,
    #[serde(default)]
    steps: Vec<&'static str>,
}

/// The file has no escape sequences, so that all texts are borrowed from it; a test reads it.
static DESCRIPTIONS: LazyLock<Vec<Description>> =
    LazyLock::new(|| serde_json::from_str(include_str!("../data/plugtests.json")).unwrap_or_default());

/// A case of the plugtests, whose texts stand in the data.
pub(crate) const fn plugtest(id: &'static str, judge: Judge) -> Case {
    Case::new(id, "", "", judge)
}

/// The cases of the plugtests for both roles: those that are judged, with their texts, and a place for the others.
pub(crate) fn cases(judged: &[Case]) -> Vec<Case> {
    DESCRIPTIONS
        .iter()
        .flat_map(|description| of(description, judged))
        .collect()
}

fn of(description: &'static Description, judged: &[Case]) -> Vec<Case> {
    let roles = [
        (Role::Server, ["server", "lwm2m_server", "rd"]),
        (Role::Client, ["client", "lwm2m_client", "client"]),
    ];
    let plays = |names: &[&str]| description.roles.iter().any(|role| names.contains(role));
    let roles = roles
        .iter()
        .filter(|(_, names)| plays(names))
        .map(|(role, _)| *role);
    roles
        .map(|role| {
            let judged = judged
                .iter()
                .find(|case| case.id == description.id && case.role() == role);
            let case = judged.copied().unwrap_or_else(|| {
                Case::new(
                    description.id,
                    "",
                    "",
                    Judge::NotYet(role, waits_for(description)),
                )
            });
            Case {
                plugtest_group: description.group,
                objective: description.objective,
                references: description.references,
                steps: &description.steps,
                ..case
            }
        })
        .collect()
}

/// What has to be built before a test can be judged.
fn waits_for(description: &Description) -> &'static str {
    match (description.group, description.config) {
        (_, "reverse-proxy") => "a reverse proxy",
        ("OSCORE", _) => "OSCORE",
        ("RD", _) => "the resource directory",
        ("LWM2M-1.0" | "LWM2M-1.1" | "IPSO", _) => "LwM2M",
        _ => "a case of ours",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_is_read_whole() {
        assert_eq!(DESCRIPTIONS.len(), 211);
        let core = cases(&[])
            .into_iter()
            .filter(|case| case.id.starts_with("TD_COAP_CORE"))
            .count();
        assert_eq!(core, 60, "30 for each role");
    }
}
