//! `credentials.toml`: what is read, what is wrong and where, who may do what, and what happens when it changes.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::time::Duration;

use coracle_router::{Certificate, Identity, Notifier, Request, Response, Router, State, any, get};
use coracle_runtime::{Credentials, CredentialsError};
use coracle_wire::{Method, OptionNumber, Status};
use tempfile::TempDir;

/// A folder with a certificate, its key, and a raw public key.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = rcgen::KeyPair::generate().unwrap();
    for (name, text) in [
        ("cert.pem", own.cert.pem()),
        ("key.pem", own.signing_key.serialize_pem()),
        ("public.pem", own.signing_key.public_key_pem()),
        ("other-key.pem", other.serialize_pem()),
        ("empty.pem", String::new()),
        (
            "broken.pem",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_owned(),
        ),
    ] {
        write(&folder, name, &text);
    }
    folder
}

fn write(folder: &TempDir, name: &str, text: &str) {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

fn read(folder: &TempDir, text: &str) -> Result<Credentials, CredentialsError> {
    write(folder, "credentials.toml", text);
    Credentials::from_file(folder.path().join("credentials.toml"))
}

const GOOD: &str = r#"
[own]
certificate = "cert.pem"
key = "key.pem"
raw-key = "other-key.pem"
psk-hint = "site 7"

[trust]
authorities = ["cert.pem"]
clients = "optional"

[[psk]]
identity = "meter-7"
key = "0x000102030405060708090a0b0c0d0e0f"
allow = ["GET /sensors/**", "PUT,POST /led/*"]

[[psk]]
identity = "0xff00"
key = "correct horse battery staple"

[[raw-public-key]]
file = "public.pem"
allow = "GET"

[[certificate]]
name = "*.sensors.example"
allow = ["POST /reports"]

[anonymous]
allow = ["GET /public/**"]

[[client]]
uri = "coaps://*.example"
identity = "gateway"
key = "a long secret of many bytes"

[[client]]
uri = "*"
certificate = "cert.pem"
certificate-key = "key.pem"
authorities = "cert.pem"
trusted-keys = ["public.pem"]
"#;

#[test]
fn all_that_can_stand_in_a_file_is_read() {
    let credentials = read(&folder(), GOOD).unwrap();
    assert_eq!(credentials.warnings(), [""; 0]);
    let shown = format!("{credentials:?}");
    assert!(shown.contains("psks: 2") && !shown.contains("horse"), "{shown}");
    assert!(read(&folder(), "").is_ok());
}

/// A file, the line of the error, and a part of what is told. No error may show the secret, wherever it stands.
const BAD: &[(&str, usize, &str)] = &[
    // What is no TOML.
    ("[own", 1, "not TOML"),
    ("\n[[psk]]\nidentity = meter", 3, "not TOML"),
    (
        "[[psk]]\nidentity = \"a\"\nkey = \"quick-brown-fox-secret",
        3,
        "not TOML",
    ),
    ("[[psk]]\nkey = quick-brown-fox-secret", 2, "not TOML"),
    ("[own]\n[own]", 2, "not TOML"),
    (
        "[[psk]]\nkey = \"quick-brown-fox-secret\"\nkey = \"b\"",
        3,
        "not TOML",
    ),
    ("quick-brown-fox-secret", 1, "not TOML"),
    // Unknown entries.
    ("[onw]", 1, "known are: own, trust"),
    ("[[psk]]\nidentiy = \"a\"", 2, "known are: identity, key, allow"),
    ("[[psk]]\n\"quick-brown-fox-secret\" = \"a\"", 2, "known are"),
    ("[anonymous]\nallowed = []", 2, "known are: allow"),
    // Values of other kinds.
    (
        "psk = \"quick-brown-fox-secret\"",
        1,
        "tables, each [[psk]], and is a string",
    ),
    (
        "[psk]\nkey = \"quick-brown-fox-secret\"",
        1,
        "tables, each [[psk]], and is a table",
    ),
    ("own = 5", 1, "a table, [own], and is an integer"),
    (
        "[[psk]]\nidentity = 7\nkey = \"quick-brown-fox-secret\"",
        2,
        "identity is to be text in quotes, and is an integer",
    ),
    (
        "[[psk]]\nidentity = \"a\"\nkey = [\"quick-brown-fox-secret\"]",
        3,
        "key is to be text in quotes, and is an array",
    ),
    (
        "[[psk]]\nidentity = \"a\"\nkey = { the-quick = \"quick-brown-fox-secret\" }",
        3,
        "and is a table",
    ),
    ("[anonymous]\nallow = [5]", 2, "a list of it"),
    ("[anonymous]\nallow = true", 2, "and is a boolean"),
    // What is missing, empty, too long or there twice.
    (
        "\n\n[[psk]]\nkey = \"quick-brown-fox-secret\"",
        3,
        "there has to be `identity = \"..\"`",
    ),
    ("[[psk]]\nidentity = \"a\"", 1, "there has to be `key = \"..\"`"),
    (
        "[[psk]]\nidentity = \"\"\nkey = \"quick-brown-fox-secret\"",
        2,
        "identity is empty",
    ),
    ("[[psk]]\nidentity = \"a\"\nkey = \"\"", 3, "key is empty"),
    ("[[psk]]\nidentity = \"a\"\nkey = \"0x\"", 3, "key is empty"),
    (
        "[[psk]]\nidentity = \"a\"\nkey = \"quick-brown-fox-secretquick-brown-fox-secretquick-brown-fox-secret\"",
        3,
        "key has 66 bytes, and may have 64",
    ),
    (
        "[[psk]]\nidentity = \"a\"\nkey = \"quick-brown-fox-secret\"\n[[psk]]\nidentity = \"0x61\"\nkey = \"x\"",
        4,
        "the same identity",
    ),
    ("[[psk]]\nidentity = \"a\"\nkey = \"0x0\"", 3, "two for each byte"),
    (
        "[[psk]]\nidentity = \"a\"\nkey = \"0xquick-brown-fox-secret\"",
        3,
        "hexadecimal",
    ),
    (
        "[[psk]]\nidentity = \"0x+1\"\nkey = \"quick-brown-fox-secret\"",
        2,
        "hexadecimal",
    ),
    // Rules.
    (
        "[[psk]]\nidentity = \"a\"\nkey = \"quick-brown-fox-secret\"\nallow = [\n  \"GET\",\n  \"GTE /a\",\n]",
        6,
        "allow: expected a method",
    ),
    (
        "[anonymous]\nallow = \"GET /a/**/b\"",
        2,
        "`**` stands only at the end",
    ),
    (
        "[[certificate]]\nname = \"a\"\nallow = \"/../b\"",
        3,
        "no segments",
    ),
    // Files.
    (
        "[own]\ncertificate = \"none.pem\"",
        2,
        "none.pem: it cannot be read: no such file",
    ),
    ("[own]\ncertificate = \"empty.pem\"", 2, "empty.pem: "),
    (
        "[own]\ncertificate = \"cert.pem\"",
        2,
        "cert.pem: the private key: there is no private key",
    ),
    (
        "[own]\ncertificate = \"cert.pem\"\nkey = \"other-key.pem\"",
        2,
        "belongs to another private key",
    ),
    ("[own]\n\nkey = \"key.pem\"", 3, "there is no `certificate`"),
    ("[own]\nraw-key = \"broken.pem\"", 2, "broken.pem: "),
    (
        "[own]\nraw-key = \"public.pem\"",
        2,
        "public.pem: there is no private key",
    ),
    (
        "[trust]\nauthorities = [\"cert.pem\",\n\"key.pem\"]",
        3,
        "key.pem: ",
    ),
    ("[trust]\nauthorities = \".\"", 2, ".: it cannot be read"),
    (
        "[trust]\nclients = \"sometimes\"",
        2,
        "\"required\" or \"optional\"",
    ),
    ("[[raw-public-key]]\nfile = \"cert.pem\"", 2, "cert.pem: "),
    (
        "[[raw-public-key]]\nfile = \"public.pem\"\n[[raw-public-key]]\nfile = \"public.pem\"",
        3,
        "the same key",
    ),
    // Servers.
    ("[[client]]\nuri = \"coap://a\"", 2, "begins with coaps://"),
    (
        "[[client]]\nuri = \"*\"\nkey = \"quick-brown-fox-secret\"",
        1,
        "there has to be `identity",
    ),
    (
        "[[client]]\nuri = \"*\"\ncertificate-key = \"key.pem\"",
        3,
        "there is no `certificate`",
    ),
];

#[test]
fn whatever_is_wrong_is_told_with_its_line_and_never_with_a_key() {
    let folder = folder();
    for (text, line, part) in BAD {
        let error = match read(&folder, text) {
            Err(error) => error,
            Ok(_) => panic!("{text} was taken"),
        };
        let told = error.to_string();
        assert_eq!(error.line(), Some(*line), "{told}\n{text}");
        assert!(told.contains(&format!("credentials.toml:{line}: ")), "{told}");
        assert!(told.contains(part), "{told}\n{text}");
        assert!(!told.contains("quick") && !told.contains("secret"), "{told}");
        assert!(!told.contains('\n'), "{told}");
    }
}

#[test]
fn a_file_that_is_not_there_or_no_text_is_told() {
    let folder = folder();
    let missing = Credentials::from_file(folder.path().join("none.toml")).unwrap_err();
    assert!(
        missing
            .to_string()
            .ends_with("none.toml: it cannot be read: no such file or directory")
    );
    fs::write(folder.path().join("bytes.toml"), [0xff, 0xfe]).unwrap();
    let bytes = Credentials::from_file(folder.path().join("bytes.toml")).unwrap_err();
    assert!(bytes.to_string().contains("not text"), "{bytes}");
}

#[test]
fn whatever_prefix_of_a_file_comes_is_read_or_told() {
    let folder = folder();
    for end in (0..GOOD.len()).filter(|end| GOOD.is_char_boundary(*end)) {
        if let Err(error) = read(&folder, &GOOD[..end]) {
            assert!(error.line().is_some(), "{error}");
            assert!(!error.to_string().contains("horse"), "{error}");
        }
    }
}

#[test]
fn short_keys_are_warned_of_and_so_are_files_that_others_may_read() {
    let folder = folder();
    let short = read(&folder, "[[psk]]\nidentity = \"a\"\nkey = \"short\"").unwrap();
    let warnings = short.warnings();
    assert!(
        matches!(&warnings[..], [one] if one.contains("credentials.toml:3:") && one.contains("16 bytes")),
        "{warnings:?}"
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        for name in ["credentials.toml", "key.pem", "cert.pem"] {
            let open = fs::Permissions::from_mode(0o644);
            fs::set_permissions(folder.path().join(name), open).unwrap();
        }
        let own = "[own]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"";
        fs::write(folder.path().join("credentials.toml"), own).unwrap();
        let open = Credentials::from_file(folder.path().join("credentials.toml")).unwrap();
        let warnings = open.warnings();
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].contains("credentials.toml: others"), "{warnings:?}");
        assert!(warnings[1].contains("key.pem: others"), "{warnings:?}");
    }
}

fn router(credentials: &Credentials) -> Router {
    Router::new()
        .route("/{*path}", any(async || "done"))
        .layer(credentials.authorization())
}

async fn ask(router: &Router, who: Option<&Identity>, method: Method, location: &str) -> Response {
    let request = Request::to(method, location).with_identity(who.cloned());
    router.oneshot(request).await
}

#[tokio::test]
async fn each_may_do_what_its_entry_allows_and_nothing_else() {
    let folder = folder();
    let credentials = read(&folder, GOOD).unwrap();
    let app = router(&credentials);
    let pem = fs::read_to_string(folder.path().join("public.pem")).unwrap();
    let (meter, other, stranger) = (
        Identity::psk("meter-7"),
        Identity::psk([0xff, 0]),
        Identity::psk("meter-8"),
    );
    let named = |name: &str| Identity::certificate(Certificate::default().with_names(vec![name.to_owned()]));
    let common =
        |name: &str| Identity::certificate(Certificate::default().with_common_name(Some(name.to_owned())));
    let key = Identity::raw_public_key(der(&pem));
    let allowed = [
        (&meter, Method::GET, "/sensors/1/temp"),
        (&meter, Method::POST, "/led/3"),
        (&other, Method::DELETE, "/anything"),
        (&key, Method::GET, "/anything"),
        (&named("a.sensors.example"), Method::POST, "/reports"),
        (&common("b.sensors.example"), Method::POST, "/reports"),
    ];
    for (who, method, location) in allowed {
        let answer = ask(&app, Some(who), method, location).await;
        assert!(
            answer.status.is_success(),
            "{who} {method} {location}: {answer:?}"
        );
    }
    let forbidden = [
        (&meter, Method::PUT, "/sensors/1"),
        (&meter, Method::GET, "/led/3"),
        (&stranger, Method::GET, "/sensors/1"),
        (&key, Method::PUT, "/anything"),
        (&Identity::raw_public_key([1, 2, 3]), Method::GET, "/anything"),
        (&named("a.sensors.example"), Method::GET, "/reports"),
        (&named("sensors.example"), Method::POST, "/reports"),
        (&common("elsewhere.example"), Method::POST, "/reports"),
    ];
    for (who, method, location) in forbidden {
        let answer = ask(&app, Some(who), method, location).await;
        assert_eq!(answer.status, Status::FORBIDDEN, "{who} {method} {location}");
        let told = String::from_utf8(answer.payload.to_vec()).unwrap();
        assert_eq!(told, format!("{who} may not {method} this"));
    }
    let open = ask(&app, None, Method::GET, "/public/a").await;
    assert_eq!(open.status, Status::CONTENT);
    for (method, location) in [(Method::GET, "/sensors/1"), (Method::PUT, "/public/a")] {
        assert_eq!(
            ask(&app, None, method, location).await.status,
            Status::UNAUTHORIZED
        );
    }
}

/// The key out of PEM.
fn der(pem: &str) -> Vec<u8> {
    let digits: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let value = |digit: char| {
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
            .find(digit)
            .unwrap_or(0)
    };
    let padding = digits.matches('=').count();
    let mut bytes = Vec::new();
    for four in digits.chars().collect::<Vec<_>>().chunks(4) {
        let bits = four.iter().fold(0, |bits, digit| bits << 6 | value(*digit));
        bytes.extend_from_slice(&u32::try_from(bits).unwrap().to_be_bytes()[1..]);
    }
    bytes.truncate(bytes.len() - padding);
    bytes
}

#[tokio::test]
async fn who_has_proved_nothing_may_do_all_only_where_nobody_is_limited() {
    let folder = folder();
    let psk = "[[psk]]\nidentity = \"a\"\nkey = \"quick-brown-fox-secret\"\n";
    let unlimited = router(&read(&folder, psk).unwrap());
    assert_eq!(
        ask(&unlimited, None, Method::PUT, "/a").await.status,
        Status::CHANGED
    );
    let limited = router(&read(&folder, &format!("{psk}allow = \"GET\"")).unwrap());
    assert_eq!(
        ask(&limited, None, Method::GET, "/a").await.status,
        Status::UNAUTHORIZED
    );
    let nothing = router(&read(&folder, "[anonymous]\nallow = []").unwrap());
    assert_eq!(
        ask(&nothing, None, Method::GET, "/a").await.status,
        Status::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_changed_file_is_heeded_and_a_wrong_one_changes_nothing() {
    let folder = folder();
    let entry = |allow: &str| {
        format!("[[psk]]\nidentity = \"a\"\nkey = \"quick-brown-fox-secret\"\nallow = \"{allow}\"")
    };
    let credentials = read(&folder, &entry("GET")).unwrap();
    let (app, who) = (router(&credentials), Identity::psk("a"));
    let may_put = async || ask(&app, Some(&who), Method::PUT, "/a").await.status.is_success();
    assert!(!may_put().await);
    write(&folder, "credentials.toml", &entry("PUT"));
    assert!(!may_put().await, "it was not read again yet");
    credentials.reload().unwrap();
    assert!(may_put().await);
    write(&folder, "credentials.toml", &entry("GTE"));
    let error = credentials.reload().unwrap_err();
    assert_eq!(error.line(), Some(4));
    assert!(may_put().await);
    write(&folder, "credentials.toml", "");
    credentials.reload().unwrap();
    assert!(!may_put().await, "its key was taken away");
}

/// The length changes with each step, as the times of files may be too coarse to tell.
#[tokio::test]
async fn changes_are_noticed_while_somebody_watches() {
    let folder = folder();
    let text =
        |comment: &str| format!("# {comment}\n[own]\nraw-key = \"key.pem\"\n[anonymous]\nallow = \"GET\"");
    let credentials = read(&folder, &text("1")).unwrap();
    let app = router(&credentials);
    let watching = credentials.watch();
    let may_put = async || ask(&app, None, Method::PUT, "/a").await.status.is_success();
    let changed = async |to: bool| {
        let noticed = async {
            while may_put().await != to {
                // tidy: the file is looked at every second, by the clock of the system
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), noticed)
            .await
            .unwrap();
    };
    write(&folder, "credentials.toml", &text("wrong").replace("GET", "GTE"));
    write(&folder, "credentials.toml", &text("12").replace("GET", "PUT"));
    changed(true).await;
    write(&folder, "credentials.toml", &text("123"));
    changed(false).await;
    drop(watching);
}

/// Rights that changed hold for notifications, too: after that each observer is asked about alone.
#[tokio::test]
async fn after_a_change_one_observer_speaks_for_no_other() {
    let folder = folder();
    let credentials = read(&folder, "[anonymous]\nallow = \"GET\"").unwrap();
    async fn state(State(state): State<Notifier<u32>>) -> Response {
        state.observed(|number| number.to_string())
    }
    let app = Router::new()
        .route("/state", get(state).observable())
        .with_state(Notifier::new(7_u32))
        .layer(credentials.authorization());
    let observe = || Request::get("/state").with_option(OptionNumber::OBSERVE, &[]);
    assert!(!app.oneshot(observe()).await.personal);
    credentials.reload().unwrap();
    assert!(app.oneshot(observe()).await.personal);
    assert!(
        app.oneshot(Request::get("/state").with_notification(true))
            .await
            .personal
    );
    assert!(!app.oneshot(Request::get("/state")).await.personal);
}
