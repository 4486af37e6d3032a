//! Which records are asked once: those whose whole conversation and whose key are the same.

use serde_json::{Value, json};
use throng_exec::{Equivalence, Key};

use super::call::Shape;
use crate::input::{Fingerprint, Fingerprints, Task};

/// Tells equal prompts of a run. Model and parameters are the same for all of them.
#[derive(Clone, Debug)]
pub(crate) struct Same {
    equivalence: Equivalence,
    shape: Shape,
    prints: Fingerprints,
}

impl Same {
    /// Returns what tells equal prompts, if `--dedup` asks for it.
    pub(crate) fn of(word: Option<&str>, shape: &Shape, prints: &Fingerprints) -> Option<Self> {
        let equivalence = match word? {
            "exact" => Equivalence::Exact,
            "normalised" => Equivalence::Normalised,
            "json" => Equivalence::Json,
            _ => return None,
        };
        Some(Self {
            equivalence,
            shape: shape.clone(),
            prints: prints.clone(),
        })
    }

    /// Returns what is the same for equal tasks alone.
    pub(crate) fn fingerprint(&self, task: &Task) -> Fingerprint {
        let mut messages = self.shape.messages(&task.prompt);
        for message in &mut messages {
            if let Some(Value::String(text)) = message.get_mut("content") {
                *text = self.equivalence.key(text).into_owned();
            }
        }
        let key = task.key.as_ref().map(Key::as_str);
        self.prints.of(&json!([key, messages]).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Prompt;

    #[test]
    fn equal_conversations_of_one_key_are_the_same() {
        let shape = Shape {
            model: "m".into(),
            system: Some("Be brief.".into()),
            temperature: None,
            max_output_tokens: None,
        };
        let prints = Fingerprints::default();
        let task = |prompt: Prompt, key: Option<&str>| Task {
            prompt,
            key: key.map(Key::new),
            ..Task::numbered(1, &prints)
        };
        let text = |text: &str| task(Prompt::Text(text.to_owned()), None);
        let check = |word: &str, a: &Task, b: &Task, expect: bool| {
            let same = Same::of(Some(word), &shape, &prints).unwrap();
            assert_eq!(
                same.fingerprint(a) == same.fingerprint(b),
                expect,
                "{word}: {a:?} {b:?}"
            );
        };
        check("exact", &text("Hi?"), &text("Hi?"), true);
        check("exact", &text("Hi?"), &text("hi"), false);
        check("normalised", &text("Hi?"), &text("hi"), true);
        check(
            "json",
            &text("{\"a\": 1, \"b\": 2}"),
            &text("{\"b\":2,\"a\":1.0}"),
            true,
        );
        let messages = |messages: Value| match messages {
            Value::Array(messages) => task(Prompt::Messages(messages), None),
            other => panic!("no messages: {other}"),
        };
        let user = json!({"role": "user", "content": "Hi?"});
        check("exact", &text("Hi?"), &messages(json!([user])), true);
        let own = messages(json!([{"role": "system", "content": "Sing."}, user]));
        check("normalised", &text("Hi?"), &own, false);
        let keyed = task(Prompt::Text("Hi?".to_owned()), Some("a"));
        check("exact", &text("Hi?"), &keyed, false);
        assert!(Same::of(Some("off"), &shape, &prints).is_none());
    }
}
