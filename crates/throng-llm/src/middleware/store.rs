//! Where a cache keeps its answers: in memory or in a directory.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::fingerprint::hex;
use crate::{Fingerprint, StreamEvent};

/// The version of the files of a directory.
const VERSION: u32 = 1;

/// The largest answer that is stored in a directory.
const MAX_FILE_ANSWER: usize = 64 << 20;

/// The answers of a [`Cache`](crate::Cache). Clones share them; so can the caches of several clients.
///
/// Files are read and written on tokio's threads for blocking work.
#[derive(Clone)]
pub struct CacheStore {
    place: Arc<Place>,
    ttl: Option<Duration>,
    hits: Arc<AtomicU64>,
    misses: Arc<AtomicU64>,
}

enum Place {
    Memory(Mutex<Memory>),
    Dir(PathBuf),
}

impl CacheStore {
    /// Makes a store in memory for at most so many answers, of at most so many bytes together; what was not used for
    /// the longest time goes first. An answer larger than all the bytes is not stored.
    pub fn in_memory(max_answers: NonZeroUsize, max_bytes: usize) -> Self {
        Self::new(Place::Memory(Mutex::new(Memory {
            max_answers: max_answers.get(),
            max_bytes,
            answers: HashMap::new(),
            by_use: BTreeMap::new(),
            bytes: 0,
            clock: 0,
        })))
    }

    /// Makes a store of files in a directory, one an answer, and makes the directory. Nothing is ever deleted there.
    /// Several processes can share it. The files hold answers, not requests.
    ///
    /// A file that cannot be read as an answer counts as absent, with a warning by `tracing`; so does one that cannot
    /// be written.
    ///
    /// # Errors
    ///
    /// If the directory cannot be made.
    pub fn in_dir(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref().to_owned();
        std::fs::create_dir_all(&path)?;
        Ok(Self::new(Place::Dir(path)))
    }

    fn new(place: Place) -> Self {
        Self {
            place: Arc::new(place),
            ttl: None,
            hits: Arc::default(),
            misses: Arc::default(),
        }
    }

    /// Sets for how long an answer counts after it was stored; by default for ever.
    #[must_use]
    pub fn with_time_to_live(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Returns how many calls were answered from the store.
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Returns how many calls were not.
    pub fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }

    pub(super) fn max_answer_bytes(&self) -> usize {
        match &*self.place {
            Place::Memory(memory) => memory.lock().unwrap_or_else(PoisonError::into_inner).max_bytes,
            Place::Dir(_) => MAX_FILE_ANSWER,
        }
    }

    pub(super) async fn get(&self, key: &Key) -> Option<Arc<[StreamEvent]>> {
        let found = match &*self.place {
            Place::Memory(memory) => {
                let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
                memory.get(key, self.ttl, Instant::now())
            }
            Place::Dir(dir) => {
                let path = dir.join(key.file_name());
                let (key, ttl) = (key.clone(), self.ttl);
                let read = tokio::task::spawn_blocking(move || read(&path, &key, ttl));
                read.await.ok().flatten()
            }
        };
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Stores an answer of so many bytes.
    pub(super) async fn put(&self, key: Key, answer: Vec<StreamEvent>, bytes: usize) {
        match &*self.place {
            Place::Memory(memory) => {
                let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
                memory.put(key, answer.into(), bytes, Instant::now());
            }
            Place::Dir(dir) => {
                let dir = dir.clone();
                let written = tokio::task::spawn_blocking(move || write(&dir, &key, answer)).await;
                if let Ok(Err(error)) = written {
                    tracing::warn!(error = %error, "An answer could not be stored in the cache.");
                }
            }
        }
    }
}

impl fmt::Debug for CacheStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("CacheStore");
        if let Place::Dir(path) = &*self.place {
            debug.field("dir", path);
        }
        debug
            .field("hits", &self.hits())
            .field("misses", &self.misses())
            .field("time_to_live", &self.ttl)
            .finish_non_exhaustive()
    }
}

/// What a stored answer is the answer to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Key {
    namespace: Arc<str>,
    fingerprint: Fingerprint,
    repeat: u32,
}

impl Key {
    pub(super) fn new(namespace: &Arc<str>, fingerprint: Fingerprint, repeat: u32) -> Self {
        Self {
            namespace: Arc::clone(namespace),
            fingerprint,
            repeat,
        }
    }

    /// Returns the name of the answer's file. Of the namespace, which need not be a file's name, it has the hash.
    fn file_name(&self) -> String {
        let hash = hex(&Sha256::digest(self.namespace.as_bytes()));
        let namespace = hash.get(..16).unwrap_or_default();
        format!("{}-{namespace}-{}.json", self.fingerprint, self.repeat)
    }
}

/// Returns about how many bytes an event takes in memory.
pub(super) fn size(event: &StreamEvent) -> usize {
    let further = match event {
        StreamEvent::ReasoningOpaque(value) => value.to_string().len(),
        StreamEvent::Unknown { raw } => raw.len(),
        StreamEvent::ToolCallStart { id, name, .. } => id.len() + name.len(),
        StreamEvent::ToolCallEnd { call, .. } => call.id.len() + call.name.len() + call.arguments.len(),
        StreamEvent::Started(_) => size_of::<crate::Started>() + 128,
        _ => 0,
    };
    size_of::<StreamEvent>() + event.text_bytes() + further
}

/// Answers in memory, of which those that were not used for the longest time go first.
struct Memory {
    max_answers: usize,
    max_bytes: usize,
    answers: HashMap<Key, Answer>,
    /// Keys by the number of their last use.
    by_use: BTreeMap<u64, Key>,
    bytes: usize,
    /// The number of the last use.
    clock: u64,
}

struct Answer {
    events: Arc<[StreamEvent]>,
    bytes: usize,
    stored: Instant,
    used: u64,
}

impl Memory {
    fn get(&mut self, key: &Key, ttl: Option<Duration>, now: Instant) -> Option<Arc<[StreamEvent]>> {
        let stored = self.answers.get(key)?.stored;
        if ttl.is_some_and(|ttl| now.saturating_duration_since(stored) >= ttl) {
            self.remove(key);
            return None;
        }
        self.clock += 1;
        let answer = self.answers.get_mut(key)?;
        self.by_use.remove(&answer.used);
        answer.used = self.clock;
        self.by_use.insert(self.clock, key.clone());
        Some(Arc::clone(&answer.events))
    }

    fn put(&mut self, key: Key, events: Arc<[StreamEvent]>, bytes: usize, now: Instant) {
        self.remove(&key);
        if bytes > self.max_bytes {
            return;
        }
        while self.answers.len() >= self.max_answers || self.bytes + bytes > self.max_bytes {
            let Some((_, oldest)) = self.by_use.pop_first() else {
                break;
            };
            self.remove(&oldest);
        }
        self.clock += 1;
        self.bytes += bytes;
        self.by_use.insert(self.clock, key.clone());
        let answer = Answer {
            events,
            bytes,
            stored: now,
            used: self.clock,
        };
        self.answers.insert(key, answer);
    }

    fn remove(&mut self, key: &Key) {
        if let Some(answer) = self.answers.remove(key) {
            self.by_use.remove(&answer.used);
            self.bytes -= answer.bytes;
        }
    }
}

/// One answer in a file.
#[derive(Serialize, Deserialize)]
struct File {
    v: u32,
    #[serde(flatten)]
    key: Key,
    /// Milliseconds since 1970.
    stored_ms: u64,
    events: Vec<StreamEvent>,
}

fn read(path: &Path, key: &Key, ttl: Option<Duration>) -> Option<Arc<[StreamEvent]>> {
    let damaged = |error: &dyn fmt::Display| {
        tracing::warn!(path = %path.display(), error = %error, "A file of the cache cannot be read and is passed over.");
    };
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            damaged(&error);
            return None;
        }
    };
    let file: File = match serde_json::from_slice(&bytes) {
        Ok(file) => file,
        Err(error) => {
            damaged(&error);
            return None;
        }
    };
    let is_whole = matches!(file.events.last(), Some(StreamEvent::Finished { .. }));
    if file.v != VERSION || file.key != *key || !is_whole {
        damaged(&"it is not a whole answer to this call, or of another version");
        return None;
    }
    let age = Duration::from_millis(now_ms().saturating_sub(file.stored_ms));
    ttl.is_none_or(|ttl| age < ttl).then(|| file.events.into())
}

fn write(dir: &Path, key: &Key, events: Vec<StreamEvent>) -> io::Result<()> {
    let file = File {
        v: VERSION,
        key: key.clone(),
        stored_ms: now_ms(),
        events,
    };
    let bytes = serde_json::to_vec(&file)?;
    write_whole(&dir.join(key.file_name()), &bytes)
}

/// Writes a file so that nobody sees a part of it: under another name first, then renamed.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}-{number}.tmp", std::process::id()));
    let temporary = PathBuf::from(name);
    let written = std::fs::write(&temporary, bytes).and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        // The reason of the failure matters more than that of this one.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(u64::MAX)
}
