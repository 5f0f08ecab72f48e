//! Established sessions that outlive the process: a sealed, versioned form.
