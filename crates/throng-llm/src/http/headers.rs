//! What the headers of an answer say: the request's id, rate limits, and when to come back.

use std::time::{Duration, SystemTime};

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use crate::{InvalidConfig, RateLimit, RateLimits, Secret};

/// Headers that the client sets itself.
const OWN_HEADERS: [&str; 6] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
];

/// Names under which providers give the request's id.
const REQUEST_ID: [&str; 4] = [
    "x-request-id",
    "request-id",
    "apim-request-id",
    "mistral-correlation-id",
];

/// A longer wait than this is taken for nonsense.
const MAX_WAIT: Duration = Duration::from_secs(366 * 86_400);

/// What the headers of an answer say.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) status: u16,
    pub(super) request_id: Option<String>,
    pub(super) limits: RateLimits,
    pub(super) retry_after: Option<Duration>,
    pub(super) should_retry: Option<bool>,
}

impl Facts {
    pub(super) fn read(status: u16, headers: &HeaderMap) -> Self {
        let get = |name: &str| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::trim)
        };
        let limits = rate_limits(&get);
        let should_retry = match get("x-should-retry") {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => None,
        };
        let after = retry_after(&get);
        Self {
            status,
            request_id: REQUEST_ID
                .iter()
                .find_map(|name| get(name))
                .map(ToOwned::to_owned),
            limits,
            // Without a word on when to come back, the moment at which a used-up limit is full again is as good.
            retry_after: if status == 429 {
                after.or_else(|| limits.wait())
            } else {
                after
            },
            should_retry,
        }
    }
}

/// Returns the host to which a redirect leads.
pub(super) fn location_host(headers: &HeaderMap, from: &Url) -> Option<String> {
    let target = from.join(headers.get("location")?.to_str().ok()?).ok()?;
    host_port(&target)
}

/// Returns `host:port` of an address.
pub(super) fn host_port(url: &Url) -> Option<String> {
    Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
}

/// Checks a header that the caller sets.
///
/// # Errors
///
/// If it cannot be sent, or is the client's own business.
pub(super) fn own_header(name: &str, value: &Secret) -> Result<(HeaderName, HeaderValue), InvalidConfig> {
    let wrong = |reason| InvalidConfig::Header {
        name: name.to_owned(),
        reason,
    };
    let parsed = header_name(name)?;
    let mut header = HeaderValue::from_str(value.expose())
        .map_err(|_| wrong("has a value with characters that cannot be sent in a header"))?;
    let secret = ["key", "token", "auth", "secret", "cookie", "password"];
    header.set_sensitive(secret.iter().any(|word| parsed.as_str().contains(word)));
    Ok((parsed, header))
}

/// Makes the header that carries a key.
///
/// # Errors
///
/// If the key or the header's name cannot be sent.
pub(super) fn key_header(name: &str, key: &Secret) -> Result<(HeaderName, HeaderValue), InvalidConfig> {
    let name = header_name(name)?;
    let value = if name == AUTHORIZATION {
        HeaderValue::from_str(&format!("Bearer {}", key.expose()))
    } else {
        HeaderValue::from_str(key.expose())
    };
    let mut value = value.map_err(|_| InvalidConfig::ApiKey)?;
    value.set_sensitive(true);
    Ok((name, value))
}

fn header_name(name: &str) -> Result<HeaderName, InvalidConfig> {
    let wrong = |reason| InvalidConfig::Header {
        name: name.to_owned(),
        reason,
    };
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("is not a header's name"))?;
    if OWN_HEADERS.contains(&parsed.as_str()) {
        return Err(wrong("is set by the client itself"));
    }
    Ok(parsed)
}

fn rate_limits<'a>(get: &impl Fn(&str) -> Option<&'a str>) -> RateLimits {
    let one = |what: &str| {
        // OpenAI writes a duration until the reset, Anthropic the time of it.
        let number = |name: &str| get(name).and_then(|text| text.parse().ok());
        let openai = |part: &str| format!("x-ratelimit-{part}-{what}");
        let anthropic = |part: &str| format!("anthropic-ratelimit-{what}-{part}");
        RateLimit {
            limit: number(&openai("limit")).or_else(|| number(&anthropic("limit"))),
            remaining: number(&openai("remaining")).or_else(|| number(&anthropic("remaining"))),
            reset: get(&openai("reset"))
                .and_then(go_duration)
                .or_else(|| until(get(&anthropic("reset"))?, get("date"))),
        }
    };
    RateLimits {
        requests: one("requests"),
        tokens: one("tokens"),
        input_tokens: one("input-tokens"),
        output_tokens: one("output-tokens"),
    }
}

/// Returns how long it is until a time in the form of RFC 3339, such as `2025-01-01T00:00:30Z`; by the server's own
/// clock, if it says what it shows.
fn until(time: &str, date: Option<&str>) -> Option<Duration> {
    let time = humantime::parse_rfc3339(time).ok()?;
    let now = date
        .and_then(|date| httpdate::parse_http_date(date).ok())
        .unwrap_or_else(SystemTime::now);
    Some(time.duration_since(now).unwrap_or_default()).filter(|wait| *wait <= MAX_WAIT)
}

/// Reads `retry-after-ms` (milliseconds), else `retry-after` (seconds or an HTTP date).
fn retry_after<'a>(get: &impl Fn(&str) -> Option<&'a str>) -> Option<Duration> {
    if let Some(wait) = get("retry-after-ms").and_then(|text| seconds(text, 1e-3)) {
        return Some(wait);
    }
    let text = get("retry-after")?;
    seconds(text, 1.0).or_else(|| {
        let until = httpdate::parse_http_date(text).ok()?;
        // The server's own clock, if it says what it shows; the two clocks may differ.
        let now = get("date")
            .and_then(|date| httpdate::parse_http_date(date).ok())
            .unwrap_or_else(SystemTime::now);
        Some(until.duration_since(now).unwrap_or_default()).filter(|wait| *wait <= MAX_WAIT)
    })
}

fn seconds(text: &str, unit: f64) -> Option<Duration> {
    let number: f64 = text.parse().ok()?;
    Duration::try_from_secs_f64(number * unit)
        .ok()
        .filter(|wait| *wait <= MAX_WAIT)
}

/// Reads a duration as Go prints it: `1s`, `6m0s`, `17ms`, `2m59.56s`; a bare number is seconds.
fn go_duration(text: &str) -> Option<Duration> {
    if let Some(wait) = seconds(text, 1.0) {
        return Some(wait);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = rest.split_at(digits);
        let end = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        let (unit, after) = unit.split_at(end);
        let unit = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" | "μs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total = total.checked_add(seconds(number, unit)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(status: u16, headers: &[(&str, &str)]) -> Facts {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(
                reqwest::header::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
        }
        Facts::read(status, &map)
    }

    #[test]
    fn when_to_come_back() {
        let after = |headers: &[(&str, &str)]| facts(429, headers).retry_after;
        let ms = |ms| Some(Duration::from_millis(ms));
        assert_eq!(after(&[("retry-after", "7")]), ms(7_000));
        assert_eq!(after(&[("retry-after", "0.25")]), ms(250));
        assert_eq!(
            after(&[("retry-after", "7"), ("retry-after-ms", "1500.5")]),
            Some(Duration::from_micros(1_500_500))
        );
        let date = ("date", "Wed, 21 Oct 2015 07:28:00 GMT");
        assert_eq!(
            after(&[("retry-after", "Wed, 21 Oct 2015 07:28:09 GMT"), date]),
            ms(9_000)
        );
        assert_eq!(
            after(&[("retry-after", "Wed, 21 Oct 2015 07:27:00 GMT"), date]),
            ms(0),
            "in the past"
        );
        for nonsense in ["-1", "NaN", "inf", "1e300", "soon", ""] {
            assert_eq!(after(&[("retry-after", nonsense)]), None, "{nonsense}");
        }
        let limits = [
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "2s"),
        ];
        assert_eq!(after(&limits), ms(2_000));
        assert_eq!(facts(200, &limits).retry_after, None);
        assert_eq!(
            after(&[
                ("x-ratelimit-remaining-requests", "5"),
                ("x-ratelimit-reset-requests", "2s")
            ]),
            None
        );
    }

    #[test]
    fn durations_of_go() {
        let ms = |ms| Some(Duration::from_millis(ms));
        for (text, wait) in [
            ("1s", ms(1_000)),
            ("6m0s", ms(360_000)),
            ("17ms", ms(17)),
            ("2m59.56s", ms(179_560)),
            ("1h2m3s", ms(3_723_000)),
            ("0s", ms(0)),
            ("12", ms(12_000)),
            ("5µs", Some(Duration::from_micros(5))),
            ("", None),
            ("s", None),
            ("5", ms(5_000)),
            ("5d", None),
            ("1s2", None),
        ] {
            assert_eq!(go_duration(text), wait, "{text}");
        }
    }

    #[test]
    fn the_rest_of_the_headers() {
        let facts = facts(
            200,
            &[
                ("x-request-id", "req_1"),
                ("x-ratelimit-limit-requests", "500"),
                ("x-ratelimit-remaining-requests", "499"),
                ("x-ratelimit-reset-tokens", "17ms"),
                ("x-should-retry", "false"),
            ],
        );
        assert_eq!(facts.request_id.as_deref(), Some("req_1"));
        assert_eq!(facts.limits.requests.limit, Some(500));
        assert_eq!(facts.limits.requests.remaining, Some(499));
        assert_eq!(facts.limits.tokens.reset, Some(Duration::from_millis(17)));
        assert_eq!(facts.should_retry, Some(false));
    }
}
