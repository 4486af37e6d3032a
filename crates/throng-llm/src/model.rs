//! What a provider says of a model that it offers.

/// A model that a provider offers; see [`HttpClient::models`](crate::HttpClient::models). What the provider did not say is
/// `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Model {
    /// The name by which requests ask for it.
    pub id: String,
    /// The name for people, where it is another.
    pub name: Option<String>,
    /// Whom the provider names as its owner.
    pub owner: Option<String>,
    /// How many tokens fit into its context, or, of Gemini, into its input.
    pub context_tokens: Option<u64>,
    /// How many tokens an answer may have.
    pub max_output_tokens: Option<u64>,
}

impl Model {
    /// Makes a model of which only the name is known.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            ..Self::default()
        }
    }
}
