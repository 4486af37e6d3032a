//! Turns the types of BAML's vectors into JSON schemas.

use serde_json::{Map, Value, json};

struct Reader<'a> {
    text: &'a str,
}

impl<'a> Reader<'a> {
    fn space(&mut self) {
        loop {
            self.text = self.text.trim_start();
            match self.text.strip_prefix("//") {
                Some(rest) => self.text = rest.find('\n').map_or("", |end| &rest[end..]),
                None => return,
            }
        }
    }

    fn take(&mut self, token: &str) -> bool {
        self.space();
        match self.text.strip_prefix(token) {
            Some(rest) => {
                self.text = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: &str) {
        assert!(
            self.take(token),
            "{token:?} expected at {:?}",
            self.text.chars().take(60).collect::<String>()
        );
    }

    fn word(&mut self) -> &'a str {
        self.space();
        let end = self
            .text
            .find(|char: char| !char.is_alphanumeric() && char != '_')
            .unwrap_or(self.text.len());
        let (word, rest) = self.text.split_at(end);
        self.text = rest;
        word
    }

    fn quoted(&mut self) -> Option<String> {
        if self.take("#\"") || self.take("r#\"") {
            let end = self.text.find("\"#").unwrap();
            let text = self.text[..end].to_owned();
            self.text = &self.text[end + 2..];
            return Some(text);
        }
        self.space();
        if !self.text.starts_with('"') {
            return None;
        }
        let mut values = serde_json::Deserializer::from_str(self.text).into_iter::<String>();
        let text = values.next().unwrap().unwrap();
        let read = values.byte_offset();
        self.text = &self.text[read..];
        Some(text)
    }

    /// Reads `@name(..)` attributes behind a member or a label: the alias and the description.
    fn attributes(&mut self) -> (Option<String>, Option<String>) {
        let (mut alias, mut about) = (None, None);
        while self.take("@") {
            self.take("@");
            let name = self.word();
            if !self.take("(") {
                continue;
            }
            if name == "alias" || name == "description" {
                let text = self.quoted().unwrap_or_else(|| {
                    let end = self.text.find(')').unwrap();
                    let text = self.text[..end].trim().to_owned();
                    self.text = &self.text[end..];
                    text
                });
                self.expect(")");
                *(if name == "alias" { &mut alias } else { &mut about }) = Some(text);
                continue;
            }
            let mut depth = 1;
            let end = self
                .text
                .find(|char| {
                    depth += match char {
                        '(' => 1,
                        ')' => -1,
                        _ => 0,
                    };
                    depth == 0
                })
                .unwrap();
            self.text = &self.text[end + 1..];
        }
        (alias, about)
    }

    fn ty(&mut self) -> Value {
        let mut options = vec![self.single()];
        while self.take("|") {
            options.push(self.single());
        }
        if options.len() == 1 {
            options.remove(0)
        } else {
            json!({"anyOf": options})
        }
    }

    fn single(&mut self) -> Value {
        let mut ty = if self.take("(") {
            let ty = self.ty();
            self.expect(")");
            ty
        } else if let Some(text) = self.quoted() {
            json!({"const": text})
        } else {
            match self.word() {
                "string" => json!({"type": "string"}),
                "int" => json!({"type": "integer"}),
                "float" => json!({"type": "number"}),
                "bool" => json!({"type": "boolean"}),
                "null" => json!({"type": "null"}),
                "map" => {
                    self.expect("<");
                    self.ty();
                    self.expect(",");
                    let values = self.ty();
                    self.expect(">");
                    json!({"type": "object", "additionalProperties": values})
                }
                name => json!({"$ref": format!("#/$defs/{name}")}),
            }
        };
        loop {
            if self.text.starts_with("[]") {
                self.text = &self.text[2..];
                ty = json!({"type": "array", "items": ty});
            } else if self.text.starts_with('?') {
                self.text = &self.text[1..];
                ty = json!({"anyOf": [ty, {"type": "null"}]});
            } else {
                return ty;
            }
        }
    }

    fn definitions(&mut self) -> Map<String, Value> {
        let mut defs = Map::new();
        loop {
            let kind = self.word();
            if kind.is_empty() {
                return defs;
            }
            let name = self.word().to_owned();
            self.expect("{");
            let mut properties = Map::new();
            let mut labels = Vec::new();
            let mut aliases = Map::new();
            let mut abouts = Map::new();
            while !self.take("}") {
                if self.text.starts_with('@') {
                    self.attributes();
                    continue;
                }
                let member = self.word().to_owned();
                if kind == "enum" {
                    let (alias, about) = self.attributes();
                    aliases.extend(alias.map(|alias| (member.clone(), Value::from(alias))));
                    abouts.extend(about.map(|about| (member.clone(), Value::from(about))));
                    labels.push(member);
                    continue;
                }
                let mut ty = self.ty();
                if let (Some(alias), _) = self.attributes() {
                    ty["x-alias"] = Value::from(alias);
                }
                self.take(",");
                properties.insert(member, ty);
            }
            let schema = if kind == "enum" {
                json!({"enum": labels, "x-aliases": aliases, "x-enum-descriptions": abouts})
            } else {
                let required: Vec<&String> = properties.keys().collect();
                json!({"type": "object", "required": required, "properties": properties})
            };
            defs.insert(name, schema);
        }
    }

    /// Reads the target type, which is Rust code.
    fn target(&mut self) -> Value {
        self.expect("FieldType::");
        let word = self.word().to_lowercase();
        let mut ty = match word.as_str() {
            "primitive" => {
                self.expect("(TypeValue::");
                let ty = self.primitive();
                self.expect(")");
                ty
            }
            "literal" => {
                self.expect("(LiteralValue::");
                self.word();
                self.expect("(");
                let value = match self.quoted() {
                    Some(text) => {
                        self.expect(".into()");
                        Value::from(text)
                    }
                    None => serde_json::from_str(self.word()).unwrap(),
                };
                self.expect("))");
                json!({"const": value})
            }
            "class" | "enum" => {
                self.expect("(");
                let name = self.quoted().unwrap();
                self.take(".to_string()");
                self.expect(")");
                json!({"$ref": format!("#/$defs/{name}")})
            }
            "list" | "optional" => {
                self.expect("(");
                let inner = self.target();
                self.take(".into()");
                self.expect(")");
                if word == "list" {
                    json!({"type": "array", "items": inner})
                } else {
                    json!({"anyOf": [inner, {"type": "null"}]})
                }
            }
            "map" => {
                self.expect("(");
                self.target();
                self.expect(",");
                let values = self.target();
                self.expect(")");
                json!({"type": "object", "additionalProperties": values})
            }
            "union" => {
                self.expect("(vec![");
                let mut options = Vec::new();
                while !self.take("]") {
                    options.push(self.target());
                    self.take(",");
                }
                self.expect(")");
                json!({"anyOf": options})
            }
            name => {
                self.expect("()");
                let mut reader = Reader { text: name };
                reader.single()
            }
        };
        loop {
            if self.take(".as_list()") {
                ty = json!({"type": "array", "items": ty});
            } else if self.take(".as_optional()") {
                ty = json!({"anyOf": [ty, {"type": "null"}]});
            } else if !self.take(".into()") {
                return ty;
            }
        }
    }

    fn primitive(&mut self) -> Value {
        let word = self.word().to_lowercase();
        Reader { text: &word }.single()
    }
}

/// Returns the JSON schema of a vector.
pub(crate) fn schema(vector: &Value) -> Value {
    let mut reader = Reader {
        text: vector["schema_baml"].as_str().unwrap_or_default(),
    };
    let defs = reader.definitions();
    let mut schema = Reader {
        text: vector["target"].as_str().unwrap(),
    }
    .target();
    schema["$defs"] = Value::Object(defs);
    schema
}

/// Returns what a vector expects, which may be Rust code around JSON.
pub(crate) fn expected(vector: &Value) -> Option<Value> {
    if let Some(value) = vector.get("expected_value") {
        return Some(value.clone());
    }
    let code = vector.get("expected_rust_json")?.as_str()?.trim();
    let code = code
        .strip_prefix("json!(")
        .and_then(|code| code.strip_suffix(')'))
        .unwrap_or(code);
    let mut json = String::new();
    let mut rest = code;
    while let Some(start) = rest.find("r#\"") {
        json.push_str(&rest[..start]);
        let mut reader = Reader { text: &rest[start..] };
        json.push_str(&Value::from(reader.quoted()?).to_string());
        rest = reader.text;
    }
    json.push_str(rest);
    serde_json::from_str(&json).ok()
}
