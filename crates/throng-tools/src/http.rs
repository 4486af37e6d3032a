//! Tools that make an HTTP call: one request, filled from the arguments of the call, and its answer as the result.

mod answer;
mod body;
mod client;
mod url;

use std::collections::BTreeSet;
#[cfg(feature = "declare")]
use std::sync::Arc;

use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, Response, StatusCode, Url};
use serde_json::Value;

use crate::holes::Template;
#[cfg(feature = "declare")]
use crate::holes::{Form, Need};
use crate::{InvalidSetting, Tool, ToolContext, ToolError, ToolFuture, ToolSpec};

use answer::Reader;
use body::Body;
use url::Address;

pub use answer::AnswerKind;
pub(crate) use client::client;

/// How many redirects are followed.
const MAX_REDIRECTS: usize = 10;

/// A tool that makes an HTTP call.
///
/// The arguments of the call fill the holes of the URL, the query, the headers and the body. In the URL and the query
/// they are percent-encoded, so that no argument leads out of its place: one that is empty, or that makes a segment of
/// the path `.` or `..`, is refused.
///
/// The result is the body of an answer with a 2xx status. Of others, 429 is throttled and 503 and 529 are overload, with
/// their Retry-After; 408, 425 and 5xx may pass; the rest is permanent. Whether the effect happened is unknown after a
/// broken connection, and after a 5xx but for 503 and 529 that say when to come back.
///
/// A redirect is followed to the same host only, or to one that [`HttpToolBuilder::allow_host`] names; there, secret
/// headers are not sent. Nothing is retried by the tool itself, and no proxy is taken from the environment.
///
/// # Examples
///
/// ```
/// use throng_tools::{HttpTool, Tool, ToolSpec};
///
/// let spec = ToolSpec::new("issue").read_only();
/// let tool = HttpTool::builder(spec, "GET", "https://api.example.com/repos/{repo}/issues/{number}")
///     .query("fields", "{fields}")
///     .header("Accept", "application/json")
///     .secret_header("Authorization", "Bearer ", "secret-key")
///     .build()?;
/// assert_eq!(&*tool.spec().name, "issue");
/// # Ok::<(), throng_tools::InvalidSetting>(())
/// ```
#[derive(Debug)]
pub struct HttpTool {
    spec: ToolSpec,
    client: reqwest::Client,
    method: Method,
    address: Address,
    headers: Vec<(HeaderName, Template)>,
    secrets: Vec<(HeaderName, HeaderValue)>,
    body: Body,
    reader: Reader,
    hosts: BTreeSet<String>,
}

/// A request as it is sent; a redirect changes it.
struct Sending {
    method: Method,
    url: Url,
    body: Option<(&'static str, Vec<u8>)>,
    /// Whether it goes to where the tool was meant to go, and may carry secrets.
    home: bool,
}

impl HttpTool {
    /// Begins a tool that calls a URL.
    ///
    /// A URL may have holes in its path and query. One that is a single hole, `{url}`, leaves all of it to the caller,
    /// and needs [`HttpToolBuilder::allow_host`].
    pub fn builder(spec: ToolSpec, method: impl Into<String>, url: impl Into<String>) -> HttpToolBuilder {
        HttpToolBuilder {
            spec,
            method: method.into(),
            url: url.into(),
            query: Vec::new(),
            headers: Vec::new(),
            secrets: Vec::new(),
            body: Ok(Body::None),
            answer: AnswerKind::Auto,
            max_bytes: 1 << 20,
            hosts: BTreeSet::new(),
            client: None,
        }
    }

    /// Returns the arguments from which the request is filled.
    #[cfg(feature = "declare")]
    pub(crate) fn needs(&self) -> Vec<Need> {
        let mut needs = self.address.needs();
        let headers = self.headers.iter().flat_map(|(_, template)| template.holes());
        needs.extend(headers.filter_map(|path| Need::new(path, Form::Text, false)));
        self.body.needs(&mut needs);
        needs
    }

    #[cfg(feature = "declare")]
    pub(crate) fn set_parameters(&mut self, schema: Value) {
        self.spec.parameters = Arc::new(schema);
    }

    async fn run(&self, arguments: &Value) -> Result<Value, ToolError> {
        let mut headers = reqwest::header::HeaderMap::new();
        for (name, template) in &self.headers {
            let value = HeaderValue::from_str(&template.fill(arguments)?);
            let value = value.map_err(|_| {
                ToolError::permanent(format!(
                    "the header `{name}` cannot hold what the arguments make of it"
                ))
            })?;
            headers.insert(name, value);
        }
        let mut sending = Sending {
            method: self.method.clone(),
            url: self.address.fill(arguments, &self.hosts)?,
            body: self.body.fill(arguments)?,
            home: true,
        };
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(&sending, &headers).await?;
            match self.redirect(&sending, &response)? {
                Some(next) => sending = next,
                None => return self.reader.read(response).await,
            }
        }
        let text = format!("{} led to more than {MAX_REDIRECTS} redirects", self.address);
        Err(ToolError::permanent(text))
    }

    async fn send(
        &self,
        sending: &Sending,
        headers: &reqwest::header::HeaderMap,
    ) -> Result<Response, ToolError> {
        let mut request = self.client.request(sending.method.clone(), sending.url.clone());
        request = request.headers(headers.clone());
        if sending.home {
            for (name, value) in &self.secrets {
                request = request.header(name, value);
            }
        }
        if let Some((kind, body)) = &sending.body {
            if !headers.contains_key(CONTENT_TYPE) {
                request = request.header(CONTENT_TYPE, *kind);
            }
            request = request.body(body.clone());
        }
        let host = url::host(&sending.url);
        request
            .send()
            .await
            .map_err(|error| self.reader.send_error(&host, &error))
    }

    /// Returns the request to which an answer redirects, if it does.
    fn redirect(&self, sending: &Sending, response: &Response) -> Result<Option<Sending>, ToolError> {
        let keeps = match response.status() {
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => sending.method != Method::POST,
            StatusCode::SEE_OTHER => matches!(sending.method, Method::GET | Method::HEAD),
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
            _ => return Ok(None),
        };
        let Some(location) = response.headers().get(LOCATION) else {
            return Ok(None);
        };
        let target = location
            .to_str()
            .ok()
            .and_then(|location| sending.url.join(location).ok());
        let Some(url) = target else {
            return Err(ToolError::permanent(format!(
                "{} redirects to no address",
                self.address
            )));
        };
        let (from, to) = (url::host(&sending.url), url::host(&url));
        let downgrade = sending.url.scheme() == "https" && url.scheme() != "https";
        let web = matches!(url.scheme(), "http" | "https");
        if !web || downgrade || (from != to && !url::is_allowed(&url, &self.hosts)) {
            return Err(ToolError::permanent(format!(
                "{from} redirects to {}://{to}, where this tool may not go",
                url.scheme()
            )));
        }
        Ok(Some(Sending {
            home: sending.home && from == to,
            method: if keeps {
                sending.method.clone()
            } else {
                Method::GET
            },
            body: sending.body.clone().filter(|_| keeps),
            url,
        }))
    }
}

impl Tool for HttpTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn call(&self, arguments: Value, _cx: ToolContext) -> ToolFuture<'_> {
        Box::pin(async move { self.run(&arguments).await })
    }
}

/// Makes an [`HttpTool`].
#[must_use]
pub struct HttpToolBuilder {
    spec: ToolSpec,
    method: String,
    url: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    secrets: Vec<(String, String, String)>,
    body: Result<Body, InvalidSetting>,
    answer: AnswerKind,
    max_bytes: usize,
    hosts: BTreeSet<String>,
    client: Option<reqwest::Client>,
}

impl HttpToolBuilder {
    /// Adds a parameter to the query. One that is a single hole is left out if the argument is missing, and given once
    /// for each element of an array.
    pub fn query(mut self, name: impl Into<String>, template: impl Into<String>) -> Self {
        self.query.push((name.into(), template.into()));
        self
    }

    /// Sets a header, with holes.
    pub fn header(mut self, name: impl Into<String>, template: impl Into<String>) -> Self {
        self.headers.push((name.into(), template.into()));
        self
    }

    /// Sets a header to a text and a secret after it. It is not sent to other hosts, and the secret is cut out of answers
    /// and errors.
    pub fn secret_header(
        mut self,
        name: impl Into<String>,
        before: impl Into<String>,
        secret: impl Into<String>,
    ) -> Self {
        self.secrets.push((name.into(), before.into(), secret.into()));
        self
    }

    /// Sends JSON in which each text may have holes. A text that is a single hole becomes the argument itself, of whatever
    /// type; a member or an element of which the argument is missing is left out.
    pub fn json(mut self, template: &Value) -> Self {
        self.body = Body::json(template);
        self
    }

    /// Sends a text with holes. Its type is `text/plain` unless a header says otherwise.
    pub fn body(mut self, template: &str) -> Self {
        self.body = Body::text(template);
        self
    }

    /// Sets how the body of the answer becomes the result. Default: JSON if the answer says that it is, else text.
    pub fn answer(mut self, kind: AnswerKind) -> Self {
        self.answer = kind;
        self
    }

    /// Sets how long the body of an answer may be, in bytes; a longer one is an error. Default 1 MiB.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Lets redirects, and a URL that is an argument, lead to a host: `example.com`, `example.com:8080`, or `*` for any.
    pub fn allow_host(mut self, host: impl Into<String>) -> Self {
        self.hosts.insert(host.into().to_ascii_lowercase());
        self
    }

    /// Uses connections that other tools use as well.
    #[cfg(feature = "declare")]
    pub(crate) fn client(mut self, client: reqwest::Client) -> Self {
        self.client = Some(client);
        self
    }

    /// Makes the tool.
    ///
    /// # Errors
    ///
    /// If the method, the URL, a header or a template makes no sense, or if TLS cannot be set up.
    pub fn build(self) -> Result<HttpTool, InvalidSetting> {
        let method = Method::from_bytes(self.method.as_bytes())
            .map_err(|_| InvalidSetting::new("method", format!("`{}` is no HTTP method", self.method)))?;
        let address = Address::parse(&self.url, &self.query, &self.hosts)?;
        let mut headers = Vec::new();
        for (name, template) in &self.headers {
            let template = Template::parse(template).map_err(|why| InvalidSetting::new("headers", why))?;
            headers.push((header_name(name)?, template));
        }
        let mut secrets = Vec::new();
        let mut scrubbed = Vec::new();
        for (name, before, secret) in &self.secrets {
            let secret = secret.trim();
            let value = HeaderValue::from_str(&format!("{before}{secret}"));
            let mut value = value.map_err(|_| {
                let message = format!("the value of `{name}` has characters that cannot be sent in a header");
                InvalidSetting::new("secret_headers", message)
            })?;
            value.set_sensitive(true);
            secrets.push((header_name(name)?, value));
            scrubbed.push(secret.to_owned());
        }
        let client = match self.client {
            Some(client) => client,
            None => client(address.may_be_secure())?,
        };
        Ok(HttpTool {
            spec: self.spec,
            client,
            method,
            reader: Reader {
                kind: self.answer,
                max_bytes: self.max_bytes,
                secrets: scrubbed,
            },
            address,
            headers,
            secrets,
            body: self.body?,
            hosts: self.hosts,
        })
    }
}

fn header_name(name: &str) -> Result<HeaderName, InvalidSetting> {
    let wrong = |why: &str| InvalidSetting::new("headers", format!("`{name}` {why}"));
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("is no name of a header"))?;
    let own = ["connection", "content-length", "host", "transfer-encoding"];
    if own.contains(&name.as_str()) {
        return Err(wrong("is set by the client itself"));
    }
    Ok(name)
}
