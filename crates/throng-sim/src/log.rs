//! The request log: an entry for every request, in memory up to a limit and on request in a file, and counters that
//! never drop anything.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Serialize, Serializer};
use throng_core::Usage;

use crate::fault::Fault;
use crate::wire::Wire;

/// What the server decided to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// To answer it.
    Answered,
    /// To answer it with a fault.
    Fault(Fault),
    /// To do what the script says; a scripted [`Fault`] is logged as [`Decision::Fault`].
    Scripted,
    /// To refuse it because of a rate limit.
    RateLimited,
    /// To refuse it because too many others were being worked on.
    ParallelLimited,
    /// To refuse it because its key is absent or wrong.
    Unauthorized,
    /// To refuse it because the model is not known.
    UnknownModel,
    /// To refuse it because it is malformed, too large or too slow.
    BadRequest,
}

impl Decision {
    /// Returns the decision as it stands in the log: `answered`, `rate_limited`, or the name of the fault.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Fault(fault) => fault.as_str(),
            Self::Scripted => "scripted",
            Self::RateLimited => "rate_limited",
            Self::ParallelLimited => "parallel_limited",
            Self::Unauthorized => "unauthorized",
            Self::UnknownModel => "unknown_model",
            Self::BadRequest => "bad_request",
        }
    }
}

impl Serialize for Decision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// How a reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum End {
    /// The last byte was handed to the connection.
    Complete,
    /// The server closed the connection on purpose.
    Cut,
    /// The client closed the connection before the reply was complete.
    ClientClosed,
    /// The server was shut down before the reply was complete.
    ServerClosed,
}

/// What is known of one request for a completion.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LogEntry {
    /// The number of the request, from 1, in order of arrival; the id of the reply, on wires that have one, is `req_`
    /// and this number.
    pub seq: u64,
    /// When it arrived, since the server started.
    #[serde(rename = "at_ms", serialize_with = "millis")]
    pub at: Duration,
    /// When its reply ended, since the server started; none while it is open.
    #[serde(rename = "ended_ms", serialize_with = "opt_millis")]
    pub ended: Option<Duration>,
    /// The wire on which it came.
    pub wire: Wire,
    /// The caller's name for it: the header `x-request-tag`, else a field of its
    /// body: on the wires of OpenAI `metadata.tag`, `metadata.id` or `user`, on that of Anthropic `metadata.tag` or
    /// `metadata.user_id`, on that of Gemini `labels.tag`. Cut at 200 characters.
    pub tag: Option<String>,
    /// The hash of the prompt, as [`prompt_hash`](crate::prompt_hash) gives it.
    #[serde(serialize_with = "hex")]
    pub prompt_hash: u64,
    /// The first characters of the prompt.
    pub prompt: String,
    /// The model that was asked for.
    pub model: String,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// The number of this attempt of the prompt, from 1; for a refused request the number that it would have had.
    /// 0 for requests that were refused before their prompt was looked at.
    pub attempt: u32,
    /// What was decided.
    pub decision: Decision,
    /// The HTTP status of the response; none if the connection is closed without one.
    pub status: Option<u16>,
    /// How the reply ended; none while it is open.
    pub end: Option<End>,
    /// The tokens of the prompt and of the whole answer, for requests that were admitted.
    pub usage: Usage,
}

/// Counters over all requests for a completion since the server started or was reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Requests that arrived.
    pub requests: u64,
    /// Requests that were answered as usual.
    pub answered: u64,
    /// Requests that met something scripted other than a fault.
    pub scripted: u64,
    /// Requests that met a fault, whether scripted or drawn.
    pub faults: u64,
    /// The same, for each fault.
    pub faults_by_kind: BTreeMap<&'static str, u64>,
    /// Requests that a rate limit refused.
    pub rate_limited: u64,
    /// Requests that the limit on parallel requests refused.
    pub parallel_limited: u64,
    /// Requests that were refused for what they were: key, model, form, size.
    pub refused: u64,
    /// Replies whose last byte was handed to the connection.
    pub complete: u64,
    /// Replies that the server cut on purpose.
    pub cut: u64,
    /// Replies that the client did not wait for.
    pub client_closed: u64,
    /// Replies that ended because the server was shut down.
    pub server_closed: u64,
    /// Requests that are open now. Not set back by a reset.
    pub open: u64,
    /// The most requests that were ever open at a time, refused ones included while they were being refused.
    pub peak_open: u64,
    /// Tokens of the usage of all admitted requests.
    pub usage: Usage,
    /// Connections that were accepted. Not set back by a reset.
    pub connections: u64,
    /// Connections that are open now. Not set back by a reset.
    pub connections_open: u64,
    /// Entries that the log in memory had to drop.
    pub log_dropped: u64,
    /// Lines that could not be written to the log file.
    pub log_errors: u64,
}

/// The entries and counters of a server.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) stats: Stats,
    entries: VecDeque<LogEntry>,
    capacity: usize,
    next_seq: u64,
    /// The first request that counts: those from before the last reset do not.
    first_seq: u64,
}

impl Log {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            stats: Stats::default(),
            entries: VecDeque::new(),
            capacity,
            next_seq: 1,
            first_seq: 1,
        }
    }

    /// Takes a number for a request that arrived.
    pub(crate) fn open(&mut self) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        self.stats.requests += 1;
        self.stats.open += 1;
        self.stats.peak_open = self.stats.peak_open.max(self.stats.open);
        seq
    }

    /// Adds the entry of a request about which something has been decided.
    pub(crate) fn decide(&mut self, entry: LogEntry) {
        if entry.seq < self.first_seq {
            return;
        }
        let stats = &mut self.stats;
        match entry.decision {
            Decision::Answered => stats.answered += 1,
            Decision::Scripted => stats.scripted += 1,
            Decision::RateLimited => stats.rate_limited += 1,
            Decision::ParallelLimited => stats.parallel_limited += 1,
            Decision::Fault(fault) => {
                stats.faults += 1;
                *stats.faults_by_kind.entry(fault.as_str()).or_default() += 1;
            }
            Decision::Unauthorized | Decision::UnknownModel | Decision::BadRequest => stats.refused += 1,
        }
        stats.usage.add(&entry.usage);
        if self.entries.len() >= self.capacity {
            self.entries.pop_front();
            stats.log_dropped += 1;
        }
        // Requests are decided in nearly the order in which they arrive; the few that overtake are put in place.
        let at = self
            .entries
            .iter()
            .rposition(|known| known.seq < entry.seq)
            .map_or(0, |before| before + 1);
        self.entries.insert(at, entry);
    }

    /// Closes a request.
    pub(crate) fn close(&mut self, seq: u64, end: End, at: Duration) {
        self.stats.open = self.stats.open.saturating_sub(1);
        if seq >= self.first_seq {
            match end {
                End::Complete => self.stats.complete += 1,
                End::Cut => self.stats.cut += 1,
                End::ClientClosed => self.stats.client_closed += 1,
                End::ServerClosed => self.stats.server_closed += 1,
            }
        }
        if let Some(entry) = self.entry(seq) {
            entry.end = Some(end);
            entry.ended = Some(at);
        }
    }

    /// Returns the entries after number `after`, oldest first.
    pub(crate) fn entries(&self, after: u64, limit: usize) -> Vec<LogEntry> {
        let from = self.entries.partition_point(|entry| entry.seq <= after);
        self.entries.range(from..).take(limit).cloned().collect()
    }

    /// Forgets all entries and sets the counters to zero. The numbers go on.
    pub(crate) fn reset(&mut self) {
        self.entries.clear();
        self.first_seq = self.next_seq;
        let Stats {
            open,
            connections,
            connections_open,
            ..
        } = self.stats;
        self.stats = Stats {
            open,
            peak_open: open,
            connections,
            connections_open,
            ..Stats::default()
        };
    }

    fn entry(&mut self, seq: u64) -> Option<&mut LogEntry> {
        let at = self.entries.binary_search_by_key(&seq, |entry| entry.seq).ok()?;
        self.entries.get_mut(at)
    }
}

fn millis<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((value.as_secs_f64() * 1e6).round() / 1e3)
}

fn opt_millis<S: Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => millis(value, serializer),
        None => serializer.serialize_none(),
    }
}

fn hex<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format!("{value:016x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(seq: u64, decision: Decision) -> LogEntry {
        LogEntry {
            seq,
            at: Duration::from_micros(1_234_567),
            ended: None,
            wire: Wire::Anthropic,
            tag: None,
            prompt_hash: 0xab,
            prompt: "p".into(),
            model: "m".into(),
            stream: true,
            attempt: 1,
            decision,
            status: None,
            end: None,
            usage: Usage::of(1, 2),
        }
    }

    #[test]
    fn old_entries_are_dropped_and_counters_are_not() {
        let mut log = Log::new(3);
        for _ in 0..10 {
            let seq = log.open();
            log.decide(entry(seq, Decision::Answered));
        }
        let end = Duration::from_secs(2);
        log.close(1, End::ClientClosed, end);
        log.close(10, End::Complete, end);
        assert_eq!(log.entries(9, 10)[0].end, Some(End::Complete));
        assert_eq!(
            log.entries(0, 10)
                .iter()
                .map(|entry| entry.seq)
                .collect::<Vec<_>>(),
            [8, 9, 10]
        );
        assert_eq!(log.entries(8, 1)[0].seq, 9);
        let stats = &log.stats;
        assert_eq!((stats.requests, stats.answered, stats.log_dropped), (10, 10, 7));
        assert_eq!(
            (stats.client_closed, stats.complete, stats.open, stats.peak_open),
            (1, 1, 8, 10)
        );
        assert_eq!(stats.usage, Usage::of(10, 20));
    }

    #[test]
    fn what_is_open_at_a_reset_ends_without_being_counted() {
        let mut log = Log::new(3);
        let (early, undecided) = (log.open(), log.open());
        log.decide(entry(early, Decision::Answered));
        log.reset();
        log.decide(entry(undecided, Decision::Answered));
        log.close(early, End::Complete, Duration::ZERO);
        assert!(log.entries(0, 9).is_empty());
        let late = log.open();
        assert_eq!(
            (log.stats.open, log.stats.peak_open, log.stats.requests),
            (2, 2, 1)
        );
        assert_eq!((log.stats.complete, log.stats.answered, late), (0, 0, 3));
    }

    #[test]
    fn entries_that_overtake_are_put_in_place() {
        let mut log = Log::new(9);
        let seqs = [log.open(), log.open(), log.open()];
        for seq in [seqs[1], seqs[2], seqs[0]] {
            log.decide(entry(seq, Decision::Answered));
        }
        assert_eq!(
            log.entries(0, 9)
                .iter()
                .map(|entry| entry.seq)
                .collect::<Vec<_>>(),
            [1, 2, 3]
        );
    }

    #[test]
    fn an_entry_is_one_line_of_json() {
        let line = serde_json::to_string(&entry(1, Decision::Fault(Fault::Cut))).unwrap();
        for part in [
            r#""at_ms":1234.567"#,
            r#""ended_ms":null"#,
            r#""decision":"cut""#,
            r#""wire":"anthropic""#,
            r#""prompt_hash":"00000000000000ab""#,
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
    }
}
