//! What calls cost, and a limit to it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_core::future::BoxFuture;
use throng_core::Usage;

use super::tap::{Observe, Tap};
use crate::{
    CallContext, Cost, ErrorKind, EventStream, LlmClient, LlmError, Price, PriceTable, Request, StreamEvent,
};

/// Adds up what the calls of a client cost, and refuses calls once a limit is reached.
///
/// A call is booked when it ends, fails or is dropped, with the tokens that the provider had reported by then; nothing
/// is estimated. An answer from a [`Cache`](crate::Cache) is free, whichever of the two is outside. Over a
/// `Replay` the sum is what the recorded calls had cost.
///
/// With a limit, a call is refused before it is sent, with [`ErrorKind::CostLimit`], if what is booked has reached the
/// limit. Calls that are on their way then go on, so the sum can go over the limit by what they cost: with N calls at
/// once, by at most N calls.
#[derive(Clone, Debug)]
pub struct Metered<C> {
    client: C,
    prices: Arc<PriceTable>,
    spending: Spending,
    max_cost: Option<Cost>,
    unknown: UnknownPrices,
}

/// What is done with a call to a model whose price is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnknownPrices {
    /// With a limit it is refused with [`ErrorKind::UnknownPrice`], without one it is counted as unpriced.
    #[default]
    RefuseUnderLimit,
    /// It is counted as unpriced, and does not count towards a limit.
    Count,
}

impl<C: LlmClient> Metered<C> {
    /// Meters a client. Prices are looked up under the client's [`provider`](LlmClient::provider).
    pub fn new(client: C, prices: impl Into<Arc<PriceTable>>) -> Self {
        Self {
            client,
            prices: prices.into(),
            spending: Spending::default(),
            max_cost: None,
            unknown: UnknownPrices::default(),
        }
    }

    /// Sets the sum at which further calls are refused.
    #[must_use]
    pub fn with_max_cost(mut self, max: Cost) -> Self {
        self.max_cost = Some(max);
        self
    }

    /// Says what is done with a call to a model whose price is not known.
    #[must_use]
    pub fn with_unknown_prices(mut self, unknown: UnknownPrices) -> Self {
        self.unknown = unknown;
        self
    }

    /// Adds what is spent to an account that other clients add to as well: a limit then counts all of them.
    #[must_use]
    pub fn with_spending(mut self, spending: Spending) -> Self {
        self.spending = spending;
        self
    }

    /// Returns the account, which can be read while calls go on.
    pub fn spending(&self) -> Spending {
        self.spending.clone()
    }

    /// Says whether a call may be sent.
    fn check(&self, model: &str, price: Option<&Price>) -> Result<(), LlmError> {
        let Some(max) = self.max_cost else { return Ok(()) };
        let provider = self.client.provider();
        let spent = self.spending.total().cost;
        if spent >= max {
            let message =
                format!("was not called: the calls so far cost {spent}, which reaches the limit of {max}");
            return Err(LlmError::new(ErrorKind::CostLimit, provider, message));
        }
        if price.is_none() && self.unknown == UnknownPrices::RefuseUnderLimit {
            let message = format!(
                "was not called: the price of model `{model}` is not known, so the limit of {max} cannot be kept; \
                 give its price in a price file"
            );
            return Err(LlmError::new(ErrorKind::UnknownPrice, provider, message));
        }
        Ok(())
    }
}

impl<C: LlmClient> LlmClient for Metered<C> {
    fn provider(&self) -> &str {
        self.client.provider()
    }

    fn call(
        &self,
        request: Arc<Request>,
        cx: CallContext,
    ) -> BoxFuture<'static, Result<EventStream, LlmError>> {
        let model = request.model.clone();
        let price = self.prices.price(self.client.provider(), &model).cloned();
        if let Err(error) = self.check(&model, price.as_ref()) {
            return Box::pin(async move { Err(error) });
        }
        let call = self.client.call(request, cx);
        let spending = self.spending.clone();
        Box::pin(async move {
            let events = call.await?;
            let meter = Meter {
                spending,
                model,
                price,
                usage: Usage::NONE,
                cached: false,
            };
            Ok(Tap::stream(events, meter))
        })
    }
}

/// What calls have cost so far. Clones share the account.
#[derive(Clone, Debug, Default)]
pub struct Spending(Arc<Mutex<Account>>);

#[derive(Debug, Default)]
struct Account {
    models: BTreeMap<String, Spent>,
    /// The sum of `models`, which is asked for before every call.
    total: Spent,
}

/// What some calls have cost. Only calls whose answer began are in it: the others reported nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Spent {
    /// Answers that began, those from a cache included.
    pub calls: u64,
    /// Answers from a cache: free, and their tokens are not in `usage`.
    pub cached: u64,
    /// Answers that ended without a word on their tokens, which may have cost something.
    pub unreported: u64,
    /// Answers with reported tokens of a model whose price is not known.
    pub unpriced: u64,
    /// The tokens that were reported.
    pub usage: Usage,
    /// What they cost, as far as prices are known.
    pub cost: Cost,
}

impl Spent {
    /// Returns true if some call may have cost more than `cost` says.
    pub const fn is_incomplete(&self) -> bool {
        self.unreported > 0 || self.unpriced > 0
    }

    fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.cached += other.cached;
        self.unreported += other.unreported;
        self.unpriced += other.unpriced;
        self.usage.add(&other.usage);
        self.cost += other.cost;
    }
}

impl Spending {
    /// Makes an account on which nothing is booked.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns what all calls have cost.
    pub fn total(&self) -> Spent {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).total
    }

    /// Returns what the calls to each model have cost, in the order of the models' names as requests give them.
    pub fn models(&self) -> Vec<(String, Spent)> {
        let account = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        account
            .models
            .iter()
            .map(|(model, spent)| (model.clone(), *spent))
            .collect()
    }

    fn book(&self, model: &str, spent: &Spent) {
        let mut account = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        account.total.add(spent);
        match account.models.get_mut(model) {
            Some(sum) => sum.add(spent),
            None => {
                account.models.insert(model.to_owned(), *spent);
            }
        }
    }
}

/// Follows one answer, and books it when it is dropped: at the end of the answer, or with the stream.
struct Meter {
    spending: Spending,
    model: String,
    price: Option<Price>,
    usage: Usage,
    cached: bool,
}

impl Observe for Meter {
    fn event(&mut self, event: &StreamEvent) {
        match event {
            StreamEvent::Started(started) => self.cached = started.cached,
            StreamEvent::Usage(usage) | StreamEvent::Finished { usage, .. } => self.usage.replace_with(usage),
            _ => {}
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let mut spent = Spent {
            calls: 1,
            ..Spent::default()
        };
        if self.cached {
            spent.cached = 1;
        } else if self.usage.is_empty() {
            spent.unreported = 1;
        } else {
            spent.usage = self.usage;
            match &self.price {
                Some(price) => spent.cost = price.cost(&self.usage),
                None => spent.unpriced = 1,
            }
        }
        self.spending.book(&self.model, &spent);
    }
}
