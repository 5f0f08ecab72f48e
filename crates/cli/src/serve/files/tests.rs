use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::process::Command;

use tempfile::TempDir;

use super::turns::MAX_UPLOADS_OF_HOST;
use super::*;
use crate::console::ColorChoice;

/// A folder beside which lies what must not be seen.
struct Site {
    around: TempDir,
    router: Router,
}

const MAX_BYTES: u64 = 100_000;

fn site(access: Access, hidden: bool) -> Site {
    let around = TempDir::new().unwrap();
    let folder = around.path().join("served");
    fs::create_dir_all(folder.join("sub/deep")).unwrap();
    fs::write(folder.join("a.txt"), "hello").unwrap();
    fs::write(folder.join("sub/b.json"), "{}").unwrap();
    fs::write(folder.join("two words.bin"), [0, 1, 2]).unwrap();
    fs::write(folder.join(".hidden"), "hidden").unwrap();
    fs::write(around.path().join("secret"), "secret").unwrap();
    let quiet = Console::new(false, true, ColorChoice::Never);
    let router = router(&folder, hidden, access, MAX_BYTES, quiet).unwrap();
    Site { around, router }
}

impl Site {
    fn path(&self, name: &str) -> std::path::PathBuf {
        self.around.path().join("served").join(name)
    }

    async fn ask(&self, request: Request) -> Response {
        self.router.oneshot(request).await
    }

    async fn status(&self, request: Request) -> Status {
        self.ask(request).await.status
    }

    /// What lies in the folder, partial files too.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("")).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// A request with these segments as they are: what a peer can put into Uri-Path.
fn segments(method: Method, segments: &[&str]) -> Request {
    segments
        .iter()
        .fold(Request::to(method, "/"), |request, segment| {
            request.with_option(OptionNumber::URI_PATH, segment.as_bytes())
        })
}

fn text(response: &Response) -> &str {
    std::str::from_utf8(&response.payload).unwrap()
}

fn etag(response: &Response) -> Vec<u8> {
    response.options.get(OptionNumber::ETAG).unwrap().to_vec()
}

#[tokio::test]
async fn files_are_read_with_format_and_etag() {
    let site = site(Access::ReadOnly, false);
    let file = site.ask(Request::get("/a.txt")).await;
    assert_eq!((file.status, text(&file)), (Status::CONTENT, "hello"));
    assert_eq!(file.content_format(), Some(ContentFormat::TEXT));
    let nested = site.ask(Request::get("/sub/b.json")).await;
    assert_eq!(nested.content_format(), Some(ContentFormat::JSON));
    let known = Request::get("/a.txt").with_option(OptionNumber::ETAG, &etag(&file));
    assert_eq!(site.status(known).await, Status::VALID);
    let other = Request::get("/a.txt").with_accept(ContentFormat::JSON);
    assert_eq!(site.status(other).await, Status::NOT_ACCEPTABLE);
    assert_eq!(site.status(Request::get("/none")).await, Status::NOT_FOUND);
    assert_eq!(site.status(Request::get("/a.txt/b")).await, Status::NOT_FOUND);
    assert_eq!(
        site.status(Request::post("/a.txt")).await,
        Status::METHOD_NOT_ALLOWED
    );
}

#[tokio::test]
async fn folders_list_what_is_served() {
    let site = site(Access::ReadOnly, false);
    symlink(site.around.path().join("secret"), site.path("out")).unwrap();
    symlink("a.txt", site.path("in")).unwrap();
    let root = site.ask(Request::get("/")).await;
    assert_eq!(root.content_format(), Some(ContentFormat::LINK_FORMAT));
    let expected = "</a.txt>;ct=0;sz=5,</in>;ct=42;sz=5,</sub>;ct=40,</two%20words.bin>;ct=42;sz=3";
    assert_eq!(text(&root), expected);
    let sub = site.ask(Request::get("/sub")).await;
    assert_eq!(text(&sub), "</sub/b.json>;ct=50;sz=2,</sub/deep>;ct=40");
    assert_eq!(text(&site.ask(Request::get("/sub/deep")).await), "");
    let found = site.ask(Request::get("/.well-known/core")).await;
    assert_eq!(text(&found), "</>;rt=\"directory\";title=\"Files\";ct=40;obs");
}

#[tokio::test]
async fn a_list_has_a_bound() {
    let site = site(Access::ReadOnly, false);
    let name = "x".repeat(240);
    for number in 0..4400 {
        fs::write(site.path(&format!("sub/deep/{name}{number}")), "").unwrap();
    }
    let list = site.ask(Request::get("/sub/deep")).await;
    assert_eq!(list.status, Status::INTERNAL_SERVER_ERROR);
    assert_eq!(text(&list), "the list of the folder is too long");
}

/// Whatever the method: nothing beside the folder is read, written or deleted.
#[tokio::test]
async fn nothing_leads_out_of_the_folder() {
    let site = site(Access::Write, true);
    let secret = site.around.path().join("secret");
    symlink(&secret, site.path("absolute")).unwrap();
    symlink("../secret", site.path("relative")).unwrap();
    symlink("..", site.path("up")).unwrap();
    symlink("/", site.path("sub/root")).unwrap();
    symlink("sub/../../secret", site.path("winding")).unwrap();
    symlink("loop", site.path("loop")).unwrap();
    let absolute = secret.to_str().unwrap();
    let long = "x".repeat(255);
    let paths: &[&[&str]] = &[
        &["..", "secret"],
        &["sub", "..", "..", "secret"],
        &["../secret"],
        &["sub/../../secret"],
        &[absolute],
        &["", "etc", "passwd"],
        &["", "..", "secret"],
        &[".", "..", "secret"],
        &["absolute"],
        &["relative"],
        &["up", "secret"],
        &["up"],
        &["sub", "root", "etc", "passwd"],
        &["winding"],
        &["loop"],
        &["a.txt\0"],
        &["a.txt", ""],
        &["%2e%2e", "secret"],
        &["..%2fsecret"],
        &["%2e%2e%2fsecret"],
        &[&long, &long, &long, "x"],
    ];
    for path in paths {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let answer = site.ask(segments(method, path).with_payload("overwritten")).await;
            let refused = matches!(
                answer.status,
                Status::NOT_FOUND
                    | Status::FORBIDDEN
                    | Status::METHOD_NOT_ALLOWED
                    | Status::INTERNAL_SERVER_ERROR
            );
            // A file may be called `..%2fsecret`; it is within the folder. So is what is not there to be deleted.
            let within = path[0].contains('%') && method == Method::PUT && path.len() == 1;
            let nothing_deleted = method == Method::DELETE && answer.status == Status::DELETED;
            assert!(
                refused || within || nothing_deleted,
                "{method} {path:?}: {}",
                answer.status
            );
            assert!(!text(&answer).contains("secret"), "{method} {path:?}");
        }
    }
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
    assert_eq!(fs::read_to_string(site.path("a.txt")).unwrap(), "hello");
    assert_eq!(fs::read_dir(site.around.path()).unwrap().count(), 2);
}

#[tokio::test]
async fn links_out_of_the_folder_are_forbidden_and_those_within_are_read() {
    let site = site(Access::Write, false);
    symlink("../secret", site.path("out")).unwrap();
    symlink("a.txt", site.path("in")).unwrap();
    assert_eq!(site.status(Request::get("/out")).await, Status::FORBIDDEN);
    assert_eq!(text(&site.ask(Request::get("/in")).await), "hello");
    for request in [Request::put("/in").with_payload("x"), Request::delete("/in")] {
        assert_eq!(site.status(request).await, Status::FORBIDDEN);
    }
    assert_eq!(fs::read_to_string(site.path("a.txt")).unwrap(), "hello");
}

/// A pipe would hold up whoever opens it until somebody writes.
#[tokio::test]
async fn special_files_are_forbidden() {
    let site = site(Access::Write, false);
    assert!(
        Command::new("mkfifo")
            .arg(site.path("pipe"))
            .status()
            .unwrap()
            .success()
    );
    let _socket = UnixListener::bind(site.path("socket")).unwrap();
    for name in ["/pipe", "/socket"] {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let request = Request::to(method, name).with_payload("x");
            assert_eq!(site.status(request).await, Status::FORBIDDEN, "{method} {name}");
        }
    }
    assert!(!text(&site.ask(Request::get("/")).await).contains("pipe"));
}

#[tokio::test]
async fn hidden_files_are_served_only_if_asked_for() {
    let without = site(Access::Write, false);
    assert_eq!(without.status(Request::get("/.hidden")).await, Status::NOT_FOUND);
    let put = Request::put("/.new").with_payload("x");
    let refused = without.ask(put).await;
    assert_eq!(refused.status, Status::FORBIDDEN);
    assert_eq!(text(&refused), "hidden files are not served");
    assert!(!text(&without.ask(Request::get("/")).await).contains("hidden"));
    let with = site(Access::ReadOnly, true);
    assert_eq!(text(&with.ask(Request::get("/.hidden")).await), "hidden");
    assert!(text(&with.ask(Request::get("/")).await).starts_with("</.hidden>;"));
}

#[tokio::test]
async fn a_large_file_is_read_part_by_part() {
    let site = site(Access::ReadOnly, false);
    let content: Vec<u8> = (0..100_000_u32).map(|i| (i % 251) as u8).collect();
    fs::write(site.path("large"), &content).unwrap();
    let mut read = Vec::new();
    for num in 0..98_u32 {
        let block = coracle::wire::BlockOption::new(num, false, 6).unwrap();
        let request = Request::get("/large").with_option(OptionNumber::BLOCK2, &block.encode());
        let part = site.ask(request).await;
        assert!(part.payload.len() <= 1024);
        assert_eq!(
            part.window.map(|window| (window.offset, window.total)),
            Some((read.len() as u64, 100_000))
        );
        read.extend_from_slice(&part.payload);
    }
    assert_eq!(read, content);
}

/// 2^20 blocks of 1,024 bytes are 1 GiB; sparse files take no room.
#[tokio::test]
async fn what_blocks_cannot_number_is_refused() {
    let site = site(Access::ReadOnly, false);
    let file = fs::File::create(site.path("huge")).unwrap();
    file.set_len(1 << 30).unwrap();
    let last = Request::get("/huge").with_option(OptionNumber::BLOCK2, b"\xff\xff\xf6");
    let last = site.ask(last).await;
    assert_eq!(last.window.map(|window| window.offset), Some((1 << 30) - 1024));
    let small = Request::get("/huge").with_option(OptionNumber::BLOCK2, b"\x05");
    assert_eq!(site.status(small).await, Status::INTERNAL_SERVER_ERROR);
    file.set_len((1 << 30) + 1).unwrap();
    assert_eq!(
        site.status(Request::get("/huge")).await,
        Status::INTERNAL_SERVER_ERROR
    );
}

#[tokio::test]
async fn a_file_is_written_whole_or_not_at_all() {
    let site = site(Access::Write, false);
    let names = site.names();
    let made = site.ask(Request::put("/new.txt").with_payload("one")).await;
    assert_eq!(made.status, Status::CREATED);
    assert_eq!(etag(&made), etag(&site.ask(Request::get("/new.txt")).await));
    let changed = site.ask(Request::put("/new.txt").with_payload("two")).await;
    assert_eq!(changed.status, Status::CHANGED);
    assert_ne!(etag(&made), etag(&changed));
    assert_eq!(fs::read_to_string(site.path("new.txt")).unwrap(), "two");

    let (mut sender, body) = BodyStream::new(Bytes::from_static(b"the first half"));
    sender.send(Bytes::from_static(b", and then nothing"));
    drop(sender);
    let broken = site.ask(Request::put("/new.txt").with_body(body)).await;
    assert_eq!(broken.status, Status::REQUEST_ENTITY_INCOMPLETE);
    assert_eq!(fs::read_to_string(site.path("new.txt")).unwrap(), "two");

    assert_eq!(site.status(Request::delete("/new.txt")).await, Status::DELETED);
    assert_eq!(site.status(Request::delete("/new.txt")).await, Status::DELETED);
    assert_eq!(
        site.status(Request::delete("/no/such/folder")).await,
        Status::DELETED
    );
    assert_eq!(site.names(), names);
    let nowhere = Request::put("/no/such/folder").with_payload("x");
    let refused = site.ask(nowhere).await;
    assert_eq!(refused.status, Status::NOT_FOUND);
    assert_eq!(text(&refused), "no such folder, and none is made");
}

/// Owners can be checked by privileged users only.
#[tokio::test]
async fn a_file_that_is_replaced_keeps_mode_and_owner() {
    let site = site(Access::Write, false);
    let path = site.path("a.txt");
    for mode in [0o600, 0o640, 0o755, 0o4755] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let put = Request::put("/a.txt").with_payload("x");
        assert_eq!(site.status(put).await, Status::CHANGED);
        let kept = fs::metadata(&path).unwrap().mode() & 0o7777;
        assert_eq!(kept, mode & 0o777, "{mode:o}");
    }
    if chown(&path, Some(1234), Some(4321)).is_ok() {
        let put = Request::put("/a.txt").with_payload("y");
        assert_eq!(site.status(put).await, Status::CHANGED);
        let kept = fs::metadata(&path).unwrap();
        assert_eq!((kept.uid(), kept.gid()), (1234, 4321));
    }
    // A new file is as any other that this process makes.
    let put = Request::put("/new").with_payload("x");
    assert_eq!(site.status(put).await, Status::CREATED);
    fs::write(site.path("ours"), "x").unwrap();
    let mode = |name| fs::metadata(site.path(name)).unwrap().mode();
    assert_eq!(mode("new"), mode("ours"));
}

#[tokio::test]
async fn a_streamed_body_arrives_in_order() {
    let site = site(Access::Write, false);
    let content: Vec<u8> = (0..90_000_u32).map(|i| (i % 251) as u8).collect();
    let mut parts = content.chunks(1024).map(Bytes::copy_from_slice);
    let (mut sender, body) = BodyStream::new(parts.next().unwrap());
    let feed = async move {
        for part in parts {
            std::future::poll_fn(|cx| sender.poll_demand(cx)).await;
            sender.send(part);
        }
        sender.finish();
    };
    let (answer, ()) = tokio::join!(site.ask(Request::put("/large").with_body(body)), feed);
    assert_eq!(answer.status, Status::CREATED);
    assert_eq!(fs::read(site.path("large")).unwrap(), content);
}

/// RFC 7252 §5.9.2.9; what is too long leaves nothing behind, whether it says so or not.
#[tokio::test]
async fn a_long_body_is_refused() {
    let site = site(Access::Write, false);
    let names = site.names();
    let says_so = Request::put("/big").with_option(OptionNumber::SIZE1, &[1, 0x86, 0xa1]);
    let does_not = Request::put("/big").with_payload(vec![0; 100_001]);
    for request in [says_so, does_not] {
        let refused = site.ask(request).await;
        assert_eq!(refused.status, Status::REQUEST_ENTITY_TOO_LARGE);
        assert_eq!(refused.options.get_uint(OptionNumber::SIZE1), Some(MAX_BYTES));
    }
    assert_eq!(site.names(), names);
    let fits = Request::put("/big").with_payload(vec![0; 100_000]);
    assert_eq!(site.status(fits).await, Status::CREATED);
}

#[tokio::test]
async fn only_some_files_are_written_at_once() {
    let site = site(Access::Write, false);
    let mut senders = Vec::new();
    let mut uploads = Vec::new();
    for number in 0..MAX_UPLOADS_OF_HOST {
        let (sender, body) = BodyStream::new(Bytes::from_static(b"x"));
        let router = site.router.clone();
        let request = Request::put(&format!("/f{number}")).with_body(body);
        uploads.push(tokio::spawn(async move { router.oneshot(request).await }));
        senders.push(sender);
    }
    for sender in &mut senders {
        // The handler waits for the next part, and so holds its place.
        std::future::poll_fn(|cx| sender.poll_demand(cx)).await;
    }
    let busy = site.ask(Request::put("/one-more").with_payload("x")).await;
    assert_eq!(busy.status, Status::SERVICE_UNAVAILABLE);
    assert!(busy.options.contains(OptionNumber::MAX_AGE));
    let mut of_another = Request::put("/of-another").with_payload("x");
    of_another.path = coracle::engine::Path::to("192.0.2.9:5683".parse().unwrap());
    assert_eq!(site.status(of_another).await, Status::CREATED);
    senders.into_iter().for_each(coracle::router::BodySender::finish);
    for upload in uploads {
        upload.abort();
        let _ = upload.await;
    }
    let now = Request::put("/one-more").with_payload("x");
    assert_eq!(site.status(now).await, Status::CREATED);
}

/// RFC 7252 §5.10.8.
#[tokio::test]
async fn conditions_are_heeded() {
    let site = site(Access::Write, false);
    let current = etag(&site.ask(Request::get("/a.txt")).await);
    let failed = Status::PRECONDITION_FAILED;
    for (request, status) in [
        (
            Request::put("/a.txt").with_option(OptionNumber::IF_NONE_MATCH, b""),
            failed,
        ),
        (
            Request::put("/a.txt").with_option(OptionNumber::IF_MATCH, b"other"),
            failed,
        ),
        (
            Request::delete("/a.txt").with_option(OptionNumber::IF_MATCH, b"other"),
            failed,
        ),
        (
            Request::put("/none").with_option(OptionNumber::IF_MATCH, b""),
            failed,
        ),
        (
            Request::delete("/none").with_option(OptionNumber::IF_MATCH, b""),
            failed,
        ),
        (
            Request::delete("/no/such").with_option(OptionNumber::IF_MATCH, b""),
            failed,
        ),
        (
            Request::put("/new").with_option(OptionNumber::IF_NONE_MATCH, b""),
            Status::CREATED,
        ),
        (
            Request::put("/a.txt").with_option(OptionNumber::IF_MATCH, &current),
            Status::CHANGED,
        ),
        (
            Request::delete("/a.txt").with_option(OptionNumber::IF_MATCH, &current),
            failed,
        ),
    ] {
        let told = format!("{request:?}");
        assert_eq!(site.status(request.with_payload("x")).await, status, "{told}");
    }
}

#[tokio::test]
async fn only_reading_is_allowed_without_write() {
    let site = site(Access::ReadOnly, false);
    for request in [
        Request::put("/a.txt"),
        Request::put("/new"),
        Request::delete("/a.txt"),
        Request::put("/"),
    ] {
        let refused = site.ask(request.with_payload("x")).await;
        assert_eq!(refused.status, Status::FORBIDDEN);
        assert_eq!(text(&refused), "read-only: start with --write");
    }
    assert_eq!(fs::read_to_string(site.path("a.txt")).unwrap(), "hello");
}

#[tokio::test]
async fn folders_are_neither_written_nor_deleted() {
    let site = site(Access::Write, false);
    for path in ["/", "/sub"] {
        for method in [Method::PUT, Method::DELETE] {
            let request = Request::to(method, path).with_payload("x");
            assert_eq!(
                site.status(request).await,
                Status::METHOD_NOT_ALLOWED,
                "{method} {path}"
            );
        }
    }
}

#[tokio::test]
async fn a_slash_at_the_end_means_a_folder() {
    let site = site(Access::Write, false);
    let without = site.ask(Request::get("/sub")).await;
    let with = site.ask(Request::get("/sub/")).await;
    assert_eq!((with.status, &with.payload), (Status::CONTENT, &without.payload));
    assert_eq!(site.status(Request::get("/a.txt/")).await, Status::NOT_FOUND);
    for path in ["/a.txt/", "/new/", "/sub/"] {
        let put = Request::put(path).with_payload("x");
        assert_eq!(site.status(put).await, Status::METHOD_NOT_ALLOWED, "{path}");
    }
}

#[tokio::test]
async fn links_in_a_circle_lead_nowhere() {
    let site = site(Access::Write, false);
    symlink("loop", site.path("loop")).unwrap();
    assert_eq!(site.status(Request::get("/loop")).await, Status::NOT_FOUND);
    assert_eq!(site.status(Request::get("/loop/a")).await, Status::NOT_FOUND);
}

#[tokio::test]
async fn names_that_no_file_can_have_are_refused_as_such() {
    let site = site(Access::Write, false);
    for name in ["a/b", "..", "."] {
        let refused = site.ask(segments(Method::PUT, &[name]).with_payload("x")).await;
        assert_eq!(refused.status, Status::FORBIDDEN, "{name}");
        assert_eq!(text(&refused), "no file can have this name here", "{name}");
        let missed = site.status(segments(Method::GET, &[name])).await;
        assert_eq!(missed, Status::NOT_FOUND, "{name}");
    }
}

/// RFC 7252 §5.9.2.10: a format that would be lost is not taken.
#[tokio::test]
async fn the_format_of_what_is_written_is_that_of_its_name() {
    let site = site(Access::Write, false);
    for (path, format, status) in [
        ("/new.json", ContentFormat::JSON, Status::CREATED),
        (
            "/new.json",
            ContentFormat::CBOR,
            Status::UNSUPPORTED_CONTENT_FORMAT,
        ),
        ("/new.bin", ContentFormat::CBOR, Status::CREATED),
        ("/new", ContentFormat::TEXT, Status::CREATED),
    ] {
        let put = Request::put(path).with_payload("{}").with_content_format(format);
        assert_eq!(site.status(put).await, status, "{path} {format}");
    }
    let put = Request::put("/a.txt").with_content_format(ContentFormat::JSON);
    let refused = text(&site.ask(put.with_payload("x")).await).to_owned();
    assert!(refused.contains("text/plain"), "{refused}");
}

#[tokio::test]
async fn a_file_that_became_shorter_is_told_as_such() {
    let site = site(Access::ReadOnly, false);
    fs::write(site.path("large"), [0; 3000]).unwrap();
    let first = || Request::get("/large").with_option(OptionNumber::BLOCK2, b"\x06");
    let second = || Request::get("/large").with_option(OptionNumber::BLOCK2, b"\x16");
    assert_eq!(site.status(second()).await, Status::CONTENT);
    for length in [1024, 10, 0] {
        fs::write(site.path("large"), vec![0; length]).unwrap();
        // Until a first block shows the new state, a transfer may go on with what was read ahead of the old one.
        assert_eq!(site.status(first()).await, Status::CONTENT);
        let told = site.ask(second()).await;
        assert_eq!(told.status, Status::INTERNAL_SERVER_ERROR, "{length}");
        assert_eq!(
            text(&told),
            "past the end: the file became shorter while it was read"
        );
    }
}
