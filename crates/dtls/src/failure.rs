//! Why a handshake or a session ended, in words that a user can act on.
