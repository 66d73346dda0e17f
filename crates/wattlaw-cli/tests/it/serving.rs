//! `wattlaw page` as a browser asks it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it did not expect")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::running::limited::{LIMIT, start, within};
use crate::running::{WATTLAW, run};

/// A server of a folder, until it is dropped.
struct Served {
    process: Child,
    host: String,
}

impl Served {
    fn new(folder: &Path) -> Self {
        let mut command = Command::new(WATTLAW);
        command.args(["page", "--dir"]).arg(folder).stdout(Stdio::piped());
        let mut process = start(&mut command);
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        let printed = within(LIMIT, process.id(), move || {
            let mut line = String::new();
            lines.read_line(&mut line).unwrap();
            line
        });
        let host = printed.trim().strip_prefix("http://").unwrap().strip_suffix('/').unwrap();
        assert!(host.starts_with("127.0.0.1:"), "{printed}");
        Self { host: host.to_owned(), process }
    }

    /// What a request's first line is answered with: head and body.
    fn ask(&self, line: &str) -> (String, String) {
        self.ask_with(line, "")
    }

    /// The same with more lines of the head.
    fn ask_with(&self, line: &str, more: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        write!(stream, "{line} HTTP/1.1\r\nHost: {}\r\n{more}Connection: close\r\n\r\n", self.host)
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_lowercase(), body.to_owned())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.try_wait();
    }
}

fn page() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("page")).unwrap();
    for (name, text) in [("index.html", "<!doctype html>"), ("wattlaw.wasm", "module")] {
        fs::write(folder.path().join("page").join(name), text).unwrap();
    }
    fs::write(folder.path().join("outside.html"), "outside").unwrap();
    folder
}

#[test]
fn the_page_is_served_with_its_types_and_its_policy() {
    let folder = page();
    let served = Served::new(&folder.path().join("page"));
    let (head, body) = served.ask("GET /");
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains("content-type: text/html; charset=utf-8"), "{head}");
    assert!(head.contains(
        "content-security-policy: default-src 'none'; script-src 'self' 'wasm-unsafe-eval'"
    ));
    assert!(!head.contains("unsafe-inline") && head.contains("nosniff"), "{head}");
    assert_eq!(body, "<!doctype html>");
    let (head, body) = served.ask("GET /wattlaw.wasm");
    assert!(head.contains("content-type: application/wasm"), "{head}");
    assert_eq!(body, "module");
}

#[test]
fn compressed_files_are_sent_to_who_takes_them_and_hashed_ones_are_kept() {
    let folder = page();
    let name = "page-0123456789abcdef.js";
    for (name, text) in [(name, "whole"), ("page-0123456789abcdef.js.gz", "compressed")] {
        fs::write(folder.path().join("page").join(name), text).unwrap();
    }
    let served = Served::new(&folder.path().join("page"));
    let line = format!("GET /{name}");
    let (head, body) = served.ask_with(&line, "Accept-Encoding: gzip, br\r\n");
    assert!(head.contains("content-encoding: gzip") && head.contains("vary: accept-encoding"));
    assert!(head.contains("content-type: text/javascript"), "{head}");
    assert!(head.contains("cache-control: max-age=31536000, immutable"), "{head}");
    assert_eq!(body, "compressed");
    for more in ["", "Accept-Encoding: gzip;q=0\r\n"] {
        let (head, body) = served.ask_with(&line, more);
        assert!(!head.contains("content-encoding") && head.contains("immutable"), "{head}");
        assert_eq!(body, "whole");
    }
    // a page that is built anew is seen at the next load
    let (head, body) = served.ask_with("GET /", "Accept-Encoding: gzip\r\n");
    assert!(head.contains("cache-control: no-cache") && !head.contains("content-encoding"));
    assert_eq!(body, "<!doctype html>");
    assert!(served.ask(&format!("{line}.gz")).0.starts_with("http/1.1 404"));
}

#[test]
fn nothing_outside_the_page_is_served_and_nothing_is_written() {
    let folder = page();
    let served = Served::new(&folder.path().join("page"));
    for path in [
        "/../outside.html",
        "/%2e%2e/outside.html",
        "/..%2foutside.html",
        "//outside.html",
        "/absent.js",
    ] {
        let (head, body) = served.ask(&format!("GET {path}"));
        assert!(head.starts_with("http/1.1 404"), "{path}: {head}");
        assert_eq!(body, "no such file\n");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let (head, _) = served.ask(&format!("{method} /"));
        assert!(
            head.starts_with("http/1.1 405") && head.contains("allow: get"),
            "{method}: {head}"
        );
    }
    assert!(served.ask("GET /").0.starts_with("http/1.1 200"));
}

#[test]
fn a_page_that_is_not_built_and_a_taken_port_are_said() {
    let empty = tempfile::tempdir().unwrap();
    let ran = run(&format!("page --dir {}", empty.path().display()));
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("no page: there is no index.html in")
            && ran.stderr.contains("page/build"),
        "{}",
        ran.stderr
    );
    let folder = page();
    let folder = folder.path().join("page");
    let served = Served::new(&folder);
    let port = served.host.rsplit(':').next().unwrap();
    let ran = run(&format!("page --dir {} --port {port}", folder.display()));
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains(&format!("port {port} of 127.0.0.1 cannot be used")),
        "{}",
        ran.stderr
    );
}
