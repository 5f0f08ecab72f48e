//! Flights and the states between them (RFC 6347 §4.2.4).
