//! Arrays (`parse_array.py`).

use serde_json::Value;

use super::cursor::{Context, Cursor, Failed, is_quote};
use super::top::is_empty;
use crate::event::Fix;

impl Cursor {
    pub(super) fn array(&mut self, closer: char) -> Result<Vec<Value>, Failed> {
        self.enter()?;
        self.contexts.push(Context::Array);
        let items = self.items(closer);
        self.contexts.pop();
        self.depth -= 1;
        items
    }

    fn items(&mut self, closer: char) -> Result<Vec<Value>, Failed> {
        let mut items = Vec::new();
        self.skip_space();
        let mut char = self.now();
        while let Some(first) = char.filter(|char| *char != closer && *char != '}') {
            let value = if is_quote(Some(first)) {
                // A string with a colon behind it is a key: the brace before it is missing.
                let end = self.find(&[first], 1);
                let behind = self.past_space(end + 1);
                if self.get(behind) == Some(':') {
                    self.object()?
                } else {
                    self.string()?
                }
            } else {
                self.json()?
            };
            let now = self.now();
            if is_empty(&value) && now != Some(closer) && now != Some(',') {
                self.index += 1;
            } else if value == "..." && self.get(-1) == Some('.') {
                self.fix(Fix::EllipsisSkipped);
            } else {
                items.push(value);
            }
            char = self.now();
            while char.is_some_and(|char| char != closer && (char.is_whitespace() || char == ',')) {
                self.index += 1;
                char = self.now();
            }
        }
        if char != Some(closer) {
            self.fix(Fix::CloserAdded);
        }
        self.index += 1;
        Ok(items)
    }
}
