//! How large a plan may be.

/// How large a plan may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlanLimits {
    /// The most calls. Default 1,000,000.
    pub calls: usize,
    /// The most bytes of a plan file. Default 256 MiB.
    pub bytes: usize,
}

impl Default for PlanLimits {
    fn default() -> Self {
        Self {
            calls: 1_000_000,
            bytes: 256 << 20,
        }
    }
}

impl PlanLimits {
    /// Sets the most calls.
    #[must_use]
    pub fn calls(mut self, calls: usize) -> Self {
        self.calls = calls;
        self
    }

    /// Sets the most bytes of a plan file.
    #[must_use]
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }
}
