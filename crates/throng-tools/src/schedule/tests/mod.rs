//! The schedule beside a naive model of it, and single cases.

mod basics;
mod model;
mod property;
mod starvation;
#[cfg(throng_shuttle)]
mod threads;
