//! Interoperability with other CoAP implementations by all transports, on loopback and in both directions.
//!
//! `.ci/peers` installs the peers. A peer that is not there is reported as skipped and its tests pass,
//! unless `COAP_INTEROP=required` says that every peer has to be there. `COAP_INTEROP_PROGRAM` names another
//! build of the program to test. `docs/interop.md` tells what each peer can do and where it departs from the
//! RFCs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod aiocoap;
mod browser;
mod capture;
mod connections;
mod dtls;
mod libcoap;
mod node;
mod peers;
mod process;
mod program;
mod suite;
