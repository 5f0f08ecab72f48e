//! What is said when it starts: where it listens, how to try it, what it serves and who may change it.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use coracle::Bound;
use coracle::wire::Scheme;

use super::access::Access;
use crate::keys::files;

/// What is served, in short.
pub(super) struct Announcement<'a> {
    /// The addresses that are bound.
    pub(super) bound: &'a [Bound],
    /// The certificate, which clients on this machine may have a look at.
    pub(super) cert: Option<&'a Path>,
    /// The folder, if one is served.
    pub(super) folder: Option<&'a Path>,
    /// Who may change what is served.
    pub(super) access: Access,
    /// `--write` was given.
    pub(super) write: bool,
}

impl Announcement<'_> {
    /// The text, beginning with a line for each socket. Programs that start the server read those.
    pub(super) fn text(&self) -> String {
        let mut text = listening(self.bound);
        let base = base(self.bound);
        let trust = self.bound.first().map(|bound| self.trust(bound.scheme));
        let trust = trust.unwrap_or_default();
        match self.folder {
            Some(folder) => self.tell_of_folder(&mut text, folder, (&base, &trust)),
            None => self.tell_of_site(&mut text, (&base, &trust)),
        }
        text
    }

    /// What a client has to say to trust us.
    fn trust(&self, scheme: Scheme) -> String {
        match (scheme, self.cert) {
            (Scheme::CoapsTcp | Scheme::CoapsWs, Some(cert)) => format!(" --cacert {}", files::word(cert)),
            (Scheme::CoapsTcp | Scheme::CoapsWs, None) => " --cacert FILE".to_owned(),
            (Scheme::Coaps, _) => " --psk ID:KEY".to_owned(),
            _ => String::new(),
        }
    }

    /// A command for each of the other transports.
    fn tell_of_transports(&self, text: &mut String, path: &str) {
        let mut told: Vec<Scheme> = self.bound.iter().take(1).map(|bound| bound.scheme).collect();
        for bound in self.bound {
            if !told.contains(&bound.scheme) {
                told.push(bound.scheme);
                let trust = self.trust(bound.scheme);
                let _ = writeln!(text, "  coracle get {}{path}{trust}", base_of(*bound));
            }
        }
    }

    fn tell_of_folder(&self, text: &mut String, folder: &Path, (base, trust): (&str, &str)) {
        let _ = writeln!(
            text,
            "\nTry it in another terminal:\n  coracle get {base}/{trust}\n  coracle get {base}/NAME -o FILE{trust}"
        );
        if self.access == Access::Write {
            let _ = writeln!(text, "  coracle put {base}/NAME -d @FILE{trust}");
        }
        self.tell_of_transports(text, "/");
        let _ = write!(text, "\nServing the files of {}, ", folder.display());
        text.push_str(match self.access {
            Access::Write => "which peers may change and delete (--write).",
            Access::ReadOnly => "which peers may read only; --write lets them change and delete files.",
        });
    }

    fn tell_of_site(&self, text: &mut String, (base, trust): (&str, &str)) {
        let _ = write!(
            text,
            "\nTry it in another terminal:
  coracle get {base}/hello{trust}
  coracle observe {base}/clock{trust}
  coracle discover {base}{trust}\n"
        );
        if self.access == Access::Write {
            let _ = writeln!(text, "  coracle put {base}/store/greeting 'hello'{trust}");
        }
        self.tell_of_transports(text, "/hello");
        text.push_str("\nServing /hello, /clock, /store, /echo, /separate and /large. ");
        text.push_str(match (self.access, self.write) {
            (Access::Write, true) => "Peers may change the store (--write).",
            (Access::Write, false) => "Peers may change the store: all addresses are on this machine.",
            (Access::ReadOnly, _) => {
                "The store is read-only, because other machines may reach it; --write lets them change it."
            }
        });
    }
}

/// A line for each socket, with its URI.
pub(crate) fn listening(bound: &[Bound]) -> String {
    let mut text = String::new();
    for bound in bound {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "listening on {bound}");
    }
    text
}

/// A URI of the first of these addresses for a client on this machine.
pub(crate) fn base(bound: &[Bound]) -> String {
    bound.first().copied().map(base_of).unwrap_or_default()
}

fn base_of(bound: Bound) -> String {
    let Bound { scheme, address, .. } = bound;
    let host = match address {
        SocketAddr::V4(address) if address.ip().is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
        SocketAddr::V6(address) if address.ip().is_unspecified() => format!("[{}]", Ipv6Addr::LOCALHOST),
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    };
    match address.port() == scheme.default_port() {
        true => format!("{scheme}://{host}"),
        false => format!("{scheme}://{host}:{}", address.port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(uris: &[&str], folder: Option<&str>, access: Access, write: bool) -> String {
        let bound: Vec<Bound> = uris.iter().map(|uri| bound(uri)).collect();
        let folder = folder.map(Path::new);
        let announcement = Announcement {
            bound: &bound,
            cert: Some(Path::new("my cert.pem")),
            folder,
            access,
            write,
        };
        announcement.text()
    }

    fn bound(uri: &str) -> Bound {
        let (scheme, address) = uri.split_once("://").unwrap();
        let named = |known: &Scheme| known.as_str() == scheme;
        Bound {
            scheme: Scheme::ALL.into_iter().find(named).unwrap(),
            address: address.parse().unwrap(),
        }
    }

    #[test]
    fn each_socket_has_its_line_with_its_port() {
        let text = text(
            &["coap://127.0.0.1:5683", "coap://[::1]:49152"],
            None,
            Access::Write,
            false,
        );
        let expected = "listening on coap://127.0.0.1:5683\nlistening on coap://[::1]:49152\n\nTry it";
        assert!(text.starts_with(expected), "{text}");
        assert!(
            text.contains("  coracle put coap://127.0.0.1/store/greeting 'hello'\n"),
            "{text}"
        );
        assert!(text.ends_with("all addresses are on this machine."), "{text}");
        assert!(!text.contains("coap+"), "{text}");
    }

    #[test]
    fn each_transport_has_a_command_to_try_it() {
        let uris = [
            "coap://127.0.0.1:5683",
            "coap+tcp://127.0.0.1:5683",
            "coap+tcp://[::1]:5683",
            "coap+ws://127.0.0.1:8683",
            "coaps+tcp://127.0.0.1:5684",
        ];
        let text = text(&uris, None, Access::Write, false);
        let tried: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("  coracle get "))
            .collect();
        let expected = [
            "coap://127.0.0.1/hello",
            "coap+tcp://127.0.0.1/hello",
            "coap+ws://127.0.0.1:8683/hello",
            "coaps+tcp://127.0.0.1/hello --cacert 'my cert.pem'",
        ];
        assert_eq!(tried, expected);
    }

    #[test]
    fn a_server_that_others_reach_says_what_they_may() {
        let reader = text(&["coap://0.0.0.0:5684"], None, Access::ReadOnly, false);
        assert!(
            reader.contains("coracle get coap://127.0.0.1:5684/hello\n"),
            "{reader}"
        );
        assert!(!reader.contains("coracle put"), "{reader}");
        assert!(reader.contains("--write lets them change it"), "{reader}");
        let writer = text(&["coap://[::]:5683"], Some("/srv/x"), Access::Write, true);
        assert!(writer.contains("coracle put coap://[::1]/NAME"), "{writer}");
        assert!(
            writer.contains("the files of /srv/x, which peers may change"),
            "{writer}"
        );
    }
}
