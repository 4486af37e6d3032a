//! The repairs of other libraries, rule by rule. What each does not share with its model is in
//! `docs/measurements/json_repair.md`.

mod js;
mod js_chars;
mod py;
mod run;

pub(crate) use run::parse;
