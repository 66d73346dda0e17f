//! `wattlaw page`: serves the page's files to the browsers of this machine.

use std::fs;
use std::path::{Path, PathBuf};

use tiny_http::{Header, Method, Request, Response, Server};

use crate::failure::{Done, Failure};
use crate::files;

/// Flags of `wattlaw page`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The page computes in the browser, and sends nothing anywhere. Only this machine can open it. Ctrl-C ends it. Manual: docs/how-to/page.md."
)]
pub struct Args {
    /// Folder of the built page. Default: `page` beside this program, or where `page/build` writes it
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Port. Default: a free one
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    port: u16,
}

/// What every page's first file is named.
const FIRST: &str = "index.html";

/// What a browser may do with the files: run the page's own scripts and WebAssembly, and ask nobody else.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; \
    worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Threads that answer, so that a slow reader keeps nobody waiting.
const THREADS: usize = 4;

/// Runs the command until it is interrupted.
///
/// # Errors
/// A page that is not built; a port that is taken.
pub fn run(args: &Args) -> Done {
    let folder = folder(args.dir.as_deref())?;
    let server = Server::http(("127.0.0.1", args.port)).map_err(|error| {
        Failure::Failed(format!("port {} of 127.0.0.1 cannot be used: {error}", args.port))
    })?;
    files::print(&format!("http://{}/\n", server.server_addr()))?;
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for request in server.incoming_requests() {
                    answer(request, &folder);
                }
            });
        }
    });
    Ok(())
}

/// The folder of the built page.
fn folder(given: Option<&Path>) -> Done<PathBuf> {
    let is_page = |folder: &Path| folder.join(FIRST).is_file();
    let folders = match given {
        Some(folder) => vec![folder.to_owned()],
        None => {
            let program = std::env::current_exe().map_err(Failure::failed)?;
            // `page/build` writes beside the folder of a build's profile
            program.ancestors().skip(1).take(2).map(|folder| folder.join("page")).collect()
        }
    };
    folders.iter().find(|folder| is_page(folder)).cloned().ok_or_else(|| {
        let names: Vec<String> = folders.iter().map(|of| of.display().to_string()).collect();
        Failure::Failed(format!(
            "no page: there is no {FIRST} in {}; build it with `page/build` of the sources, and give its folder with --dir",
            names.join(" or ")
        ))
    })
}

/// Answers one request. A browser that went away is no error.
fn answer(request: Request, folder: &Path) {
    let refused = |status, text: &str| (status, File::plain(text));
    let (status, file) = match request.method() {
        Method::Get => match file(request.url(), takes_gzip(request.headers()), folder) {
            Some(file) => (200, file),
            None => refused(404, "no such file\n"),
        },
        _ => refused(405, "only GET is answered\n"),
    };
    let mut response = Response::from_data(file.content).with_status_code(status);
    let headers = [
        ("Content-Type", file.kind),
        ("Content-Security-Policy", POLICY),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Cache-Control", if file.is_hashed { "max-age=31536000, immutable" } else { "no-cache" }),
        ("Vary", "Accept-Encoding"),
    ];
    let compressed = file.is_compressed.then_some(("Content-Encoding", "gzip"));
    let allowed = (status == 405).then_some(("Allow", "GET"));
    for (name, value) in headers.into_iter().chain(compressed).chain(allowed) {
        if let Ok(header) = Header::from_bytes(name, value) {
            response.add_header(header);
        }
    }
    let _ = request.respond(response);
}

/// Whether a browser takes what gzip compressed.
fn takes_gzip(headers: &[Header]) -> bool {
    headers.iter().filter(|header| header.field.equiv("Accept-Encoding")).any(|header| {
        header.value.as_str().split(',').any(|coding| {
            let mut words = coding.split(';').map(str::trim);
            let refuses = |weight: &str| {
                weight.strip_prefix("q=").is_some_and(|q| q.parse().is_ok_and(|q: f64| q == 0.0))
            };
            words.next() == Some("gzip") && !words.any(refuses)
        })
    })
}

/// A file that a request names.
#[derive(Debug)]
struct File {
    kind: &'static str,
    content: Vec<u8>,
    is_compressed: bool,
    /// Whether its name has a hash of its content, so that a browser need never ask for it again.
    is_hashed: bool,
}

impl File {
    fn plain(text: &str) -> Self {
        Self {
            kind: "text/plain; charset=utf-8",
            content: text.as_bytes().to_owned(),
            is_compressed: false,
            is_hashed: false,
        }
    }
}

/// The file that a request names, as `page/build` compressed it where the browser takes that. The page has no folders, so a path is a
/// plain name.
fn file(url: &str, takes_gzip: bool, folder: &Path) -> Option<File> {
    let path = url.split(['?', '#']).next()?.strip_prefix('/')?;
    let name = if path.is_empty() { FIRST } else { path };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.starts_with('.') || !name.chars().all(is_plain) {
        return None;
    }
    let (stem, ending) = name.rsplit_once('.')?;
    let kind = match ending {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "wasm" => "application/wasm",
        _ => return None,
    };
    let compressed = takes_gzip.then(|| fs::read(folder.join(format!("{name}.gz"))).ok()).flatten();
    let is_compressed = compressed.is_some();
    let content = compressed.or_else(|| fs::read(folder.join(name)).ok())?;
    Some(File { kind, content, is_compressed, is_hashed: is_hashed(stem) })
}

/// Digits of the hash in a name: `page/kept.mjs` writes them.
const HASH_DIGITS: usize = 16;

fn is_hashed(stem: &str) -> bool {
    stem.rsplit_once('-').is_some_and(|(_, hash)| {
        hash.len() == HASH_DIGITS && hash.bytes().all(|c| c.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pages_own_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("index.html"), "<!doctype html>").unwrap();
        fs::write(folder.path().join("index.html.gz"), "compressed").unwrap();
        fs::write(folder.path().join("secret.txt"), "secret").unwrap();
        fs::write(folder.path().join(".hidden.js"), "secret").unwrap();
        fs::create_dir(folder.path().join("inner.js")).unwrap();
        let of = |url: &str| file(url, true, folder.path()).map(|file| file.kind);
        for first in ["/", "/index.html", "/?x=1"] {
            assert_eq!(of(first), Some("text/html; charset=utf-8"), "{first}");
        }
        let outside = [
            "/../index.html",
            "//etc/passwd",
            "/%2e%2e/index.html",
            "/..%2findex.html",
            "/./index.html",
            "/.hidden.js",
            "/secret.txt",
            "/inner.js",
            "/index.html.gz",
            "/absent.js",
            "/index.html/",
            "http://other/index.html",
            "",
        ];
        for url in outside {
            assert_eq!(of(url), None, "{url}");
        }
    }

    #[test]
    fn a_browser_says_whether_it_takes_gzip() {
        let takes =
            |value: &str| takes_gzip(&[Header::from_bytes("accept-encoding", value).unwrap()]);
        for value in ["gzip", "gzip, deflate, br, zstd", "br;q=1.0, gzip;q=0.8"] {
            assert!(takes(value), "{value}");
        }
        for value in ["", "identity", "br", "gzip;q=0", "br, gzip; q=0.0", "xgzip"] {
            assert!(!takes(value), "{value}");
        }
        assert!(!takes_gzip(&[]));
    }

    #[test]
    fn a_name_tells_whether_it_has_a_hash() {
        assert!(is_hashed("page-0123456789abcdef"));
        for stem in ["index", "offline", "page-0123", "page-0123456789abcdeg", "0123456789abcdef"] {
            assert!(!is_hashed(stem), "{stem}");
        }
    }
}
