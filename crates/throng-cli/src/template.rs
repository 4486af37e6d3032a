//! Prompt templates: text with `{field}` where a field of the record goes, `{{` and `}}` for single braces.

use std::fmt::Write as _;

/// A template that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(String),
}

/// A text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TemplateError {
    /// A brace opens and nothing closes it.
    #[error("the `{{` at character {0} is never closed")]
    Open(usize),
    /// A brace closes and nothing opened it.
    #[error("the `}}` at character {0} closes nothing")]
    Close(usize),
    /// Braces without a name.
    #[error("the braces at character {0} name no field")]
    Empty(usize),
    /// No field at all.
    #[error("it names no field, so every prompt would be the same")]
    Constant,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// If braces do not match, hold no name, or if there are none.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut chars = text.chars().enumerate().peekable();
        while let Some((at, c)) = chars.next() {
            match c {
                '{' if chars.next_if(|(_, next)| *next == '{').is_some() => literal.push('{'),
                '}' if chars.next_if(|(_, next)| *next == '}').is_some() => literal.push('}'),
                '}' => return Err(TemplateError::Close(at + 1)),
                '{' => {
                    let mut name = String::new();
                    loop {
                        match chars.next() {
                            Some((_, '}')) => break,
                            None | Some((_, '{')) => return Err(TemplateError::Open(at + 1)),
                            Some((_, c)) => name.push(c),
                        }
                    }
                    let name = name.trim();
                    if name.is_empty() {
                        return Err(TemplateError::Empty(at + 1));
                    }
                    if !literal.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::Field(name.to_owned()));
                }
                c => literal.push(c),
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        if !parts.iter().any(|part| matches!(part, Part::Field(_))) {
            return Err(TemplateError::Constant);
        }
        Ok(Self { parts })
    }

    /// Fills the template in.
    ///
    /// # Errors
    ///
    /// The first error of `field`, which gives the text of a field.
    pub(crate) fn render<E>(&self, mut field: impl FnMut(&str) -> Result<String, E>) -> Result<String, E> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Field(name) => {
                    let _ = write!(text, "{}", field(name)?);
                }
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(template: &str, expect: &Result<&str, TemplateError>) {
        let filled = Template::parse(template)
            .map(|template| template.render(|name| Ok::<_, ()>(format!("<{name}>"))).unwrap());
        assert_eq!(
            &filled.as_ref().map(String::as_str).map_err(Clone::clone),
            expect,
            "{template:?}"
        );
    }

    #[test]
    fn braces_name_fields_and_doubled_braces_are_text() {
        check("Q: {question}", &Ok("Q: <question>"));
        check("{a.b}{ c }", &Ok("<a.b><c>"));
        check("{{{x}}}", &Ok("{<x>}"));
        check("{{\"k\": {x}}}", &Ok("{\"k\": <x>}"));
        check("é{", &Err(TemplateError::Open(2)));
        check("a } {x}", &Err(TemplateError::Close(3)));
        check("{} {x}", &Err(TemplateError::Empty(1)));
        check("{{x}}", &Err(TemplateError::Constant));
        check("", &Err(TemplateError::Constant));
    }

    proptest! {
        #[test]
        fn escaped_text_comes_back_unchanged(text in "[^\u{0}]{0,40}") {
            let escaped = text.replace('{', "{{").replace('}', "}}");
            let template = Template::parse(&format!("{escaped}{{x}}{escaped}")).unwrap();
            let filled = template.render(|_| Ok::<_, ()>("|{}|".to_owned())).unwrap();
            prop_assert_eq!(filled, format!("{text}|{{}}|{text}"));
        }

        #[test]
        fn no_text_panics(text in "[{}a. é]{0,16}") {
            let _ = Template::parse(&text);
        }
    }
}
