//! The locks of what is proven with loom: std's, or loom's under `cfg(throng_loom)`.

pub(crate) use std::sync::PoisonError;
#[cfg(not(throng_loom))]
pub(crate) use std::sync::{Arc, Mutex, MutexGuard};

#[cfg(throng_loom)]
pub(crate) use loom::sync::{Arc, Mutex, MutexGuard};
