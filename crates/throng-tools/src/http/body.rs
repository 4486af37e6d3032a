//! The body of an HTTP call: JSON or text, with holes.

use serde_json::{Map, Value};

use crate::holes::{self, Missing, Template};
#[cfg(feature = "declare")]
use crate::holes::{Form, Need};
use crate::{InvalidSetting, ToolError};

/// The body of an HTTP call.
#[derive(Clone, Debug)]
pub(super) enum Body {
    None,
    Json(Shape),
    Text(Template),
}

/// JSON whose texts have holes.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    Fixed(Value),
    Text(Template),
    Array(Vec<Shape>),
    Object(Vec<(String, Shape)>),
}

impl Body {
    pub(super) fn json(template: &Value) -> Result<Self, InvalidSetting> {
        Shape::parse(template)
            .map(Self::Json)
            .map_err(|why| InvalidSetting::new("json", why))
    }

    pub(super) fn text(template: &str) -> Result<Self, InvalidSetting> {
        Template::parse(template)
            .map(Self::Text)
            .map_err(|why| InvalidSetting::new("body", why))
    }

    /// Returns the type and the bytes of the body.
    pub(super) fn fill(&self, arguments: &Value) -> Result<Option<(&'static str, Vec<u8>)>, ToolError> {
        Ok(match self {
            Self::None => None,
            Self::Json(shape) => {
                let json = shape.fill(arguments)?.unwrap_or_default();
                Some(("application/json", json.to_string().into_bytes()))
            }
            Self::Text(template) => Some((
                "text/plain; charset=utf-8",
                template.fill(arguments)?.into_bytes(),
            )),
        })
    }

    /// Adds the arguments that fill the holes.
    #[cfg(feature = "declare")]
    pub(super) fn needs(&self, needs: &mut Vec<Need>) {
        match self {
            Self::None => {}
            Self::Json(shape) => shape.needs(needs),
            Self::Text(template) => {
                let holes = template.holes();
                needs.extend(holes.filter_map(|path| Need::new(path, Form::Text, false)));
            }
        }
    }
}

impl Shape {
    fn parse(template: &Value) -> Result<Self, String> {
        Ok(match template {
            Value::String(text) => Self::Text(Template::parse(text)?),
            Value::Array(elements) => {
                Self::Array(elements.iter().map(Self::parse).collect::<Result<_, _>>()?)
            }
            Value::Object(members) => {
                let shape = |(key, value): (&String, _)| Ok((key.clone(), Self::parse(value)?));
                Self::Object(members.iter().map(shape).collect::<Result<_, String>>()?)
            }
            fixed => Self::Fixed(fixed.clone()),
        })
    }

    /// Fills the holes. `None` if the whole value is an argument that is missing.
    fn fill(&self, arguments: &Value) -> Result<Option<Value>, Missing> {
        Ok(Some(match self {
            Self::Fixed(value) => value.clone(),
            Self::Text(template) => match template.whole() {
                Some(path) => return Ok(holes::value(arguments, path).cloned()),
                None => Value::String(template.fill(arguments)?),
            },
            Self::Array(shapes) => {
                let filled = shapes
                    .iter()
                    .filter_map(|shape| shape.fill(arguments).transpose());
                Value::Array(filled.collect::<Result<_, _>>()?)
            }
            Self::Object(shapes) => {
                let mut members = Map::new();
                for (key, shape) in shapes {
                    if let Some(value) = shape.fill(arguments)? {
                        members.insert(key.clone(), value);
                    }
                }
                Value::Object(members)
            }
        }))
    }

    #[cfg(feature = "declare")]
    fn needs(&self, needs: &mut Vec<Need>) {
        match self {
            Self::Fixed(_) => {}
            Self::Text(template) => {
                let whole = template.whole().is_some();
                let form = if whole { Form::Any } else { Form::Text };
                needs.extend(template.holes().filter_map(|path| Need::new(path, form, whole)));
            }
            Self::Array(shapes) => shapes.iter().for_each(|shape| shape.needs(needs)),
            Self::Object(shapes) => shapes.iter().for_each(|(_, shape)| shape.needs(needs)),
        }
    }
}
