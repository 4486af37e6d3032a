//! What may be shown of an address.

/// Hides what may be secret in an address: its user part and the values of its query.
pub(crate) fn redact_url(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let (user, host) = match authority.rsplit_once('@') {
        Some((_, host)) => ("[redacted]@", host),
        None => ("", authority),
    };
    let (path, query) = match rest.split_once(['?', '#']) {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    let query = query.map_or_else(String::new, |query| {
        let shown: Vec<String> = query
            .split(['&', ';', '#'])
            .map(|part| match part.split_once('=') {
                Some((name, _)) => format!("{name}=…"),
                None => "…".to_owned(),
            })
            .collect();
        format!("?{}", shown.join("&"))
    });
    format!("{scheme}{user}{host}{path}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_an_address_are_hidden() {
        assert_eq!(
            redact_url("http://user:pw@h:1/v1?a=b@c"),
            "http://[redacted]@h:1/v1?a=…"
        );
        assert_eq!(
            redact_url("http://h:1/v1?key=s=1&x&b=c#d"),
            "http://h:1/v1?key=…&…&b=…&…"
        );
        assert_eq!(redact_url("http://h:1?key=secret"), "http://h:1?key=…");
        assert_eq!(redact_url("user:pw@h/v1"), "[redacted]@h/v1");
        assert_eq!(redact_url("no url"), "no url");
    }
}
