//! What the machine tells its owner.
