//! What tokens cost: sums of money, prices of models, and a table of them.

mod cost;
mod model;
mod table;

pub use cost::{Cost, InvalidCost};
pub use model::Price;
pub use table::{InvalidPrices, PriceTable};
