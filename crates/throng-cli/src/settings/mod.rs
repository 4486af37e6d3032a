//! Settings: what they are, where their values come from, and which layer wins.

mod file;
mod kind;
mod layers;
mod profile;
mod show;
mod table;

pub(crate) use kind::{Kind, Value};
pub(crate) use layers::{Layers, OTHER_VARIABLES, Origin, Settings, is_variable_name};
pub(crate) use profile::{PROFILE_KEYS, Profile};
pub(crate) use show::{Form, show};
pub(crate) use table::{SETTINGS, Scope, Setting};
