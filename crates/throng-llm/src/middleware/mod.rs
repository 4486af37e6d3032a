//! Clients around clients: each sees every event of a call and passes it on.

mod cache;
mod metered;
mod rate_state;
mod store;
mod tap;

pub use cache::Cache;
pub use metered::{Metered, Spending, Spent, UnknownPrices};
pub use rate_state::{RateState, RateWatch};
pub use store::CacheStore;

#[cfg(feature = "http")]
pub(crate) use store::write_whole;
#[cfg(feature = "http")]
pub(crate) use tap::{Observe, Tap};
