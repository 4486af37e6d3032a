//! Which providers are called, in which order, and with which keys; decided in one place for every command.

mod choose;
mod extras;
mod keys;
mod named;
mod remote;
mod url;

pub(crate) use choose::{Provider, SIM_MODEL, listed};
pub(crate) use extras::{Extras, Stop, prices};
pub(crate) use keys::describe_key;
pub(crate) use remote::Remote;
pub(crate) use url::redact_url;
