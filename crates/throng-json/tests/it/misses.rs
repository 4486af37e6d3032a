//! The page of what the profiles miss is that of the present code.

use std::fmt::Write as _;
use std::path::Path;

use crate::data::data;
use crate::profiles::{Score, baml, json_repair, jsonrepair};

fn table(page: &mut String, name: &str, score: &Score, of: usize) {
    let met = score.n - score.misses.len();
    let _ = writeln!(
        page,
        "\n## {name}\n\n{met} of {} vectors ({of} in the whole set) give the value that the library gives.",
        score.n
    );
    if !score.misses.is_empty() {
        let _ = writeln!(page, "\n| vector | what Throng gives |\n|---|---|");
    }
    for miss in &score.misses {
        let _ = writeln!(
            page,
            "| {} | {} |",
            miss.name.replace('|', "\\|"),
            miss.found.replace('|', "\\|")
        );
    }
}

#[test]
fn the_page_of_misses_is_current() {
    if data("json").is_none() {
        return;
    }
    let mut page = String::from(
        "# The profiles of throng-json against the libraries that they follow\n\n\
         Written by `THRONG_BLESS=1 cargo test -p throng-json the_page_of_misses` from the vectors in `../shared/data/json` \
         (the halves that are not kept aside). A vector is met if the values are equal, numbers compared as numbers. What \
         each profile is: `json_repair` for Python at 600ede6, without `schema`, `strict` and `stream_stable`; `jsonrepair` \
         for JavaScript at 3.14.1, errors included; BAML's `jsonish` at d794f28, its types as JSON schemas, without the \
         vectors that expect a score.\n\n\
         Known differences from the libraries: half a surrogate pair becomes U+FFFD (JavaScript and Python keep it); \
         nesting deeper than 127 levels is an error; numbers beyond 64 bits are floating-point numbers; BAML's `@check` \
         and `@assert` have no counterpart in a JSON schema.\n",
    );
    table(&mut page, "json_repair", &json_repair(), 215);
    table(&mut page, "jsonrepair", &jsonrepair(), 415);
    let (score, must_fail) = baml();
    table(&mut page, "BAML with a schema", &score, 182);
    let _ = writeln!(page, "\nAll {must_fail} vectors that must fail do.");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/measurements/json_repair.md");
    if std::env::var_os("THRONG_BLESS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(&path).unwrap_or_default(),
        page,
        "run with THRONG_BLESS=1 to write it"
    );
}
