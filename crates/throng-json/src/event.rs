//! What a parser emits: steps, elements, repairs, rejections, and how the text ended.

use std::fmt;

use serde_json::Value;

/// A range of bytes of the text, counted from its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u64,
    /// Offset behind the last byte.
    pub end: u64,
}

/// One level of a [`Path`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Part {
    /// A member of an object.
    Key(String),
    /// An item of an array, counted from 0.
    Index(usize),
}

/// Where an element lies: the number of its document, and the way into that.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Path {
    /// Number of the document in the text, counted from 0.
    pub document: usize,
    /// The way from the document to the element; empty when the document is the element.
    pub parts: Vec<Part>,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}", self.document)?;
        for part in &self.parts {
            match part {
                Part::Key(key) => write!(f, ".{key}")?,
                Part::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Something that a parser found.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event<T = Value> {
    /// An item of the array that [`Options::steps`](crate::Options::steps) names; its element is still open.
    StepComplete(Step),
    /// An element ended.
    ElementComplete(Element<T>),
    /// Something was changed or skipped. Repairs of an element come before the element.
    Repair(Repair),
    /// An element was given up, or in strict mode the text.
    Rejected(Rejected),
}

/// A complete element.
#[derive(Debug, Clone, PartialEq)]
pub struct Element<T = Value> {
    /// Where it lies.
    pub path: Path,
    /// What it holds.
    pub value: T,
    /// Its bytes.
    pub span: Span,
    /// How many repairs it took; 0 means that its bytes are JSON.
    pub repairs: usize,
}

/// A complete item of an element's array of steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The element that it is part of.
    pub path: Path,
    /// Its position among the element's steps.
    pub index: usize,
    /// What it holds.
    pub value: Value,
}

/// A change that was needed to read the text as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// Offset of the byte at which it was needed.
    pub offset: u64,
    /// What was done.
    pub what: Fix,
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.offset)
    }
}

macro_rules! fixes {
    ($($(#[$doc:meta])* $name:ident => $text:literal,)*) => {
        /// What a [`Repair`] did.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Fix {
            $($(#[$doc])* $name,)*
        }

        impl Fix {
            /// Returns the change in words, such as `missing comma added`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

fixes! {
    /// Text around JSON was skipped.
    TextSkipped => "text that is not JSON skipped",
    /// A byte order mark was skipped.
    ByteOrderMark => "byte order mark skipped",
    /// JSON was inside a string.
    StringUnwrapped => "string that holds JSON unwrapped",
    /// Another document follows.
    DocumentsJoined => "several documents joined into an array",
    /// A comment was skipped.
    CommentSkipped => "comment skipped",
    /// A byte that means nothing there was skipped.
    ByteSkipped => "unexpected text skipped",
    /// `...` was skipped.
    EllipsisSkipped => "ellipsis skipped",
    /// A comma was missing.
    CommaAdded => "missing comma added",
    /// A comma stood where none belongs.
    CommaRemoved => "superfluous comma removed",
    /// A colon was missing.
    ColonAdded => "missing colon added",
    /// A value was missing.
    NullAdded => "missing value set to null",
    /// A closing bracket or brace was missing.
    CloserAdded => "missing closing bracket added",
    /// A closing bracket or brace matched nothing.
    CloserRemoved => "unmatched closing bracket removed",
    /// The quote that ends a string was missing.
    QuoteAdded => "missing quote added",
    /// A quote inside a string was not escaped.
    QuoteEscaped => "quote inside a string escaped",
    /// A string had other quotes than `"`.
    QuotesReplaced => "quotes replaced",
    /// A key or a string had no quotes.
    QuotesAdded => "unquoted text quoted",
    /// A control character in a string was not escaped.
    ControlEscaped => "control character escaped",
    /// An escape that JSON does not know.
    EscapeFixed => "invalid escape replaced",
    /// Bytes that are not UTF-8.
    EncodingFixed => "invalid UTF-8 replaced",
    /// A number in another notation.
    NumberFixed => "number rewritten",
    /// A literal in another notation, such as `True`.
    LiteralFixed => "literal rewritten",
    /// The text ended early.
    EndAdded => "text ends early: the open element closed",
    /// A library's rules changed the text; they do not say where.
    Rewritten => "rewritten by the rules of the profile",
    /// A value was changed to fit the schema.
    Coerced => "value changed to fit the schema",
}

impl fmt::Display for Fix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An element that was given up.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejected {
    /// Where it lies.
    pub path: Path,
    /// Offset at which it was given up.
    pub offset: u64,
    /// Why.
    pub reason: Reason,
    /// What it holds, when it is JSON of another type than asked for.
    pub value: Option<Value>,
}

/// Why an element was rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// Strict mode: the text is not JSON.
    #[error("{0}")]
    Syntax(String),
    /// The element does not have the type that was asked for.
    #[error("{0}")]
    Type(String),
    /// Nested deeper than [`Limits::depth`](crate::Limits::depth).
    #[error("nested deeper than {0} levels")]
    TooDeep(u32),
    /// Longer than [`Limits::element_bytes`](crate::Limits::element_bytes).
    #[error("longer than {0} bytes")]
    TooLong(usize),
    /// Needs more repairs than [`Limits::repairs`](crate::Limits::repairs).
    #[error("needs more than {0} repairs")]
    TooManyRepairs(usize),
}

/// How a text ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// Everything that was opened was closed, and nothing was rejected.
    Whole,
    /// The text ended inside a document: what is missing was not sent. Complete elements were emitted.
    Truncated {
        /// Whether an element was open, so that its part is lost; else only the brackets around the elements are missing.
        in_element: bool,
    },
    /// At least one element, in strict mode the text, was rejected.
    Malformed,
    /// The text holds no JSON.
    Empty,
}

/// The last events of a text, and how it ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Finish<T = Value> {
    /// Events that only the end of the text brings, such as a number that nothing follows.
    pub events: Vec<Event<T>>,
    /// How the text ended.
    pub ending: Ending,
}
