//! Members of a request's JSON object, of which the extra members of the request replace those of the same name.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::Request;

/// Writes the members that are set, and then the extra members of the request.
pub(super) struct Members<'a, M> {
    map: M,
    request: &'a Request,
}

impl<'a, M: SerializeMap> Members<'a, M> {
    pub(super) fn new<S>(request: &'a Request, serializer: S) -> Result<Self, S::Error>
    where
        S: Serializer<SerializeMap = M, Ok = M::Ok, Error = M::Error>,
    {
        Ok(Self {
            map: serializer.serialize_map(None)?,
            request,
        })
    }

    /// Writes a member if it is set and no extra member replaces it.
    pub(super) fn member(&mut self, name: &str, value: Option<impl Serialize>) -> Result<(), M::Error> {
        match value {
            Some(value) if !self.request.extra.contains_key(name) => self.map.serialize_entry(name, &value),
            _ => Ok(()),
        }
    }

    /// Writes the extra members and ends the object.
    pub(super) fn end(mut self) -> Result<M::Ok, M::Error> {
        for (name, value) in &self.request.extra {
            self.map.serialize_entry(name, value)?;
        }
        self.map.end()
    }
}

/// Returns a list unless it is empty.
pub(super) fn filled<T>(items: Vec<T>) -> Option<Vec<T>> {
    Some(items).filter(|items| !items.is_empty())
}
