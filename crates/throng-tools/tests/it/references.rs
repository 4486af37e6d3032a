//! References in arguments: which texts are some, and what they become.

use proptest::prelude::*;
use serde_json::{Value, json};
use throng_tools::{Names, find, resolve};

/// The calls `call_1`, `var1`, `1`, `E1`, `a-b`, `a`, `search.1` and, at the end, the one that refers to them.
fn names() -> Names {
    Names::new([
        "call_1",
        "var1",
        "1",
        "E1",
        "a-b",
        "a",
        "search.1",
        "with space",
        "own",
    ])
}

const OWN: u32 = 8;

fn found_in(arguments: &Value, names: &Names, own: u32) -> Vec<String> {
    find(arguments, names, own)
        .into_iter()
        .map(|reference| {
            let id = names.id(reference.call).unwrap();
            let whole = if reference.whole { "=" } else { "~" };
            format!("{id}{whole}{}", reference.path)
        })
        .collect()
}

fn check(text: &str, expect: &[&str]) {
    let found = found_in(&json!({ "x": text }), &names(), OWN);
    assert_eq!(found, expect, "{text}");
}

#[test]
fn every_form_is_found() {
    check("$call_1", &["call_1="]);
    check("$call_1.output.path", &["call_1=output.path"]);
    check("$call_1.items[0].id", &["call_1=items[0].id"]);
    check("${call_1}", &["call_1="]);
    check("${call_1.items[0].id}", &["call_1=items[0].id"]);
    check("${ call_1.x }", &["call_1=x"]);
    check("${call_1.Exchange Rate}", &["call_1=Exchange Rate"]);
    check("${call_1[\"a.b\"]}", &["call_1=[\"a.b\"]"]);
    check("$call_1['a.b'].c", &["call_1=[\"a.b\"].c"]);
    check("$1", &["1="]);
    check("${1}", &["1="]);
    check("$var1$", &["var1="]);
    check("$var1.field$", &["var1=field"]);
    check("$var1.author[0].id$", &["var1=author[0].id"]);
    check("$var1.Exchange Rate$", &["var1=Exchange Rate"]);
    check("#E1", &["E1="]);
    check("#E1.x", &["E1=x"]);
    check("${with space.x}", &["with space=x"]);
    check("$call_1.größe", &["call_1=größe"]);
}

#[test]
fn references_stand_in_text() {
    check("see $call_1.url.", &["call_1~url"]);
    check("10 * $var1.Exchange Rate$", &["var1~Exchange Rate"]);
    check(
        "$var1.localtime$ - $var1.localtime$",
        &["var1~localtime", "var1~localtime"],
    );
    check("max($1, ${1}) / min($1,$1)", &["1~", "1~", "1~", "1~"]);
    check("$1$1", &["1~", "1~"]);
    check("$call_1$var1", &["call_1~", "var1~"]);
    check("$var1$$call_1$", &["var1~", "call_1~"]);
    check("Given context: #E1, ok", &["E1~"]);
    check("(2 * #E1 - 10)", &["E1~"]);
    check("#E1^0.34", &["E1~"]);
    check("$a-b", &["a-b="]);
    check("$a-c", &["a~"]);
    check("$search.1.x", &["search.1=x"]);
    check("${search.1.x}", &["search.1=x"]);
    check("$call_1. Then $a", &["call_1~", "a~"]);
    check("a $call_1.x and $ 5", &["call_1~x"]);
    check("$1, then", &["1~"]);
    check("$1%", &["1~"]);
    check(" $1", &["1~"]);
}

#[test]
fn what_names_no_call_is_text() {
    for text in [
        "$HOME",
        "${HOME}",
        "$",
        "$$",
        "$ 1",
        "$call_2",
        "$call_10",
        "$call_1x",
        "$call_1_",
        "${call_1",
        "${call_1..x}",
        "${call_1.}",
        "call_1.output",
        "1",
        "\"1\"",
        "$1.50",
        "$1.50 each",
        "$1,000",
        "$1.0",
        "$10",
        "$99",
        "$1k",
        "$0",
        "#E2x",
        "#E1E1E1",
        "C#E1",
        "#E",
        "$-1",
        "{{call_1}}",
        "US$",
        "^\\d+$",
        "$$call_1",
        "$${1}",
        "$99999999999999999999",
    ] {
        check(text, &[]);
    }
}

#[test]
fn a_number_is_a_place_if_it_is_no_id() {
    let names = Names::new(["a", "b", "c"]);
    let at = |own, text: &str| found_in(&json!([text]), &names, own);
    assert_eq!(at(2, "$1"), ["a="]);
    assert_eq!(at(2, "${2.x}"), ["b=x"]);
    assert_eq!(at(2, "#E2"), ["b="]);
    // A place is that of an earlier call; amounts of money are more likely than forward references by place.
    assert!(at(2, "$3").is_empty());
    assert!(at(0, "costs $1").is_empty());
    let names = Names::new(["2", "1", "c"]);
    assert_eq!(found_in(&json!(["$1"]), &names, 2), ["1="]);
    // A forward reference by id is one.
    assert_eq!(found_in(&json!(["$c"]), &names, 0), ["c="]);
}

#[test]
fn every_reference_of_an_argument_counts_and_says_where_it_stands() {
    let names = Names::new(["a", "b", "c"]);
    let arguments = json!({"filters": [{"city": "$a.x and $b.y"}, "no"], "ids": ["$a", "$b"], "$a": 1});
    let found = find(&arguments, &names, 2);
    let places: Vec<_> = found
        .iter()
        .map(|found| (found.argument.as_str(), found.text.as_str(), found.whole))
        .collect();
    assert_eq!(
        places,
        [
            ("filters[0].city", "$a.x", false),
            ("filters[0].city", "$b.y", false),
            ("ids[0]", "$a", true),
            ("ids[1]", "$b", true),
        ]
    );
    assert_eq!(find(&json!("$a"), &names, 2)[0].argument, "");
}

fn filled(arguments: Value, results: &[(&str, Value)]) -> Result<Value, String> {
    let names = Names::new(results.iter().map(|(id, _)| *id).chain(["own"]));
    let own = u32::try_from(results.len()).unwrap();
    let mut arguments = arguments;
    resolve(&mut arguments, &names, own, |call| {
        results.get(call as usize).map(|(_, result)| result)
    })
    .map(|()| arguments)
    .map_err(|error| error.to_string())
}

#[test]
fn a_whole_value_keeps_its_type_and_text_takes_text() {
    let result = json!({"n": 7, "s": "x", "list": [1, "a"], "none": null, "deep": {"a b": [true]}});
    let check = |text: &str, expect: Value| {
        assert_eq!(
            filled(json!([text]), &[("a", result.clone())]),
            Ok(json!([expect])),
            "{text}"
        );
    };
    check("$a", result.clone());
    check("$a.n", json!(7));
    check("$a.list", json!([1, "a"]));
    check("$a.list[1]", json!("a"));
    check(
        "$a.list.0",
        json!("$a.list.0").as_str().map_or(json!(1), |_| json!(1)),
    );
    check("$a.none", json!(null));
    check("${a.deep.a b[0]}", json!(true));
    check("$a.deep.a b[0]$", json!(true));
    check(
        "n=$a.n s=$a.s l=${a.list} z=$a.none",
        json!("n=7 s=x l=[1,\"a\"] z=null"),
    );
    check(" $a.n", json!(" 7"));
    check("$$a.n is $a.n", json!("$a.n is 7"));
    check("$$5 and $HOME", json!("$5 and $HOME"));
}

#[test]
fn output_and_result_are_optional_words() {
    let plain = [("a", json!({"path": "/x"}))];
    assert_eq!(filled(json!("$a.output.path"), &plain), Ok(json!("/x")));
    assert_eq!(filled(json!("$a.result.path"), &plain), Ok(json!("/x")));
    assert_eq!(filled(json!("$a.output"), &plain), Ok(json!({"path": "/x"})));
    let own = [("a", json!({"output": {"path": "/y"}, "path": "/x"}))];
    assert_eq!(filled(json!("$a.output.path"), &own), Ok(json!("/y")));
    assert_eq!(filled(json!("$a.path"), &own), Ok(json!("/x")));
    assert_eq!(
        filled(json!("$a.output"), &[("a", json!("text"))]),
        Ok(json!("text"))
    );
}

#[test]
fn results_are_never_searched() {
    // LLMCompiler puts `$1` of the observation `$1.50` in once more, and gets `FIRST.50`.
    let results = [("1", json!("FIRST")), ("2", json!("$1.50 ${1} $1 #E1 $$"))];
    assert_eq!(
        filled(json!({"a": "$2", "b": "price: $2 ($1)"}), &results),
        Ok(json!({"a": "$1.50 ${1} $1 #E1 $$", "b": "price: $1.50 ${1} $1 #E1 $$ (FIRST)"}))
    );
}

fn check_error(text: &str, result: Value, expect: &str) {
    assert_eq!(
        filled(json!({"x": {"y": text}}), &[("a", result)]),
        Err(expect.to_owned())
    );
}

#[test]
fn an_error_names_the_path_and_what_there_is_instead() {
    check_error(
        "$a.skyId",
        json!({"id": 1, "name": "x"}),
        "`$a.skyId` in argument `x.y`: the result of `a` has no `skyId`; it has `id`, `name`",
    );
    check_error(
        "$a.items[0].id",
        json!({"items": []}),
        "`$a.items[0].id` in argument `x.y`: `items` in the result of `a` has no element 0; it has 0, counted from 0",
    );
    check_error(
        "$a.n.x",
        json!({"n": 1}),
        "`$a.n.x` in argument `x.y`: `n` in the result of `a` is a number, which has no `x`",
    );
    check_error(
        "$a.x",
        json!({}),
        "`$a.x` in argument `x.y`: the result of `a` has no `x`; it has no members",
    );
    let many: Value = (0..20)
        .map(|n| (format!("m{n:02}"), json!(n)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    check_error(
        "t ${a.x}",
        many,
        "`${a.x}` in argument `x.y`: the result of `a` has no `x`; it has `m00`, `m01`, `m02`, `m03`, `m04`, `m05`, \
         `m06`, `m07` and 12 more",
    );
    let names = Names::new(["a", "own"]);
    let error = resolve(&mut json!("$a"), &names, 1, |_| None).unwrap_err();
    assert_eq!(error.to_string(), "`$a`: the result of `a` is not there");
}

/// The names of the members in a path that the grammar can write.
fn key() -> impl Strategy<Value = String> {
    "[A-Za-z_][A-Za-z0-9_ -]{0,6}[A-Za-z0-9_]"
}

proptest! {
    #[test]
    fn text_in_which_every_sign_is_doubled_stays(text in "[$#{}.\\[\\]E0-9a-z ,-]{0,40}") {
        let names = names();
        // `#` has no escape of its own; it only means something before `E` and a digit.
        let text = text.replace("#E", "#e");
        let doubled = json!({"x": text.replace('$', "$$")});
        prop_assert!(find(&doubled, &names, OWN).is_empty());
        let mut resolved = doubled;
        resolve(&mut resolved, &names, OWN, |_| None).unwrap();
        prop_assert_eq!(resolved, json!({"x": text}));
    }

    #[test]
    fn a_path_in_braces_leads_to_its_value(keys in prop::collection::vec((key(), 0_usize..3), 1..5), inside in any::<bool>()) {
        let mut result = json!("the value");
        let mut path = String::new();
        for (key, index) in keys.iter().rev() {
            let mut array = vec![Value::Null; *index];
            array.push(result);
            result = json!({ key: array });
            path = format!(".{key}[{index}]{path}");
        }
        let (before, after) = if inside { ("<", ">") } else { ("", "") };
        for text in [format!("{before}${{a.output{path}}}{after}"), format!("{before}$a{path}${after}")] {
            let expect = json!([format!("{before}the value{after}")]);
            prop_assert_eq!(filled(json!([text]), &[("a", result.clone())]), Ok(expect));
        }
    }

    #[test]
    fn what_is_found_is_what_is_resolved(text in "[$#{}.\\[\\]E0-9a ,x-]{0,40}") {
        let names = names();
        let arguments = json!([text]);
        let found = find(&arguments, &names, OWN);
        let whole = json!("w");
        let mut calls = std::cell::RefCell::new(Vec::new());
        let mut resolved = arguments;
        let result = resolve(&mut resolved, &names, OWN, |call| { calls.borrow_mut().push(call); Some(&whole) });
        let asked = std::mem::take(calls.get_mut());
        let expect: Vec<_> = found.iter().map(|found| found.call).collect();
        if result.is_ok() {
            prop_assert_eq!(asked, expect);
        } else {
            prop_assert!(expect.starts_with(&asked));
        }
    }
}
