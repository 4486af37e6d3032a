//! What a tool says it touches: resources with holes that a call's arguments fill.

use serde_json::Value;

use crate::access::{FILE, split_scheme};
use crate::holes::{self, Piece};
use crate::{Access, Effect, InvalidResource, Mode, Resource, ToolSpec};

/// Above this many accesses of one template, a call counts as touching the whole scheme.
const MANY: usize = 1024;

/// A resource with holes, such as `file:{path}` or `db:{table.name}`, and how it is touched.
///
/// `{name}` is the argument of that name, `{a.b}` the member `b` of the argument `a`; `{{` and `}}` are braces. An array
/// gives one access for each of its elements. An argument that is missing, is neither text nor number, or still refers
/// to another call (holds `$` or `#E1`) makes it the whole scheme, or everything if the scheme is a hole too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessTemplate {
    pieces: Vec<Piece>,
    mode: Mode,
    /// The resource that stands in where the holes cannot be filled.
    whole: Resource,
}

impl AccessTemplate {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// [`InvalidResource`] if the text is empty, has a brace without its partner, or an empty hole.
    pub fn new(text: &str, mode: Mode) -> Result<Self, InvalidResource> {
        let invalid = || InvalidResource {
            text: text.to_owned(),
        };
        let pieces = holes::pieces(text).ok_or_else(invalid)?;
        let whole = match pieces.first() {
            None => return Err(invalid()),
            Some(Piece::Hole(_)) => Resource::everything(),
            Some(Piece::Text(text)) if pieces.len() == 1 => Resource::parse(text)?,
            Some(Piece::Text(text)) => {
                let (scheme, _) = split_scheme(text);
                Resource::scheme(scheme).or_else(|_| Resource::scheme(FILE))?
            }
        };
        Ok(Self { pieces, mode, whole })
    }

    /// Returns how the resource is touched.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Fills the holes from a call's arguments.
    pub fn fill(&self, arguments: &Value) -> Vec<Access> {
        let mut texts = vec![String::new()];
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => texts.iter_mut().for_each(|built| built.push_str(text)),
                Piece::Hole(path) => {
                    let Some(values) = values(arguments, path) else {
                        return self.give_up();
                    };
                    if texts.len().saturating_mul(values.len()) > MANY {
                        return self.give_up();
                    }
                    texts = texts
                        .iter()
                        .flat_map(|built| values.iter().map(move |value| format!("{built}{value}")))
                        .collect();
                }
            }
        }
        texts
            .iter()
            .map(|text| Resource::parse(text).map(|resource| Access::new(resource, self.mode)))
            .collect::<Result<_, _>>()
            .unwrap_or_else(|_| self.give_up())
    }

    fn give_up(&self) -> Vec<Access> {
        vec![Access::new(self.whole.clone(), self.mode)]
    }
}

/// Returns the texts of an argument, or `None` if it has to be taken as anything.
fn values(arguments: &Value, path: &[String]) -> Option<Vec<String>> {
    match holes::value(arguments, path)? {
        Value::Array(elements) => elements.iter().map(text).collect(),
        value => text(value).map(|text| vec![text]),
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if may_refer(text) => None,
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// Returns true if the text may be filled from the result of a call, whatever calls there are.
fn may_refer(text: &str) -> bool {
    text.contains('$') || text.contains("#E")
}

/// What calls of a tool touch.
impl ToolSpec {
    /// Declares that a call reads a resource; the template is as of [`AccessTemplate`].
    ///
    /// # Errors
    ///
    /// [`InvalidResource`] if the template is none.
    pub fn reads(self, template: &str) -> Result<Self, InvalidResource> {
        self.touches(template, Mode::Read)
    }

    /// Declares that a call writes a resource.
    ///
    /// # Errors
    ///
    /// [`InvalidResource`] if the template is none.
    pub fn writes(self, template: &str) -> Result<Self, InvalidResource> {
        self.touches(template, Mode::Write)
    }

    /// Declares that a call needs a resource alone, against other plans as well.
    ///
    /// # Errors
    ///
    /// [`InvalidResource`] if the template is none.
    pub fn exclusive(self, template: &str) -> Result<Self, InvalidResource> {
        self.touches(template, Mode::Exclusive)
    }

    /// Declares that calls touch nothing that is shared, so that they depend on no other call by themselves.
    #[must_use]
    pub fn touches_nothing(mut self) -> Self {
        self.touches = Some(Vec::new());
        self
    }

    /// Declares that calls of this tool run one at a time, in the order of emission.
    #[must_use]
    pub fn sequential(mut self) -> Self {
        self.sequential = true;
        self
    }

    /// Returns what a call with these arguments reads and writes, or `None` if that is not known.
    ///
    /// A tool that changes nothing and declares no resource may look at everything.
    pub fn accesses(&self, arguments: &Value) -> Option<Vec<Access>> {
        match &self.touches {
            Some(templates) => Some(
                templates
                    .iter()
                    .flat_map(|template| template.fill(arguments))
                    .collect(),
            ),
            None if self.effect == Effect::ReadOnly => Some(vec![Access::read(Resource::everything())]),
            None => None,
        }
    }

    fn touches(mut self, template: &str, mode: Mode) -> Result<Self, InvalidResource> {
        let template = AccessTemplate::new(template, mode)?;
        self.touches.get_or_insert_default().push(template);
        Ok(self)
    }
}
