//! Runs the rules of a profile over a whole text.

use serde_json::Value;

use crate::event::{Fix, Repair};
use crate::options::{Limits, Profile};

/// Why a profile does not accept a text.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) offset: u64,
    pub(crate) message: String,
}

/// Reads a text by the rules of a profile. Text that is JSON keeps its value.
pub(crate) fn parse(profile: Profile, text: &str, limits: &Limits) -> Result<(Value, Vec<Repair>), Refused> {
    if let Ok(value) = serde_json::from_str(text) {
        return Ok((value, Vec::new()));
    }
    match profile {
        Profile::JsonRepairJs => super::js::parse(text, limits.depth),
        Profile::JsonRepair => super::py::parse(text, limits.depth),
        Profile::Baml => {
            let (ish, _) = crate::baml::read(text);
            let repair = Repair {
                offset: 0,
                what: Fix::Rewritten,
            };
            Ok((ish.to_value(), vec![repair]))
        }
    }
}
