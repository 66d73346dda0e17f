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
    let (status, kind, content) = match request.method() {
        Method::Get => match file(request.url(), folder) {
            Some((kind, content)) => (200, kind, content),
            None => (404, PLAIN, b"no such file\n".to_vec()),
        },
        _ => (405, PLAIN, b"only GET is answered\n".to_vec()),
    };
    let mut response = Response::from_data(content).with_status_code(status);
    let allowed = (status == 405).then_some(("Allow", "GET"));
    let headers = [
        ("Content-Type", kind),
        ("Content-Security-Policy", POLICY),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Cache-Control", "no-cache"),
    ];
    for (name, value) in headers.into_iter().chain(allowed) {
        if let Ok(header) = Header::from_bytes(name, value) {
            response.add_header(header);
        }
    }
    let _ = request.respond(response);
}

const PLAIN: &str = "text/plain; charset=utf-8";

/// The type and the content of the file that a request names. The page has no folders, so a path is a plain name.
fn file(url: &str, folder: &Path) -> Option<(&'static str, Vec<u8>)> {
    let path = url.split(['?', '#']).next()?.strip_prefix('/')?;
    let name = if path.is_empty() { FIRST } else { path };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.starts_with('.') || !name.chars().all(is_plain) {
        return None;
    }
    let kind = match name.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "wasm" => "application/wasm",
        _ => return None,
    };
    Some((kind, fs::read(folder.join(name)).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pages_own_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("index.html"), "<!doctype html>").unwrap();
        fs::write(folder.path().join("secret.txt"), "secret").unwrap();
        fs::write(folder.path().join(".hidden.js"), "secret").unwrap();
        fs::create_dir(folder.path().join("inner.js")).unwrap();
        let of = |url: &str| file(url, folder.path()).map(|(kind, _)| kind);
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
            "/absent.js",
            "/index.html/",
            "http://other/index.html",
            "",
        ];
        for url in outside {
            assert_eq!(of(url), None, "{url}");
        }
    }
}
