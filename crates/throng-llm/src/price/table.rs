//! A table of prices by model, and how a model is found in it.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value};

use super::Price;

/// The table that this crate carries; see `prices.py` for where it comes from.
static BUILTIN: LazyLock<Arc<PriceTable>> = LazyLock::new(|| {
    let table = PriceTable::from_json(include_str!("../../prices.json"));
    Arc::new(table.expect("a test reads the table of this crate"))
});

/// The prices of models.
///
/// # Examples
///
/// ```
/// use throng_llm::PriceTable;
///
/// let ours = PriceTable::from_json(r#"{"our-model": {"input_cost_per_token": 1e-7, "output_cost_per_token": 4e-7}}"#)?;
/// let table = PriceTable::builtin().merged(ours);
/// assert!(table.price("openai", "gpt-4.1-mini").is_some());
/// assert!(table.price("", "our-model").is_some());
/// assert!(table.price("", "a-model-that-nobody-knows").is_none());
/// # Ok::<(), throng_llm::InvalidPrices>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct PriceTable(HashMap<String, Price>);

/// A text is not a table of prices.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPrices {
    /// It is not a JSON object of JSON objects.
    #[error("the table of prices is not a JSON object of objects")]
    Json {
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A price is negative, or more than a dollar per token.
    #[error("the price `{member}` of model `{model}` is not between 0 and 1 dollar per token")]
    Price {
        /// The model.
        model: String,
        /// The member.
        member: String,
    },
}

impl PriceTable {
    /// Makes an empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the table that this crate carries: chat models of ten providers, out of the MIT-licensed table of
    /// LiteLLM. Prices change; a table of your own wins over it, see [`merged`](Self::merged).
    pub fn builtin() -> Arc<Self> {
        Arc::clone(&BUILTIN)
    }

    /// Reads a table in LiteLLM's format: an object of models, each an object with `input_cost_per_token`,
    /// `output_cost_per_token` and, where they apply, `cache_read_input_token_cost`, `output_cost_per_reasoning_token`
    /// and `..._above_200k_tokens`, all in dollars. Other members are ignored, and so are models without a price for
    /// both input and output.
    ///
    /// # Errors
    ///
    /// [`InvalidPrices`] if the text is not such a table.
    pub fn from_json(text: &str) -> Result<Self, InvalidPrices> {
        let entries: HashMap<String, Map<String, Value>> =
            serde_json::from_str(text).map_err(|source| InvalidPrices::Json { source })?;
        let mut prices = HashMap::with_capacity(entries.len());
        for (model, entry) in entries {
            match Price::read(&entry) {
                Ok(Some(price)) => {
                    prices.insert(model, price);
                }
                Ok(None) => {}
                Err(member) => return Err(InvalidPrices::Price { model, member }),
            }
        }
        Ok(Self(prices))
    }

    /// Returns this table with the prices of another, which win.
    #[must_use]
    pub fn merged(&self, other: Self) -> Self {
        let mut merged = self.clone();
        merged.0.extend(other.0);
        merged
    }

    /// Sets the price of a model.
    pub fn insert(&mut self, model: impl Into<String>, price: Price) {
        self.0.insert(model.into(), price);
    }

    /// Returns the number of models.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if there are no models.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the price of a model, or `None` if it is not known. `provider` may be empty. The first that is found of:
    ///
    /// 1. `provider/model`;
    /// 2. `model`;
    /// 3. the model without what is before its first `/`, if the table says that it is of that provider;
    /// 4. the same three for the model without a date at its end, written `-2025-04-14`, `-20250414` or `@20250414`.
    ///
    /// A model is never priced as another one of its family.
    pub fn price(&self, provider: &str, model: &str) -> Option<&Price> {
        let undated = || self.exact(provider, without_date(model)?);
        self.exact(provider, model).or_else(undated)
    }

    fn exact(&self, provider: &str, model: &str) -> Option<&Price> {
        let unprefixed = || {
            let (prefix, rest) = model.split_once('/')?;
            self.0.get(rest).filter(|price| price.provider == prefix)
        };
        self.0
            .get(&format!("{provider}/{model}"))
            .or_else(|| self.0.get(model))
            .or_else(unprefixed)
    }
}

/// Returns a model's name without the date at its end.
fn without_date(model: &str) -> Option<&str> {
    let digits = |text: &str, n| text.len() == n && text.bytes().all(|byte| byte.is_ascii_digit());
    let (name, last) = model.rsplit_once(['-', '@'])?;
    if digits(last, 8) {
        return Some(name);
    }
    let (name, month) = name.rsplit_once('-')?;
    let (name, year) = name.rsplit_once('-')?;
    (digits(last, 2) && digits(month, 2) && digits(year, 4)).then_some(name)
}
