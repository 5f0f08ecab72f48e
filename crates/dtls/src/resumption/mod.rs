//! Sessions that are taken up again: by session ID (RFC 5246 §7.3) and by ticket (RFC 5077).
