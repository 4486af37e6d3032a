//! The rules of `json_repair` for Python at 600ede6 (MIT, Stefano Baccianella), without its schema, stream and strict
//! options. Each file follows the one of the same name there.

mod array;
mod cursor;
mod lookahead;
mod number;
mod object;
mod paren;
mod string;
mod top;

pub(crate) use top::parse;
