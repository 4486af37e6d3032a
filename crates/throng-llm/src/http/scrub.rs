//! Cuts keys out of bytes that came in pieces, also where a key was split over several of them.

use throng_core::Secret;

/// Replaces every secret in the pieces of a body. The replacement stands where the secret began; the pieces after it
/// lose their share. The beginning of a secret at the end of the body goes as well.
pub(super) fn scrub_pieces(pieces: &mut [Vec<u8>], secrets: &[Secret]) {
    for secret in secrets {
        let plain = secret.expose();
        if plain.len() < Secret::MIN_SCRUBBED {
            continue;
        }
        scrub_one(pieces, plain.as_bytes());
        let quoted = serde_json::Value::from(plain).to_string();
        let escaped = quoted.trim_matches('"');
        if escaped != plain {
            scrub_one(pieces, escaped.as_bytes());
        }
    }
}

fn scrub_one(pieces: &mut [Vec<u8>], secret: &[u8]) {
    let whole = pieces.concat();
    let mut cuts: Vec<(usize, usize)> = memchr::memmem::find_iter(&whole, secret)
        .map(|at| (at, at + secret.len()))
        .collect();
    let rest = cuts.last().map_or(0, |(_, end)| *end);
    let partial = (Secret::MIN_SCRUBBED..secret.len()).rev().find(|len| {
        whole
            .get(rest..)
            .is_some_and(|tail| tail.ends_with(&secret[..*len]))
    });
    cuts.extend(partial.map(|len| (whole.len() - len, whole.len())));
    if cuts.is_empty() {
        return;
    }
    let mut start = 0;
    for piece in pieces {
        let end = start + piece.len();
        let mut kept = Vec::with_capacity(piece.len());
        let mut at = start;
        for &(from, to) in cuts.iter().filter(|(from, to)| *from < end && *to > start) {
            kept.extend_from_slice(&whole[at..from.clamp(at, end)]);
            if from >= start {
                kept.extend_from_slice(Secret::REDACTED.as_bytes());
            }
            at = to.min(end);
        }
        kept.extend_from_slice(&whole[at..end]);
        *piece = kept;
        start = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_goes_wherever_it_was_split() {
        let secrets = [Secret::new("sk-secret\"key")];
        let body = "a sk-secret\"key b {\"k\":\"sk-secret\\\"key\"} sk-secret\"key and sk-secr";
        let clean = "a [redacted] b {\"k\":\"[redacted]\"} [redacted] and [redacted]";
        for size in 1..=body.len() {
            let mut pieces: Vec<_> = body.as_bytes().chunks(size).map(<[u8]>::to_vec).collect();
            let count = pieces.len();
            scrub_pieces(&mut pieces, &secrets);
            assert_eq!(
                String::from_utf8(pieces.concat()).unwrap(),
                clean,
                "pieces of {size}"
            );
            assert_eq!(pieces.len(), count);
        }
        let mut pieces = vec![b"sk-".to_vec(), b"nothing".to_vec()];
        scrub_pieces(&mut pieces, &secrets);
        assert_eq!(pieces.concat(), b"sk-nothing");
    }
}
