//! A web page in a browser talks to our server by WebSocket (RFC 8323 §4), as its script `page.html` has it.
//!
//! The page is served by a few lines of HTTP in this test. It asks for /.well-known/core and posts what it got back here.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use crate::peers;
use crate::process::Running;
use crate::program::{Transport, scratch, serve_by};

/// A browser takes seconds to start, on a busy machine more of them.
const PAGE_LIMIT: Duration = Duration::from_secs(90);

const PAGE: &str = include_str!("page.html");

#[test]
fn a_page_in_a_browser_discovers_our_resources() {
    let told = what_the_page_tells("127.0.0.1", &[]);
    if let Some(told) = told {
        assert!(told.starts_with("2.05 "), "{told}");
        for link in ["</hello>", "</clock>", "</store>"] {
            assert!(told.contains(link), "{told}");
        }
    }
}

/// RFC 6455 §10.2: a page of another host is refused, unless the server lets it.
#[test]
fn a_page_of_another_host_needs_leave() {
    if let Some(told) = what_the_page_tells("localhost", &[]) {
        assert_eq!(told, "closed 1006");
    }
    if let Some(told) = what_the_page_tells("localhost", &["--allow-origin", "*"]) {
        assert!(told.starts_with("2.05 "), "{told}");
    }
}

/// What a page of this host posts, of a server of ours with these settings; `None` where there is no browser.
fn what_the_page_tells(host: &str, settings: &[&str]) -> Option<String> {
    let browser = peers::chromium()?;
    let (_server, port) = serve_by(Transport::WebSocket, settings);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let page_port = listener.local_addr().unwrap().port();
    let posted = serve_page(listener, &PAGE.replace("PORT", &port.to_string()));
    let profile = scratch(&format!("browser-{page_port}"));
    let mut command = Command::new(browser);
    command
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ])
        .args(["--no-first-run", "--disable-extensions", "--disable-sync"])
        .args(["--disable-background-networking", "--disable-component-update"])
        // Nothing but this machine is asked.
        .arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost")
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("http://{host}:{page_port}/"));
    let chromium = Running::start("chromium", &mut command);
    let told = posted.recv_timeout(PAGE_LIMIT);
    drop(chromium);
    // Its helpers may still write there for a moment; what is left is below cargo's folder for tests.
    let _ = fs::remove_dir_all(&profile);
    Some(told.expect("the page tells something in time"))
}

/// Serves the page to each GET, and gives what is posted.
fn serve_page(listener: TcpListener, page: &str) -> Receiver<String> {
    let (tell, told) = mpsc::channel();
    let page = page.to_owned();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (page, tell) = (page.clone(), tell.clone());
            // Browsers open connections that they do not use.
            thread::spawn(move || answer(&stream, &page, &tell));
        }
    });
    told
}

fn answer(stream: &TcpStream, page: &str, tell: &Sender<String>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let (mut length, mut line) = (0, String::new());
    while reader.read_line(&mut line)? > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or_default();
        }
        line.clear();
    }
    let mut posted = vec![0; length];
    reader.read_exact(&mut posted)?;
    let mut writer = stream;
    write!(
        writer,
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
        page.len()
    )?;
    if first.starts_with("POST") {
        // The test may have ended.
        let _ = tell.send(String::from_utf8_lossy(&posted).into_owned());
    }
    Ok(())
}
