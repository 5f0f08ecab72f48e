//! The cases of the CoAP plugtests; their texts stand in `data/plugtests.json`.

mod block_client;
mod block_server;
pub(super) mod client_blocks;
mod client_steps;
mod core_client;
mod core_server;
mod dtls_client;
mod dtls_server;
mod link_client;
mod link_server;
mod obs_client;
mod obs_server;
mod server_steps;

use crate::case::Case;

/// All that are judged.
pub(super) fn cases() -> Vec<Case> {
    [
        core_server::CASES,
        block_server::CASES,
        obs_server::CASES,
        link_server::CASES,
        dtls_server::CASES,
        core_client::CASES,
        block_client::CASES,
        obs_client::CASES,
        link_client::CASES,
        dtls_client::CASES,
    ]
    .concat()
}
