//! Every bound by name, with its reason.
