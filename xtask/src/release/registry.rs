//! A crate registry on loopback, for proofs: the sparse index protocol and the part of the web API that
//! `cargo publish` uses. It keeps everything in memory and ends with the process.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value, json};
use xshell::{Shell, cmd};

/// No upload of this project comes near this size; crates.io takes 10 MiB.
const MAX_BODY: usize = 16 << 20;

/// A registry that runs.
pub(crate) struct Registry {
    addr: SocketAddr,
    store: Arc<Mutex<Store>>,
}

#[derive(Default)]
struct Store {
    /// The lines of the index, by name.
    index: BTreeMap<String, Vec<String>>,
    /// The uploaded archives, by `NAME/VERSION`.
    crates: BTreeMap<String, Vec<u8>>,
}

impl Registry {
    /// Starts a registry on a free port.
    pub(crate) fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("cannot listen on loopback")?;
        let addr = listener.local_addr()?;
        let store = Arc::new(Mutex::new(Store::default()));
        let shared = Arc::clone(&store);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    if let Err(error) = serve(&stream, addr, &shared) {
                        eprintln!("registry: {error:#}");
                    }
                });
            }
        });
        Ok(Self { addr, store })
    }

    /// Returns the address of the index, as cargo's configuration wants it.
    pub(crate) fn index(&self) -> String {
        format!("sparse+http://{}/index/", self.addr)
    }

    /// Returns every published `NAME/VERSION`, sorted.
    pub(crate) fn published(&self) -> Vec<String> {
        self.store
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .crates
            .keys()
            .cloned()
            .collect()
    }
}

struct Request {
    method: String,
    path: String,
    body: Vec<u8>,
}

fn serve(stream: &TcpStream, addr: SocketAddr, store: &Mutex<Store>) -> Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader)? {
        let (status, body) = answer(&request, addr, store);
        let mut out = stream;
        write!(out, "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len())?;
        out.write_all(&body)?;
        out.flush()?;
    }
    Ok(())
}

/// Reads a request; `None` if the client has closed the connection.
fn read_request(reader: &mut BufReader<&TcpStream>) -> Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        bail!("not a request line: {line:?}")
    };
    let (method, path) = (method.to_owned(), path.to_owned());
    let mut len = 0;
    loop {
        let mut header = String::new();
        ensure!(
            reader.read_line(&mut header)? > 0,
            "the head of the request is cut"
        );
        let header = header.trim_end();
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').context("a header has no colon")?;
        let (name, value) = (name.to_ascii_lowercase(), value.trim());
        if name == "content-length" {
            len = value.parse().context("the content length is no number")?;
        } else if name == "expect" && value.eq_ignore_ascii_case("100-continue") {
            reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
    }
    ensure!(len <= MAX_BODY, "a body of {len} bytes is too large");
    let mut body = vec![0; len];
    reader.read_exact(&mut body)?;
    Ok(Some(Request { method, path, body }))
}

fn answer(request: &Request, addr: SocketAddr, store: &Mutex<Store>) -> (&'static str, Vec<u8>) {
    let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
    let found = match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/index/config.json") => {
            let config = json!({"dl": format!("http://{addr}/dl"), "api": format!("http://{addr}")});
            Some(config.to_string().into_bytes())
        }
        ("PUT", "/api/v1/crates/new") => match store.publish(&request.body) {
            Ok(()) => Some(json!({"warnings": {}}).to_string().into_bytes()),
            // The web API reports errors in the body of a 200.
            Err(error) => Some(
                json!({"errors": [{"detail": format!("{error:#}")}]})
                    .to_string()
                    .into_bytes(),
            ),
        },
        ("GET", path) => {
            let name = path
                .strip_prefix("/index/")
                .and_then(|path| path.rsplit('/').next());
            let lines = name.and_then(|name| store.index.get(name));
            let index = lines.map(|lines| {
                lines
                    .iter()
                    .map(|line| format!("{line}\n"))
                    .collect::<String>()
                    .into_bytes()
            });
            let archive = path
                .strip_prefix("/dl/")
                .and_then(|path| path.strip_suffix("/download"));
            index.or_else(|| archive.and_then(|key| store.crates.get(key)).cloned())
        }
        _ => None,
    };
    match found {
        Some(body) => ("200 OK", body),
        None => ("404 Not Found", Vec::new()),
    }
}

impl Store {
    /// Takes an upload: the length of the metadata, the metadata, the length of the archive, the archive.
    fn publish(&mut self, body: &[u8]) -> Result<()> {
        let (metadata, rest) = part(body).context("the metadata is cut")?;
        let (archive, rest) = part(rest).context("the archive is cut")?;
        ensure!(rest.is_empty(), "{} bytes follow the archive", rest.len());
        let metadata: Value = serde_json::from_slice(metadata).context("the metadata is not JSON")?;
        let (Some(name), Some(version)) = (metadata["name"].as_str(), metadata["vers"].as_str()) else {
            bail!("the metadata has no name or no version");
        };
        let key = format!("{name}/{version}");
        ensure!(
            !self.crates.contains_key(&key),
            "{name} {version} is published already"
        );
        let line = index_line(&metadata, &checksum(archive)?).to_string();
        self.index.entry(name.to_lowercase()).or_default().push(line);
        self.crates.insert(key, archive.to_vec());
        Ok(())
    }
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*len)).ok()?)
}

/// Makes the line of the index from the metadata of an upload, which names some fields otherwise.
fn index_line(metadata: &Value, checksum: &str) -> Value {
    let deps: Vec<Value> = metadata["deps"]
        .as_array()
        .into_iter()
        .flatten()
        .map(index_dependency)
        .collect();
    // Features that use the newer syntax stand apart, so that an old cargo does not see them.
    let mut features = Map::new();
    let mut newer = Map::new();
    for (name, values) in metadata["features"].as_object().into_iter().flatten() {
        let is_new = values
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .any(|v| v.starts_with("dep:") || v.contains("?/"));
        if is_new { &mut newer } else { &mut features }.insert(name.clone(), values.clone());
    }
    json!({
        "name": metadata["name"], "vers": metadata["vers"], "deps": deps, "cksum": checksum, "features": features,
        "features2": newer, "v": 2, "yanked": false, "links": metadata["links"], "rust_version": metadata["rust_version"],
    })
}

fn index_dependency(dep: &Value) -> Value {
    let renamed = dep["explicit_name_in_toml"].as_str();
    json!({
        "name": renamed.map_or(dep["name"].clone(), Value::from), "req": dep["version_req"], "features": dep["features"],
        "optional": dep["optional"], "default_features": dep["default_features"], "target": dep["target"],
        "kind": dep["kind"], "registry": dep["registry"],
        "package": if renamed.is_some() { dep["name"].clone() } else { Value::Null },
    })
}

fn checksum(archive: &[u8]) -> Result<String> {
    let sh = Shell::new()?;
    let line = cmd!(sh, "sha256sum").stdin(archive).quiet().read()?;
    line.split_whitespace()
        .next()
        .map(str::to_owned)
        .context("sha256sum printed nothing")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(metadata: &Value, archive: &[u8]) -> Vec<u8> {
        let metadata = metadata.to_string();
        let mut body = Vec::new();
        for part in [metadata.as_bytes(), archive] {
            body.extend(u32::try_from(part.len()).unwrap().to_le_bytes());
            body.extend(part);
        }
        body
    }

    /// Sends a request over a socket; returns the status and the body.
    fn send(registry: &Registry, method: &str, path: &str, body: &[u8]) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect(registry.addr).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .unwrap();
        stream.write_all(body).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let head = answer
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .unwrap();
        let status = String::from_utf8_lossy(&answer[9..12]).into_owned();
        (status, answer[head + 4..].to_vec())
    }

    #[test]
    fn what_is_uploaded_is_listed_and_served() {
        let registry = Registry::start().unwrap();
        let metadata = json!({"name": "abc-d", "vers": "1.2.3", "features": {"f": ["dep:x"], "g": ["f"]}, "links": null,
            "deps": [{"name": "real", "explicit_name_in_toml": "x", "version_req": "^1", "features": [], "optional": true,
                      "default_features": false, "target": null, "kind": "normal", "registry": "https://elsewhere"}]});
        assert_eq!(send(&registry, "GET", "/index/ab/c-/abc-d", b"").0, "404");
        let (status, body) = send(
            &registry,
            "PUT",
            "/api/v1/crates/new",
            &upload(&metadata, b"archive"),
        );
        assert_eq!(
            (status.as_str(), String::from_utf8_lossy(&body).as_ref()),
            ("200", "{\"warnings\":{}}")
        );

        let (_, line) = send(&registry, "GET", "/index/ab/c-/abc-d", b"");
        let line: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(line["deps"][0]["name"], "x");
        assert_eq!(line["deps"][0]["package"], "real");
        assert_eq!(line["deps"][0]["req"], "^1");
        assert_eq!(line["features"], json!({"g": ["f"]}));
        assert_eq!(line["features2"], json!({"f": ["dep:x"]}));
        // sha256 of the seven bytes `archive`.
        assert_eq!(
            line["cksum"],
            "0eb3e36bfb24dcd9bb1d1bece1531216b59539a8fde17ee80224af0653c92aa3"
        );
        assert_eq!(
            send(&registry, "GET", "/dl/abc-d/1.2.3/download", b""),
            ("200".to_owned(), b"archive".to_vec())
        );
        assert_eq!(registry.published(), ["abc-d/1.2.3"]);
    }

    #[test]
    fn a_version_is_published_once_and_a_cut_upload_never() {
        let registry = Registry::start().unwrap();
        let body = upload(
            &json!({"name": "a", "vers": "1.0.0", "deps": [], "features": {}}),
            b"x",
        );
        let put =
            |body: &[u8]| String::from_utf8(send(&registry, "PUT", "/api/v1/crates/new", body).1).unwrap();
        assert!(put(&body[..body.len() - 1]).contains("the archive is cut"));
        assert!(put(&[1]).contains("the metadata is cut"));
        assert!(put(&body).contains("warnings"));
        assert!(put(&body).contains("published already"));
        assert_eq!(registry.published(), ["a/1.0.0"]);
    }
}
