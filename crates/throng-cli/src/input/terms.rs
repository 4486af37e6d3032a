//! What a record says about how it is to be scheduled: its priority and its key. A field that is absent, null or empty
//! says nothing; any other value that is not allowed is an error of the record.

use serde_json::Value;
use throng_exec::{Key, Priority};

use super::record::{Field, Id, Record, RecordError};

/// How many characters of a wrong value are shown.
const SHOWN: usize = 60;

/// Which fields of each record say how it is to be scheduled.
#[derive(Clone, Debug, Default)]
pub(crate) struct TermFields {
    /// The field of the priority.
    pub(crate) priority: Option<String>,
    /// The field of the key.
    pub(crate) key: Option<String>,
}

impl TermFields {
    /// Returns the priority of a record, if it has one.
    ///
    /// # Errors
    ///
    /// If its value is not allowed.
    pub(crate) fn priority(&self, record: &Record, id: &Id) -> Result<Option<Priority>, RecordError> {
        let Some((name, field)) = present(self.priority.as_deref(), record) else {
            return Ok(None);
        };
        let number = match field {
            Field::Text("low") => return Ok(Some(Priority::LOW)),
            Field::Text("normal") => return Ok(Some(Priority::NORMAL)),
            Field::Text("high") => return Ok(Some(Priority::HIGH)),
            // The columns of CSV files are texts.
            Field::Text(text) => text.trim().parse().ok(),
            Field::Other(value) => value.as_i64().and_then(|number| i8::try_from(number).ok()),
        };
        match number {
            Some(number) => Ok(Some(Priority::new(number))),
            None => Err(wrong(
                record,
                id,
                name,
                field,
                "a whole number from -128 to 127, or low, normal or high",
                "correct the value, or leave the field out for normal priority",
            )),
        }
    }

    /// Returns the key of a record, if it has one.
    ///
    /// # Errors
    ///
    /// If its value is not allowed.
    pub(crate) fn key(&self, record: &Record, id: &Id) -> Result<Option<Key>, RecordError> {
        let Some((name, field)) = present(self.key.as_deref(), record) else {
            return Ok(None);
        };
        match field {
            Field::Text(text) => Ok(Some(Key::new(text))),
            Field::Other(Value::Number(number)) => Ok(Some(Key::new(number.to_string()))),
            Field::Other(_) => Err(wrong(
                record,
                id,
                name,
                field,
                "a text or a number",
                "name a field with --key-field that holds the name of a tenant, a model or the like",
            )),
        }
    }
}

/// Returns the field with its name, if it was asked for and says something.
fn present<'a>(name: Option<&'a str>, record: &'a Record) -> Option<(&'a str, Field<'a>)> {
    let name = name?;
    match record.field(name)? {
        Field::Other(Value::Null) | Field::Text("") => None,
        field => Some((name, field)),
    }
}

fn wrong(record: &Record, id: &Id, name: &str, field: Field<'_>, allowed: &str, hint: &str) -> RecordError {
    let value = match field {
        Field::Text(text) => format!("{text:?}"),
        Field::Other(value) => value.to_string(),
    };
    let mut shown: String = value.chars().take(SHOWN).collect();
    if shown.len() < value.len() {
        shown.push('…');
    }
    let id = id.to_string();
    RecordError::new(
        record.place,
        format!("the field `{name}` of record {id:?} is {shown}, but must be {allowed}"),
        hint,
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::input::record::{Body, Place};

    fn fields() -> TermFields {
        TermFields {
            priority: Some("p".to_owned()),
            key: Some("k".to_owned()),
        }
    }

    fn record(body: Value) -> Record {
        let Value::Object(body) = body else {
            panic!("not an object: {body}")
        };
        Record {
            place: Place {
                input: 0,
                line: 1,
                item: None,
            },
            body: Body::Object(body),
        }
    }

    #[track_caller]
    fn check_priority(value: &Value, expect: Option<Option<i8>>) {
        let record = record(json!({ "p": value }));
        let priority = fields().priority(&record, &Id::Text("q1".to_owned()));
        assert_eq!(
            priority.map(|priority| priority.map(Priority::value)).ok(),
            expect
        );
    }

    #[test]
    fn priorities_are_words_or_small_whole_numbers() {
        check_priority(&json!(-128), Some(Some(-128)));
        check_priority(&json!("127"), Some(Some(127)));
        check_priority(&json!("low"), Some(Some(-10)));
        check_priority(&json!("high"), Some(Some(10)));
        check_priority(&json!(null), Some(None));
        check_priority(&json!(""), Some(None));
        check_priority(&json!(128), None);
        check_priority(&json!(1.5), None);
        check_priority(&json!("urgent"), None);
        check_priority(&json!(true), None);
    }

    #[test]
    fn keys_are_texts_or_numbers() {
        let key = |value: Value| {
            fields()
                .key(&record(json!({ "k": value })), &Id::Text("q1".to_owned()))
                .map(|key| key.map(|key| key.to_string()))
                .map_err(|error| error.message)
        };
        assert_eq!(key(json!("a")), Ok(Some("a".to_owned())));
        assert_eq!(key(json!(7)), Ok(Some("7".to_owned())));
        assert_eq!(key(json!(null)), Ok(None));
        assert_eq!(
            key(json!(["x"])),
            Err("the field `k` of record \"q1\" is [\"x\"], but must be a text or a number".to_owned())
        );
    }
}
