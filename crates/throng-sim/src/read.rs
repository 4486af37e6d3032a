//! Reads the body of a request within limits of size and time.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// How much of a body that is too large is read and thrown away, so that the client is still there to read the
/// refusal. A client that sends more finds its connection closed.
const MAX_DISCARD: usize = 32 << 20;

/// Why there is no body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoBody {
    TooLarge,
    TooSlow,
    /// The client closed the connection or broke the protocol.
    Gone,
}

/// Reads a body of at most `limit` bytes.
pub(crate) async fn read_body(body: Incoming, limit: usize, timeout: Duration) -> Result<Bytes, NoBody> {
    tokio::time::timeout(timeout, collect(body, limit))
        .await
        .unwrap_or(Err(NoBody::TooSlow))
}

async fn collect(mut body: Incoming, limit: usize) -> Result<Bytes, NoBody> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let mut n_bytes = 0_usize;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| NoBody::Gone)?.into_data() else {
            continue;
        };
        n_bytes = n_bytes.saturating_add(data.remaining());
        if n_bytes > limit.saturating_add(MAX_DISCARD) {
            return Err(NoBody::TooLarge);
        }
        if n_bytes > limit {
            (first, rest) = (Bytes::new(), BytesMut::new());
        } else if first.is_empty() {
            // Most bodies arrive in one piece, which is then not copied.
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&data);
        }
    }
    match (n_bytes > limit, rest.is_empty()) {
        (true, _) => Err(NoBody::TooLarge),
        (false, true) => Ok(first),
        (false, false) => Ok(rest.freeze()),
    }
}
