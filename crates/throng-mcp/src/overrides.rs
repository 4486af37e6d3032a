//! What the user says about a tool, in the place of what its server says.

use std::num::NonZeroUsize;
use std::time::Duration;

use throng_tools::{Effect, Mode};

/// What is known about one tool of a server. What is not set is left to the server and to the defaults.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ToolOverride {
    /// The name under which the tool is offered, without a prefix.
    pub name: Option<String>,
    /// What repeating a call does. It counts for servers that are not trusted, too.
    pub effect: Option<Effect>,
    /// What a call touches, such as `file:{path}`, and how; what stands in braces is taken from the arguments. Empty
    /// and without [`ToolOverride::touches_nothing`] means that it is not known.
    pub accesses: Vec<(Mode, String)>,
    /// Whether a call touches nothing that other calls touch.
    pub touches_nothing: bool,
    /// Whether calls run one at a time, in the order in which they were asked for.
    pub sequential: bool,
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
    /// How many calls of the tool may run at a time.
    pub max_concurrent: Option<NonZeroUsize>,
    /// Whether a result that is text stays text, also if it is JSON. Default false.
    pub keep_text: bool,
}

impl ToolOverride {
    /// Makes one that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the name under which the tool is offered.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets what repeating a call does.
    #[must_use]
    pub fn effect(mut self, effect: Effect) -> Self {
        self.effect = Some(effect);
        self
    }

    /// Adds a resource that calls read.
    #[must_use]
    pub fn reads(self, resource: impl Into<String>) -> Self {
        self.access(Mode::Read, resource)
    }

    /// Adds a resource that calls change.
    #[must_use]
    pub fn writes(self, resource: impl Into<String>) -> Self {
        self.access(Mode::Write, resource)
    }

    /// Adds a resource that calls touch in this way.
    #[must_use]
    pub fn access(mut self, mode: Mode, resource: impl Into<String>) -> Self {
        self.accesses.push((mode, resource.into()));
        self
    }

    /// Says that calls touch nothing that other calls touch.
    #[must_use]
    pub fn touches_nothing(mut self) -> Self {
        self.touches_nothing = true;
        self
    }

    /// Says that calls run one at a time, in the order in which they were asked for.
    #[must_use]
    pub fn sequential(mut self) -> Self {
        self.sequential = true;
        self
    }

    /// Sets how long one attempt may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets how many calls of the tool may run at a time.
    #[must_use]
    pub fn max_concurrent(mut self, max: NonZeroUsize) -> Self {
        self.max_concurrent = Some(max);
        self
    }

    /// Leaves results that are text as they are, also if they are JSON.
    #[must_use]
    pub fn keep_text(mut self) -> Self {
        self.keep_text = true;
        self
    }
}
