//! The locks of what is proven with loom or explored with shuttle: std's, or theirs under `cfg(throng_loom)` and
//! `cfg(throng_shuttle)`.

#[cfg(not(throng_loom))]
pub(crate) use std::sync::Arc;
pub(crate) use std::sync::PoisonError;
#[cfg(not(any(throng_loom, throng_shuttle)))]
pub(crate) use std::sync::{Mutex, MutexGuard};

#[cfg(throng_loom)]
pub(crate) use loom::sync::{Arc, Mutex, MutexGuard};
#[cfg(throng_shuttle)]
pub(crate) use shuttle::sync::{Mutex, MutexGuard};
