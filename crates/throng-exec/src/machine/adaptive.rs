//! Stub.
use crate::AdaptiveLimit;
use crate::rate::Tick;
#[derive(Debug)]
pub(crate) struct Adaptive;
pub(crate) enum Signal {
    Success {
        first_try: bool,
        first_output: Option<Tick>,
    },
    Refused,
    Ignored,
}
pub(crate) struct Change {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) cause: Cause,
}
pub(crate) struct Cause;
impl Cause {
    pub(crate) fn as_str(&self) -> &'static str {
        ""
    }
}
impl Adaptive {
    pub(crate) fn new(_: &AdaptiveLimit) -> Self {
        Self
    }
    pub(crate) fn limit(&self) -> usize {
        8
    }
    pub(crate) fn started(&mut self, _: Tick, _: usize) -> u32 {
        0
    }
    pub(crate) fn ended(&mut self, _: Tick, _: u32, _: Signal, _: Tick, _: usize) -> Option<Change> {
        None
    }
}
