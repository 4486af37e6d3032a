//! Finds the references in the arguments of a call.

use serde_json::Value;

use super::names::Names;
use super::path::Path;
use super::scan::{self, Piece};

/// A reference in the arguments of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reference {
    /// The index of the call whose result is meant.
    pub call: u32,
    /// The piece of the result that is meant. A first step `output` or `result` may mean the result itself.
    pub path: Path,
    /// Where it stands in the arguments, such as `filters[0].city`; empty if the arguments are one text.
    pub argument: String,
    /// The same place as a JSON pointer, such as `/filters/0/city`.
    pub pointer: String,
    /// The reference as it is written.
    pub text: String,
    /// Whether the argument is the reference and nothing else, so that it takes the result's JSON type.
    pub whole: bool,
}

/// Finds the references in the arguments of the call at `own`, in the order in which they stand there.
///
/// # Complexity
///
/// Linear in the size of the arguments, if ids are short.
pub fn find(arguments: &Value, names: &Names, own: u32) -> Vec<Reference> {
    let mut found = Vec::new();
    walk(arguments, &mut Place::default(), &mut |text, place| {
        let first = found.len();
        let mut plain = false;
        scan::scan(text, names, own, |piece| match piece {
            Piece::Text(_) => plain = true,
            Piece::Reference(reference) => found.push(Reference {
                call: reference.call,
                path: reference.path,
                argument: place.shown.clone(),
                pointer: place.pointer.clone(),
                text: reference.text.to_owned(),
                whole: false,
            }),
        });
        if let (false, Some([only])) = (plain, found.get_mut(first..)) {
            only.whole = true;
        }
    });
    found
}

/// Returns true if the arguments hold something that would be a reference if a later call had the right id.
pub(crate) fn may_refer_to_later(arguments: &Value, names: &Names, own: u32) -> bool {
    let mut may = false;
    walk(arguments, &mut Place::default(), &mut |text, _| {
        scan::scan(text, names, own, |piece| {
            if let Piece::Text(plain) = piece {
                let mut signs = plain
                    .match_indices(['$', '#'])
                    .filter_map(|(at, _)| plain.get(at..));
                may |= signs.any(|sign| match sign.strip_prefix('$') {
                    Some(rest) => rest.starts_with(|char: char| !char.is_whitespace()),
                    None => sign.starts_with("#E"),
                });
            }
        });
    });
    may
}

/// A place in the arguments, in both ways of writing it.
#[derive(Default)]
struct Place {
    shown: String,
    pointer: String,
}

/// Gives every text of a value that is not plain, and where it stands.
fn walk(value: &Value, place: &mut Place, each: &mut dyn FnMut(&str, &Place)) {
    let lengths = (place.shown.len(), place.pointer.len());
    let mut inside = |place: &mut Place, value| {
        walk(value, place, each);
        place.shown.truncate(lengths.0);
        place.pointer.truncate(lengths.1);
    };
    match value {
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                push_index(&mut place.shown, index);
                place.pointer.push('/');
                place.pointer.push_str(&index.to_string());
                inside(place, element);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                push_key(&mut place.shown, key);
                place.pointer.push('/');
                place.pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
                inside(place, member);
            }
        }
        Value::String(text) if !scan::is_plain(text) => each(text, place),
        _ => {}
    }
}

pub(super) fn push_index(place: &mut String, index: usize) {
    place.push('[');
    place.push_str(&index.to_string());
    place.push(']');
}

pub(super) fn push_key(place: &mut String, key: &str) {
    if !place.is_empty() {
        place.push('.');
    }
    place.push_str(key);
}
