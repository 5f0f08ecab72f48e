//! What the owner of the sessions decides.
