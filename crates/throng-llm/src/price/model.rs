//! What the tokens of one model cost, as LiteLLM's table writes it.

use serde_json::{Map, Value};
use throng_core::Usage;

use super::Cost;

/// What one token of a model costs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Price {
    /// The provider, by LiteLLM's name for it; empty if the table does not say.
    pub provider: String,
    /// A token of input.
    pub input: Cost,
    /// A token of input that the provider had cached; priced as other input if `None`.
    pub cached_input: Option<Cost>,
    /// A token of output.
    pub output: Cost,
    /// A token of output that was spent on reasoning; priced as other output if `None`.
    pub reasoning: Option<Cost>,
    /// Prices for all tokens of a call with a long input; the longest first.
    tiers: Vec<Tier>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tier {
    /// For inputs of more tokens than this.
    above: u64,
    input: Cost,
    cached_input: Option<Cost>,
    output: Cost,
}

impl Price {
    /// Makes a price of so much per token of input and of output.
    pub fn new(input: Cost, output: Cost) -> Self {
        Self {
            provider: String::new(),
            input,
            cached_input: None,
            output,
            reasoning: None,
            tiers: Vec::new(),
        }
    }

    /// Sets the price of a token of input that the provider had cached.
    #[must_use]
    pub fn with_cached_input(mut self, cost: Cost) -> Self {
        self.cached_input = Some(cost);
        self
    }

    /// Sets the price of a token that was spent on reasoning.
    #[must_use]
    pub fn with_reasoning(mut self, cost: Cost) -> Self {
        self.reasoning = Some(cost);
        self
    }

    /// Returns what a call cost that used so many tokens. A figure that was not reported counts as 0: see
    /// [`Usage::is_empty`] to tell nothing from nothing known.
    ///
    /// What a provider takes for writing to its cache beyond the price of input (Anthropic: a quarter), for audio, for
    /// searches, and for other service tiers is not in it.
    pub fn cost(&self, usage: &Usage) -> Cost {
        let input_tokens = usage.input_tokens.unwrap_or(0);
        let output_tokens = usage.output_tokens.unwrap_or(0);
        let tier = self.tiers.iter().find(|tier| input_tokens > tier.above);
        let (input, cached_input, output) = tier
            .map_or((self.input, self.cached_input, self.output), |tier| {
                (tier.input, tier.cached_input, tier.output)
            });
        let cached = usage.cached_input_tokens.unwrap_or(0).min(input_tokens);
        let reasoning = usage.reasoning_tokens.unwrap_or(0).min(output_tokens);
        input.times(input_tokens - cached)
            + cached_input.unwrap_or(input).times(cached)
            + output.times(output_tokens - reasoning)
            + self.reasoning.unwrap_or(output).times(reasoning)
    }

    /// Reads an entry of a table; `None` if it has no prices per token for both input and output.
    ///
    /// # Errors
    ///
    /// The name of a member whose number is no price.
    pub(super) fn read(entry: &Map<String, Value>) -> Result<Option<Self>, String> {
        let cost = |name: &str| -> Result<Option<Cost>, String> {
            match entry.get(name).and_then(Value::as_f64) {
                None => Ok(None),
                // The nearest picodollar: published prices are whole numbers of them, and a float is not.
                Some(dollars) if (0.0..=1.0).contains(&dollars) => {
                    Ok(Some(Cost::from_picodollars((dollars * 1e12).round() as u64)))
                }
                Some(_) => Err(name.to_owned()),
            }
        };
        let (Some(input), Some(output)) = (cost("input_cost_per_token")?, cost("output_cost_per_token")?)
        else {
            return Ok(None);
        };
        let cached_input = match cost("cache_read_input_token_cost")? {
            None => cost("input_cost_per_token_cache_hit")?,
            found => found,
        };
        let mut tiers = Vec::new();
        for name in entry.keys() {
            let size = name
                .strip_prefix("input_cost_per_token_above_")
                .and_then(|rest| rest.strip_suffix("k_tokens"));
            let Some(thousands) = size.and_then(|size| size.parse::<u32>().ok()) else {
                continue;
            };
            let of_tier = |name: &str| cost(&format!("{name}_above_{thousands}k_tokens"));
            tiers.push(Tier {
                above: u64::from(thousands) * 1_000,
                input: of_tier("input_cost_per_token")?.unwrap_or(input),
                cached_input: of_tier("cache_read_input_token_cost")?.or(cached_input),
                output: of_tier("output_cost_per_token")?.unwrap_or(output),
            });
        }
        tiers.sort_unstable_by_key(|tier| std::cmp::Reverse(tier.above));
        Ok(Some(Self {
            provider: entry
                .get("litellm_provider")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            input,
            cached_input,
            output,
            reasoning: cost("output_cost_per_reasoning_token")?,
            tiers,
        }))
    }
}
