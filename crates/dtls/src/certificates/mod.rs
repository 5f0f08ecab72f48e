//! Who a certificate or a raw public key belongs to, and whether it is trusted.
