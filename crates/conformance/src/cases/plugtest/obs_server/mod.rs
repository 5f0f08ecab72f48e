//! TD_COAP_OBS for servers.

mod blocks;
mod changes;
mod ends;
mod losses;
mod values;

use crate::case::{Case, Judge};
use crate::plugtests::plugtest;

/// The cases. Those that only watch `/obs` share it; those that change it, or make the server forget who watches, are
/// alone with it.
pub(super) const CASES: &[Case] = &[
    plugtest("TD_COAP_OBS_01", Judge::Server(values::obs_01))
        .needs(&["/obs"])
        .shares(&["/obs"])
        .within(90),
    plugtest("TD_COAP_OBS_02", Judge::Server(values::obs_02))
        .needs(&["/obs-non"])
        .shares(&["/obs-non"])
        .within(90),
    plugtest("TD_COAP_OBS_04", Judge::Server(ends::obs_04))
        .needs(&["/obs", "/obs-reset"])
        .locks(&[
            "/obs",
            "/obs-non",
            "/obs-large",
            "/obs-pumping",
            "/obs-pumping-non",
        ])
        .within(90),
    plugtest("TD_COAP_OBS_05", Judge::Server(losses::obs_05))
        .needs(&["/obs"])
        .shares(&["/obs"])
        .within(150),
    plugtest("TD_COAP_OBS_06", Judge::Server(ends::obs_06))
        .needs(&["/obs"])
        .shares(&["/obs"])
        .within(90),
    plugtest("TD_COAP_OBS_07", Judge::Server(changes::obs_07))
        .needs(&["/obs"])
        .locks(&["/obs"])
        .within(90),
    plugtest("TD_COAP_OBS_08", Judge::Server(changes::obs_08))
        .needs(&["/obs"])
        .locks(&["/obs"])
        .within(90),
    plugtest("TD_COAP_OBS_09", Judge::Server(changes::obs_09))
        .needs(&["/obs"])
        .locks(&["/obs"])
        .within(90),
    plugtest("TD_COAP_OBS_10", Judge::Server(values::obs_10))
        .needs(&["/obs"])
        .shares(&["/obs"])
        .within(90),
    plugtest("TD_COAP_OBS_11", Judge::Server(losses::obs_11))
        .needs(&["/obs"])
        .shares(&["/obs"])
        .within(120),
    plugtest("TD_COAP_OBS_12", Judge::Server(ends::obs_12))
        .needs(&["/obs"])
        .shares(&["/obs"])
        .within(90),
    plugtest("TD_COAP_OBS_13", Judge::Server(blocks::obs_13))
        .needs(&["/obs-large"])
        .shares(&["/obs-large"])
        .within(90),
    plugtest("TD_COAP_OBS_14", Judge::Server(blocks::obs_14))
        .needs(&["/obs-pumping"])
        .shares(&["/obs-pumping"])
        .within(90),
];
