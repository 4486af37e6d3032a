//! The address of an HTTP call, with holes in its path and its query.
//!
//! Invariant: whatever fills the holes, the scheme, the host and the other segments of the path are those of the template.

use std::collections::BTreeSet;
use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;
use serde_json::Value;

use crate::holes::{self, Piece, Template};
#[cfg(feature = "declare")]
use crate::holes::{Form, Need};
use crate::{InvalidSetting, ToolError};

/// What is encoded in a segment of a path or in a query: all but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The address of an HTTP call.
#[derive(Clone, Debug)]
pub(super) struct Address {
    /// The text of the template, for errors.
    text: String,
    path: Template,
    query: Vec<(String, Template)>,
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    ///
    /// If it is no HTTP URL, if its scheme or host has holes, or if all of it is a hole and no host is allowed.
    pub(super) fn parse(
        text: &str,
        query: &[(String, String)],
        hosts: &BTreeSet<String>,
    ) -> Result<Self, InvalidSetting> {
        let wrong = |why: String| InvalidSetting::new("url", why);
        let path = Template::parse(text).map_err(wrong)?;
        if path.whole().is_some() {
            if hosts.is_empty() {
                let why =
                    format!("`{text}` leaves the host to the call: say in `allow_hosts` which it may be");
                return Err(wrong(why));
            }
        } else {
            let Some(Piece::Text(start)) = path.pieces().first() else {
                return Err(wrong(format!("`{text}` does not begin with a scheme and a host")));
            };
            let rest = start.split_once("://").map(|(_, rest)| rest);
            let has_holes = path.holes().next().is_some();
            if has_holes && !rest.is_some_and(|rest| rest.contains(['/', '?'])) {
                return Err(wrong(format!("`{text}` has a hole in its host")));
            }
            let url = Url::parse(start).map_err(|error| wrong(format!("`{text}` is no URL: {error}")))?;
            if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
                return Err(wrong(format!("`{text}` is no HTTP URL")));
            }
            if !url.username().is_empty() || url.password().is_some() {
                return Err(wrong(
                    "a URL with a password in it: use `secret_headers`".to_owned(),
                ));
            }
        }
        let query = query
            .iter()
            .map(|(name, template)| Ok((name.clone(), Template::parse(template)?)))
            .collect::<Result<_, String>>()
            .map_err(|why| InvalidSetting::new("query", why))?;
        Ok(Self {
            text: text.to_owned(),
            path,
            query,
        })
    }

    /// Returns true if it may lead to a server with TLS.
    pub(super) fn may_be_secure(&self) -> bool {
        !self.text.starts_with("http://")
    }

    /// Returns the arguments that fill the holes.
    #[cfg(feature = "declare")]
    pub(super) fn needs(&self) -> Vec<Need> {
        let path = self
            .path
            .holes()
            .filter_map(|path| Need::new(path, Form::Text, false));
        let query = self.query.iter().flat_map(|(_, template)| {
            let whole = template.whole().is_some();
            let form = if whole { Form::Any } else { Form::Text };
            template
                .holes()
                .filter_map(move |path| Need::new(path, form, whole))
        });
        path.chain(query).collect()
    }

    /// Fills the holes.
    ///
    /// # Errors
    ///
    /// If an argument is missing or would change more of the address than its own place.
    pub(super) fn fill(&self, arguments: &Value, hosts: &BTreeSet<String>) -> Result<Url, ToolError> {
        let mut url = match self.path.whole() {
            Some(path) => given(&holes::text(holes::present(arguments, path)?), hosts)?,
            None => self.fill_path(arguments)?,
        };
        for (name, template) in &self.query {
            let values = match template.whole() {
                None => vec![template.fill(arguments)?],
                Some(path) => match holes::present(arguments, path) {
                    Err(_) => Vec::new(),
                    Ok(Value::Array(values)) => values
                        .iter()
                        .map(|value| holes::text(value).into_owned())
                        .collect(),
                    Ok(value) => vec![holes::text(value).into_owned()],
                },
            };
            for value in values {
                url.query_pairs_mut().append_pair(name, &value);
            }
        }
        Ok(url)
    }

    fn fill_path(&self, arguments: &Value) -> Result<Url, ToolError> {
        let mut text = String::new();
        for piece in self.path.pieces() {
            let path = match piece {
                Piece::Text(literal) => {
                    text.push_str(literal);
                    continue;
                }
                Piece::Hole(path) => path,
            };
            let value = holes::text(holes::present(arguments, path)?);
            // An empty segment would name another thing, such as the whole collection.
            if value.is_empty() && !text.contains('?') {
                let name = path.join(".");
                return Err(ToolError::permanent(format!("the argument `{name}` is empty")));
            }
            text.extend(utf8_percent_encode(&value, RESERVED));
        }
        let path = text.split(['?', '#']).next().unwrap_or_default();
        if path.split('/').any(|segment| matches!(segment, "." | "..")) {
            let why = format!("the arguments lead out of their place in {self}");
            return Err(ToolError::permanent(why));
        }
        Url::parse(&text)
            .map_err(|error| ToolError::permanent(format!("{self} is no URL when filled: {error}")))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.text)
    }
}

/// Reads a URL that the caller gives.
fn given(text: &str, hosts: &BTreeSet<String>) -> Result<Url, ToolError> {
    let shown = crate::output::excerpt(text, 200);
    let url =
        Url::parse(text).map_err(|error| ToolError::permanent(format!("`{shown}` is no URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || !is_allowed(&url, hosts) {
        return Err(ToolError::permanent(format!(
            "`{shown}` is no address to which this tool may go"
        )));
    }
    Ok(url)
}

/// Returns true if a host is among those that are allowed.
pub(super) fn is_allowed(url: &Url, hosts: &BTreeSet<String>) -> bool {
    hosts.contains("*")
        || hosts.contains(&host(url))
        || url.port().is_none() && url.host_str().is_some_and(|host| hosts.contains(host))
}

/// Returns `host:port`.
pub(super) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn address(text: &str) -> Result<Address, InvalidSetting> {
        Address::parse(text, &[], &BTreeSet::new())
    }

    #[test]
    fn an_argument_stays_in_its_place() {
        let address = address("http://h/a/{id}/b?q={q}").unwrap();
        let check = |id: Value, q: &str, expected: Result<&str, &str>| {
            let filled = address.fill(&json!({ "id": id, "q": q }), &BTreeSet::new());
            let filled = filled.map(String::from).map_err(|error| error.message);
            assert_eq!(filled.as_deref().map_err(String::as_str), expected, "{id}");
        };
        check(json!(7), "x y", Ok("http://h/a/7/b?q=x%20y"));
        check(json!("../c"), "&z=1#f", Ok("http://h/a/..%2Fc/b?q=%26z%3D1%23f"));
        check(json!("ä?#%2f"), "", Ok("http://h/a/%C3%A4%3F%23%252f/b?q="));
        check(json!("@evil:80"), "", Ok("http://h/a/%40evil%3A80/b?q="));
        let out = "the arguments lead out of their place in `http://h/a/{id}/b?q={q}`";
        check(json!(".."), "", Err(out));
        check(json!("."), "", Err(out));
        check(json!("%2e%2e"), "", Ok("http://h/a/%252e%252e/b?q="));
        check(json!(""), "", Err("the argument `id` is empty"));
        check(json!(null), "", Err("the argument `id` is missing"));
    }

    #[test]
    fn the_host_is_not_for_the_caller_to_choose() {
        for text in [
            "http://{host}/a",
            "http://api.{x}",
            "{scheme}://h/",
            "http://h{port}",
            "h/{a}",
            "ftp://h/{a}",
            "http://u:p@h/",
        ] {
            let error = address(text).unwrap_err();
            assert_eq!(error.key, "url", "{text}: {error}");
        }
        assert!(address("{url}").unwrap_err().message.contains("allow_hosts"));
        let hosts = BTreeSet::from(["h".to_owned(), "i:81".to_owned()]);
        let whole = Address::parse("{url}", &[], &hosts).unwrap();
        let check = |url: &str| whole.fill(&json!({ "url": url }), &hosts).map(String::from);
        assert_eq!(check("http://h/a/../b?c").unwrap(), "http://h/b?c");
        assert_eq!(check("http://i:81/").unwrap(), "http://i:81/");
        for url in [
            "http://i/",
            "http://h:81/",
            "http://h@evil/",
            "file:///etc/passwd",
            "nonsense",
            "http://hh/",
        ] {
            assert!(check(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_query_is_left_out_repeated_or_filled() {
        let query = [("a", "{a}"), ("b", "x{b}")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let address = Address::parse("http://h/", &query, &BTreeSet::new()).unwrap();
        let fill = |arguments: Value| address.fill(&arguments, &BTreeSet::new()).map(String::from);
        assert_eq!(fill(json!({ "b": 1 })).unwrap(), "http://h/?b=x1");
        assert_eq!(
            fill(json!({ "a": ["1", "&"], "b": "" })).unwrap(),
            "http://h/?a=1&a=%26&b=x"
        );
        assert!(fill(json!({ "a": 1 })).is_err());
    }
}
