//! A JSON schema as types that values can be made to fit.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::fit::Fitter;
use crate::baml::{self, Ish};
use crate::event::{Fix, Repair};

/// Subschemas that are read before a schema counts as endless.
const MOST_TYPES: usize = 10_000;

/// A JSON schema, ready to make values fit it.
///
/// Read are `type`, `properties`, `required`, `additionalProperties`, `items`, `prefixItems`, `enum`, `const`, `anyOf`, `oneOf`,
/// `allOf`, `$ref` into the same document, `default`, and `nullable`. `x-alias` on a property is the name that a model writes
/// for it, `x-aliases` beside `enum` an object of labels and what a model writes for them (a string or a list).
/// Bounds and patterns are not checked.
///
/// # Examples
///
/// ```
/// use serde_json::json;
/// use throng_json::Schema;
///
/// let schema = Schema::new(&json!({
///     "type": "object",
///     "properties": {"status": {"enum": ["OPEN", "CLOSED"]}, "cost": {"type": "number"}},
///     "required": ["status", "cost"],
/// }))?;
/// let coerced = schema.coerce(&json!({"status": "It is closed.", "cost": "$1,200.50"}))?;
/// assert_eq!(coerced.value, json!({"status": "CLOSED", "cost": 1200.5}));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Schema {
    pub(super) types: Vec<Type>,
    pub(super) root: usize,
    pub(super) rules: Rules,
}

/// Whose rules hold where a schema leaves open what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rules {
    /// A value that fits is not changed.
    Keep,
    /// BAML's: unknown members are dropped, and optional ones that are absent are null.
    Baml,
}

/// A value that fits a schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Coerced {
    /// The value.
    pub value: Value,
    /// How much had to be changed; 0 means that the value fit as it was.
    pub score: u32,
    /// What was changed to read it.
    pub repairs: Vec<Repair>,
}

/// A value that cannot be made to fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
#[non_exhaustive]
pub struct CoerceError {
    /// Where in the value.
    pub path: String,
    /// Why it does not fit.
    pub reason: String,
}

/// A schema that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("schema at {pointer}: {reason}")]
#[non_exhaustive]
pub struct SchemaError {
    /// JSON pointer to the place in the schema.
    pub pointer: String,
    /// What is wrong there.
    pub reason: String,
}

#[derive(Debug, Clone)]
pub(super) enum Type {
    Any,
    Never,
    Null,
    Bool,
    Int,
    Float,
    Text,
    Literal(Value),
    /// Labels, each with the texts that stand for it.
    Enum(Vec<(String, Vec<String>)>),
    List(usize),
    Tuple(Vec<usize>, Option<usize>),
    Map(usize),
    Class(Vec<Field>, Extra),
    Union(Vec<usize>),
    Optional(usize),
}

#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) alias: String,
    pub(super) ty: usize,
    pub(super) required: bool,
    pub(super) default: Option<Value>,
}

/// What becomes of members that the schema does not name.
#[derive(Debug, Clone)]
pub(super) enum Extra {
    Keep,
    Drop,
    Typed(usize),
}

impl Schema {
    /// Reads a JSON schema. A value that fits it is not changed; a member that is absent stays so, unless it has a default.
    ///
    /// # Errors
    ///
    /// Returns an error if the schema refers to what is not there, or never ends.
    pub fn new(schema: &Value) -> Result<Self, SchemaError> {
        Self::build(schema, Rules::Keep)
    }

    /// Reads a JSON schema that is used as BAML uses its types: members that it does not name are dropped, unless it says
    /// `additionalProperties`, and those that may be absent and are become null.
    ///
    /// # Errors
    ///
    /// As [`Schema::new`].
    pub fn baml(schema: &Value) -> Result<Self, SchemaError> {
        Self::build(schema, Rules::Baml)
    }

    fn build(schema: &Value, rules: Rules) -> Result<Self, SchemaError> {
        let mut builder = Builder {
            document: schema,
            types: Vec::new(),
            known: HashMap::new(),
            rules,
        };
        let root = builder.add(schema, "")?;
        Ok(Self {
            types: builder.types,
            root,
            rules,
        })
    }

    /// Makes a value fit.
    ///
    /// # Errors
    ///
    /// Returns an error if it cannot be done without guessing.
    pub fn coerce(&self, value: &Value) -> Result<Coerced, CoerceError> {
        self.fit(&Ish::from(value), false)
    }

    /// Reads a text as BAML does, and makes it fit: of all that it may mean, the reading that fits with the fewest changes.
    ///
    /// # Errors
    ///
    /// Returns an error if no reading fits.
    pub fn coerce_text(&self, text: &str) -> Result<Coerced, CoerceError> {
        self.text(text, false)
    }

    /// Reads the part of a text that has come so far: what is still missing is null.
    ///
    /// # Errors
    ///
    /// Returns an error if no reading fits.
    pub fn coerce_partial(&self, text: &str) -> Result<Coerced, CoerceError> {
        self.text(text, true)
    }

    fn text(&self, text: &str, partial: bool) -> Result<Coerced, CoerceError> {
        if matches!(self.types.get(self.root), Some(Type::Text)) {
            return Ok(Coerced {
                value: Value::from(text),
                score: 0,
                repairs: Vec::new(),
            });
        }
        let (mut ish, cut) = baml::read(text);
        let ends_in_number = text.ends_with(|char: char| char.is_numeric() || char == '.');
        if partial && ends_in_number {
            ish.forget_last_number();
        }
        let mut coerced = self.fit(&ish, partial)?;
        if cut {
            coerced.repairs.push(Repair {
                offset: text.len() as u64,
                what: Fix::EndAdded,
            });
        }
        Ok(coerced)
    }

    fn fit(&self, ish: &Ish, partial: bool) -> Result<Coerced, CoerceError> {
        let fitted = Fitter::new(self, partial).run(ish)?;
        let score = u32::try_from(fitted.score()).unwrap_or(0);
        let value = fitted.into_value();
        let repairs = if score > 0 {
            vec![Repair {
                offset: 0,
                what: Fix::Coerced,
            }]
        } else {
            Vec::new()
        };
        Ok(Coerced {
            value,
            score,
            repairs,
        })
    }
}

struct Builder<'a> {
    document: &'a Value,
    types: Vec<Type>,
    /// Types by the pointer of their schema.
    known: HashMap<String, usize>,
    rules: Rules,
}

impl<'a> Builder<'a> {
    fn error(pointer: &str, reason: impl Into<String>) -> SchemaError {
        SchemaError {
            pointer: if pointer.is_empty() {
                "/".to_owned()
            } else {
                pointer.to_owned()
            },
            reason: reason.into(),
        }
    }

    fn new_type(&mut self, ty: Type) -> usize {
        self.types.push(ty);
        self.types.len() - 1
    }

    fn add(&mut self, schema: &'a Value, pointer: &str) -> Result<usize, SchemaError> {
        if let Some(&known) = self.known.get(pointer) {
            return Ok(known);
        }
        if self.types.len() > MOST_TYPES {
            return Err(Self::error(pointer, format!("more than {MOST_TYPES} subschemas")));
        }
        let slot = self.new_type(Type::Any);
        self.known.insert(pointer.to_owned(), slot);
        let ty = self.read(schema, pointer)?;
        if let Some(place) = self.types.get_mut(slot) {
            *place = ty;
        }
        Ok(slot)
    }

    fn read(&mut self, schema: &'a Value, pointer: &str) -> Result<Type, SchemaError> {
        let map = match schema {
            Value::Bool(true) => return Ok(Type::Any),
            Value::Bool(false) => return Ok(Type::Never),
            Value::Object(map) => map,
            _ => return Err(Self::error(pointer, "neither an object nor a boolean")),
        };
        let ty = self.read_map(map, pointer)?;
        if map.get("nullable") == Some(&Value::Bool(true)) && !matches!(ty, Type::Optional(_)) {
            let inner = self.new_type(ty);
            return Ok(Type::Optional(inner));
        }
        Ok(ty)
    }

    fn read_map(&mut self, map: &'a Map<String, Value>, pointer: &str) -> Result<Type, SchemaError> {
        if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
            let Some(target) = reference.strip_prefix('#') else {
                return Err(Self::error(
                    pointer,
                    format!("a reference out of the document: {reference}"),
                ));
            };
            let Some(schema) = self.document.pointer(target) else {
                return Err(Self::error(pointer, format!("nothing at {reference}")));
            };
            if target == pointer {
                return Err(Self::error(pointer, "a reference to itself"));
            }
            let inner = self.add(schema, target)?;
            return Ok(Type::Union(vec![inner]));
        }
        if let Some(value) = map.get("const") {
            return Ok(literal(value));
        }
        if let Some(labels) = map.get("enum").and_then(Value::as_array) {
            return Ok(self.labels(labels, map));
        }
        for word in ["anyOf", "oneOf"] {
            if let Some(options) = map.get(word).and_then(Value::as_array) {
                return self.union(options, &format!("{pointer}/{word}"));
            }
        }
        if let Some(parts) = map.get("allOf").and_then(Value::as_array) {
            return self.all(parts, map, pointer);
        }
        match map.get("type") {
            Some(Value::String(name)) => self.named(name, map, pointer),
            Some(Value::Array(names)) => {
                let mut options = Vec::new();
                let mut nullable = false;
                for name in names.iter().filter_map(Value::as_str) {
                    if name == "null" {
                        nullable = true;
                    } else {
                        let ty = self.named(name, map, pointer)?;
                        options.push(self.new_type(ty));
                    }
                }
                Ok(self.choice(options, nullable))
            }
            _ if map.contains_key("properties") => self.named("object", map, pointer),
            _ if map.contains_key("items") => self.named("array", map, pointer),
            _ => Ok(Type::Any),
        }
    }

    fn choice(&mut self, mut options: Vec<usize>, nullable: bool) -> Type {
        let inner = match options.len() {
            0 => return if nullable { Type::Null } else { Type::Any },
            1 if nullable => options.remove(0),
            _ if nullable => self.new_type(Type::Union(options)),
            _ => return Type::Union(options),
        };
        Type::Optional(inner)
    }

    fn labels(&mut self, labels: &[Value], map: &Map<String, Value>) -> Type {
        let nullable = labels.contains(&Value::Null);
        let texts: Vec<&str> = labels.iter().filter_map(Value::as_str).collect();
        let others = labels
            .iter()
            .filter(|label| !label.is_string() && !label.is_null());
        let mut options: Vec<usize> = Vec::new();
        for other in others {
            options.push(self.new_type(literal(other)));
        }
        if !texts.is_empty() {
            let aliases = |label: &str| -> Vec<String> {
                let given = ["x-aliases", "x-enum-aliases"]
                    .iter()
                    .find_map(|word| map.get(*word));
                let mut aliases = match given.and_then(|given| given.get(label)) {
                    Some(Value::String(alias)) => vec![alias.clone()],
                    Some(Value::Array(aliases)) => aliases
                        .iter()
                        .filter_map(Value::as_str)
                        .map(str::to_owned)
                        .collect(),
                    _ => vec![label.to_owned()],
                };
                let about = ["x-enum-descriptions", "enumDescriptions"]
                    .iter()
                    .find_map(|word| {
                        let at = labels.iter().position(|other| other == label)?;
                        let given = map.get(*word)?;
                        given.get(label).or_else(|| given.get(at))?.as_str()
                    });
                if let (Some(about), Some(first)) = (about, aliases.first().cloned()) {
                    aliases.push(about.trim().to_owned());
                    aliases.push(format!("{first}: {}", about.trim()));
                }
                aliases
            };
            let labels = texts
                .iter()
                .map(|label| ((*label).to_owned(), aliases(label)))
                .collect();
            options.push(self.new_type(Type::Enum(labels)));
        }
        self.choice(options, nullable)
    }

    fn union(&mut self, options: &'a [Value], pointer: &str) -> Result<Type, SchemaError> {
        if let Some(labels) = described_labels(options) {
            return Ok(Type::Enum(labels));
        }
        let mut types = Vec::new();
        let mut nullable = false;
        for (at, option) in options.iter().enumerate() {
            let is_null = option.get("type").and_then(Value::as_str) == Some("null")
                || (option.get("const") == Some(&Value::Null) && option.get("const").is_some());
            if is_null {
                nullable = true;
            } else {
                types.push(self.add(option, &format!("{pointer}/{at}"))?);
            }
        }
        Ok(self.choice(types, nullable))
    }

    /// Joins the members of objects; of anything else, the first part that says something counts.
    fn all(
        &mut self,
        parts: &'a [Value],
        map: &'a Map<String, Value>,
        pointer: &str,
    ) -> Result<Type, SchemaError> {
        let mut fields: Vec<Field> = Vec::new();
        let mut extra = None;
        let mut other = None;
        if map.contains_key("properties")
            && let Type::Class(own, own_extra) = self.named("object", map, pointer)?
        {
            fields = own;
            extra = Some(own_extra);
        }
        for (at, part) in parts.iter().enumerate() {
            let mut slot = self.add(part, &format!("{pointer}/allOf/{at}"))?;
            while let Some(Type::Union(options)) = self.types.get(slot)
                && let [only] = options.as_slice()
            {
                slot = *only;
            }
            match self.types.get(slot) {
                Some(Type::Class(more, more_extra)) => {
                    for field in more {
                        if !fields.iter().any(|known| known.name == field.name) {
                            fields.push(field.clone());
                        }
                    }
                    extra.get_or_insert(more_extra.clone());
                }
                Some(Type::Any) | None => {}
                Some(_) => {
                    other.get_or_insert(slot);
                }
            }
        }
        Ok(match (fields.is_empty(), other, extra) {
            (false, _, extra) => Type::Class(fields, extra.unwrap_or(Extra::Keep)),
            (true, Some(other), _) => Type::Union(vec![other]),
            _ => Type::Any,
        })
    }

    fn named(&mut self, name: &str, map: &'a Map<String, Value>, pointer: &str) -> Result<Type, SchemaError> {
        Ok(match name {
            "null" => Type::Null,
            "boolean" => Type::Bool,
            "integer" => Type::Int,
            "number" => Type::Float,
            "string" => Type::Text,
            "array" => {
                let rest = match map.get("items") {
                    Some(Value::Array(_)) | None => None,
                    Some(items) => Some(self.add(items, &format!("{pointer}/items"))?),
                };
                let word = if map.contains_key("prefixItems") {
                    "prefixItems"
                } else {
                    "items"
                };
                match map.get(word) {
                    Some(Value::Array(first)) => {
                        let mut types = Vec::new();
                        for (at, item) in first.iter().enumerate() {
                            types.push(self.add(item, &format!("{pointer}/{word}/{at}"))?);
                        }
                        Type::Tuple(types, rest)
                    }
                    _ => match rest {
                        Some(items) => Type::List(items),
                        None => Type::List(self.new_type(Type::Any)),
                    },
                }
            }
            "object" => self.object(map, pointer)?,
            other => return Err(Self::error(pointer, format!("unknown type {other:?}"))),
        })
    }

    fn object(&mut self, map: &'a Map<String, Value>, pointer: &str) -> Result<Type, SchemaError> {
        let extra = match map.get("additionalProperties") {
            Some(Value::Bool(false)) => Extra::Drop,
            Some(Value::Bool(true)) => Extra::Keep,
            None if self.rules == Rules::Baml => Extra::Drop,
            None => Extra::Keep,
            Some(schema) => Extra::Typed(self.add(schema, &format!("{pointer}/additionalProperties"))?),
        };
        let properties = map.get("properties").and_then(Value::as_object);
        let Some(properties) = properties.filter(|properties| !properties.is_empty()) else {
            return Ok(match extra {
                Extra::Typed(values) => Type::Map(values),
                _ => Type::Map(self.new_type(Type::Any)),
            });
        };
        let required: Vec<&str> = map
            .get("required")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let mut fields = Vec::new();
        for (name, schema) in properties {
            let escaped = name.replace('~', "~0").replace('/', "~1");
            let ty = self.add(schema, &format!("{pointer}/properties/{escaped}"))?;
            let alias = ["x-alias", "alias"]
                .iter()
                .find_map(|word| schema.get(*word)?.as_str());
            fields.push(Field {
                name: name.clone(),
                alias: alias.unwrap_or(name).trim().to_owned(),
                ty,
                required: required.contains(&name.as_str()),
                default: schema.get("default").cloned(),
            });
        }
        Ok(Type::Class(fields, extra))
    }
}

fn literal(value: &Value) -> Type {
    match value {
        Value::Null => Type::Null,
        value => Type::Literal(value.clone()),
    }
}

/// Constants with titles or descriptions are the labels of one enumeration; without, a union of literals.
fn described_labels(options: &[Value]) -> Option<Vec<(String, Vec<String>)>> {
    let mut labels = Vec::new();
    let mut described = false;
    for option in options {
        let label = option.get("const")?.as_str()?;
        let mut texts = match ["x-alias", "alias"]
            .iter()
            .find_map(|word| option.get(*word)?.as_str())
        {
            Some(alias) => vec![alias.to_owned()],
            None => vec![label.to_owned()],
        };
        described |= texts.first().is_some_and(|text| text != label);
        for word in ["title", "description"] {
            if let Some(about) = option.get(word).and_then(Value::as_str).map(str::trim)
                && !about.is_empty()
            {
                described = true;
                texts.push(about.to_owned());
                texts.push(format!(
                    "{}: {about}",
                    texts.first().map_or(label, String::as_str)
                ));
            }
        }
        labels.push((label.to_owned(), texts));
    }
    described.then_some(labels)
}
