//! Reading objects into places that exist already. What serde derives hands each struct up by value, level by level, which
//! for the large structs of a frame costs more than the reading itself.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::lenient::{Name, absent, drain_map, drain_seq};
use super::read::Odd;
use super::surrogate;

/// A place for the members of an object.
pub(super) trait Fill<'de> {
    /// Reads the value of a member; of a member that comes twice the last value counts.
    ///
    /// # Errors
    ///
    /// If the JSON is broken.
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error>;
}

/// A type that is filled from JSON from which it borrows.
pub(super) trait FillForm {
    type Of<'a>: Fill<'a> + Default;
}

/// Reads an object, as [`read_object`](super::read::read_object) does.
///
/// # Errors
///
/// What the frame is instead.
pub(super) fn fill_object<F: FillForm, R>(
    json: &str,
    on: impl for<'a> FnOnce(F::Of<'a>, Option<char>) -> R,
) -> Result<R, Odd> {
    let (text, marker) = surrogate::readable(json);
    let mut object = F::Of::default();
    let mut reader = serde_json::Deserializer::from_str(&text);
    let is_object = Place(&mut object)
        .deserialize(&mut reader)
        .and_then(|is_object| reader.end().map(|()| is_object))
        .map_err(Odd::NoJson)?;
    if is_object {
        return Ok(on(object, marker));
    }
    let value: Value = serde_json::from_str(&text).map_err(Odd::NoJson)?;
    Err(Odd::NoObject(value))
}

/// Reads any JSON value: an object into the place, and everything else nowhere. Gives whether it was an object.
pub(super) struct Place<'p, T>(pub(super) &'p mut T);

impl<'de, T: Fill<'de>> DeserializeSeed<'de> for Place<'_, T> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Fill<'de>> Visitor<'de> for Place<'_, T> {
    type Value = bool;

    absent!(false; bool, numbers, str);

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<bool, A::Error> {
        drain_seq(seq).map(|_| false)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        while let Some(Name(name)) = map.next_key::<Name<'de>>()? {
            self.0.member(&name, &mut map)?;
        }
        Ok(true)
    }
}

/// Reads any JSON value: the items of a list into places of a list, and everything else nowhere. An item that is no object
/// has no place. Gives whether it was a list.
pub(super) struct Places<'p, T>(pub(super) &'p mut Vec<Option<T>>);

impl<'de, T: Fill<'de> + Default> DeserializeSeed<'de> for Places<'_, T> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Fill<'de> + Default> Visitor<'de> for Places<'_, T> {
    type Value = bool;

    absent!(false; bool, numbers, str, map);

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<bool, A::Error> {
        loop {
            let mut item = T::default();
            match seq.next_element_seed(Place(&mut item))? {
                Some(is_object) => self.0.push(is_object.then_some(item)),
                None => return Ok(true),
            }
        }
    }
}

/// Reads the value of a member nowhere.
///
/// # Errors
///
/// If the JSON is broken.
pub(super) fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(drop)
}
