//! Thought signatures: how they stand in `ReasoningOpaque`, so that they can be sent back on the part to which they belong.

use serde_json::{Value, json};

/// The `type` of such a value.
const TYPE: &str = "thought_signature";

/// A signature and the part that it signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) signature: String,
    pub(crate) of: Of,
}

/// What a signature signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// The text of the answer from this byte to that one.
    Text(usize, usize),
    /// The call of this id.
    Call(String),
    /// Reasoning.
    Thought,
}

impl Signed {
    pub(crate) fn to_value(&self) -> Value {
        let mut value = json!({"type": TYPE, "signature": self.signature});
        match &self.of {
            Of::Text(from, to) => value["text"] = json!([from, to]),
            Of::Call(id) => value["call"] = id.as_str().into(),
            Of::Thought => value["thought"] = true.into(),
        }
        value
    }

    /// Reads what [`to_value`](Self::to_value) wrote; `None` for the opaque reasoning of other wires.
    #[cfg(feature = "gemini")]
    pub(crate) fn from_value(value: &Value) -> Option<Self> {
        if value.get("type")?.as_str()? != TYPE {
            return None;
        }
        let number = |at: usize| usize::try_from(value.get("text")?.get(at)?.as_u64()?).ok();
        let of = if let Some(id) = value.get("call").and_then(Value::as_str) {
            Of::Call(id.to_owned())
        } else if value.get("thought").is_some() {
            Of::Thought
        } else {
            Of::Text(number(0)?, number(1)?)
        };
        let signature = value.get("signature")?.as_str()?.to_owned();
        Some(Self { signature, of })
    }
}

#[cfg(all(test, feature = "gemini"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for of in [Of::Text(2, 5), Of::Call("call_0".into()), Of::Thought] {
            let signed = Signed {
                signature: "a+/=".into(),
                of,
            };
            assert_eq!(Signed::from_value(&signed.to_value()), Some(signed));
        }
        assert_eq!(
            Signed::from_value(&json!({"type": "reasoning.encrypted", "data": "x"})),
            None
        );
    }
}
