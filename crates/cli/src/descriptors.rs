//! How many sockets and files the program may have open.

/// Asks for room for so many sockets; with `None` for as many as the system lets this user have. How many sockets and files
/// there may be now, if that has a bound.
#[cfg(unix)]
pub(crate) fn allow(sockets: Option<u64>) -> Option<u64> {
    use rustix::process::{Resource, getrlimit, setrlimit};

    let mut limit = getrlimit(Resource::Nofile);
    let wanted = match (sockets, limit.maximum) {
        // The rest is for what the program has open beside them.
        (Some(sockets), maximum) => maximum.unwrap_or(u64::MAX).min(sockets + 1000),
        (None, Some(maximum)) => maximum,
        (None, None) => return None,
    };
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(wanted);
        // If it does not work, what needs a socket tells.
        let _ = setrlimit(Resource::Nofile, limit);
    }
    getrlimit(Resource::Nofile).current
}

/// Other systems have no such limit.
#[cfg(not(unix))]
pub(crate) fn allow(_: Option<u64>) -> Option<u64> {
    None
}
