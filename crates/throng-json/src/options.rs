//! What a parser is told: how strict it is, what an element is, and its limits.

/// How a parser treats text that is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Mode {
    /// Exactly one document of RFC 8259; the first byte outside the grammar ends the parse.
    Strict,
    /// Skips what surrounds JSON (prose, fences, `<think>` blocks), takes several documents, and repairs a bad element.
    #[default]
    Tolerant,
    /// Repairs as another library does. The text is held up to [`Limits::element_bytes`] and read when it ends.
    Profile(Profile),
}

/// A library whose repairs a parser follows rule by rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Profile {
    /// `json_repair` for Python.
    JsonRepair,
    /// `jsonrepair` for JavaScript.
    JsonRepairJs,
    /// The parser of BAML (`jsonish`); without a schema it gives its first reading of the text.
    Baml,
}

/// What is emitted as one element.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Split {
    /// Each document is one element.
    Whole,
    /// The items of a top-level array are elements; any other document is one element.
    #[default]
    Items,
    /// As [`Split::Items`], and elements are also found in envelopes (`{"plans": [..]}`) and in objects that are
    /// keyed by id (`{"a1": {..}, "a2": {..}}`).
    Batch(Markers),
}

/// What tells an element from an envelope around elements.
///
/// An object outside of any array is an element as soon as one of `members` or the name of the steps is among its
/// keys. Until then, a member whose value is an array makes it an envelope, and a member whose value turns out to be an
/// element makes it an object keyed by id. An object without either is an element.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Markers {
    /// Names of members that only elements have, such as `agent_id`.
    pub members: Vec<String>,
    /// Keys whose values are elements whatever their type, such as the ids that were asked for.
    pub keys: Vec<String>,
}

/// Bounds on what a hostile text can cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Deepest nesting, at most 127. By default 127, the most that `serde_json` reads.
    pub depth: u32,
    /// Bytes that are held for one element. By default 16 MiB.
    pub element_bytes: usize,
    /// Repairs to one element, after which it is rejected. By default 10,000.
    pub repairs: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 127,
            element_bytes: 16 << 20,
            repairs: 10_000,
        }
    }
}

/// The settings of a [`Parser`](crate::Parser).
///
/// ```
/// use throng_json::{Mode, Options};
///
/// let strict = Options::new(Mode::Strict);
/// let batch = Options::tolerant().batch(["agent_id"]).steps("steps");
/// assert_ne!(strict, batch);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Options {
    /// How text outside the grammar is treated.
    pub mode: Mode,
    /// What an element is.
    pub split: Split,
    /// The member of an element whose array is emitted item by item, before the element itself.
    pub steps: Option<String>,
    /// Bounds on time and memory.
    pub limits: Limits,
}

impl Options {
    /// Returns the defaults of a mode.
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            ..Self::default()
        }
    }

    /// Returns strict options.
    #[must_use]
    pub fn strict() -> Self {
        Self::new(Mode::Strict)
    }

    /// Returns tolerant options.
    #[must_use]
    pub fn tolerant() -> Self {
        Self::new(Mode::Tolerant)
    }

    /// Emits each document as one element.
    #[must_use]
    pub fn whole(mut self) -> Self {
        self.split = Split::Whole;
        self
    }

    /// Finds elements in envelopes and keyed objects too; `members` are keys that only elements have.
    #[must_use]
    pub fn batch<S: Into<String>>(mut self, members: impl IntoIterator<Item = S>) -> Self {
        let members = members.into_iter().map(Into::into).collect();
        self.split = Split::Batch(Markers {
            members,
            keys: Vec::new(),
        });
        self
    }

    /// Takes the values of these keys of an envelope as elements, whatever their type.
    ///
    /// Has an effect only after [`Options::batch`].
    #[must_use]
    pub fn keyed_by<S: Into<String>>(mut self, keys: impl IntoIterator<Item = S>) -> Self {
        if let Split::Batch(markers) = &mut self.split {
            markers.keys = keys.into_iter().map(Into::into).collect();
        }
        self
    }

    /// Emits the items of the array `member` of each element as they end.
    #[must_use]
    pub fn steps(mut self, member: impl Into<String>) -> Self {
        self.steps = Some(member.into());
        self
    }

    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}
