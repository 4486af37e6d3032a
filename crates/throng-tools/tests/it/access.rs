//! Resources, their hierarchy, and what calls touch by their tool's word.

use serde_json::json;
use throng_tools::{Access, AccessTemplate, Effect, Mode, Resource, ToolSpec};

fn resource(text: &str) -> Resource {
    text.parse().unwrap()
}

fn check_normal(text: &str, normal: &str) {
    let resource = resource(text);
    assert_eq!(resource.as_str(), normal, "{text}");
    assert_eq!(self::resource(normal), resource, "{text} twice");
}

#[test]
fn a_resource_is_brought_into_its_normal_form() {
    check_normal("file:/a/b", "file:/a/b");
    check_normal("/a/b/", "file:/a/b");
    check_normal("file:///a//b", "file:/a/b");
    check_normal("/a/./b/../c", "file:/a/c");
    check_normal("/../../a", "file:/a");
    check_normal("a/b", "file:a/b");
    check_normal("./a", "file:a");
    check_normal("FILE:/A", "file:/A");
    check_normal("/", "file:/");
    check_normal("db:users", "db:users");
    check_normal("db:/users/", "db:users");
    check_normal("db:", "db:");
    check_normal("*", "*");
    check_normal("https://host/a", "https:host/a");
    check_normal("c:/x", "file:c:/x");
}

#[test]
fn what_the_text_leaves_open_holds_more() {
    check_normal("../a", "file:");
    check_normal("a/../../b", "file:");
    check_normal(".", "file:");
    check_normal("~/a", "file:");
    check_normal("/a/*.txt", "file:/a");
    check_normal("/a/**/b", "file:/a");
    check_normal("db:*", "db:");
}

#[test]
fn a_text_that_names_nothing_is_refused() {
    for text in ["", "a\nb", "\0"] {
        let error = Resource::parse(text).unwrap_err();
        assert!(error.to_string().contains("names no resource"), "{error}");
    }
}

fn check_overlap(a: &str, b: &str, overlap: bool) {
    let (a, b) = (resource(a), resource(b));
    assert_eq!(a.overlaps(&b), overlap, "{a} and {b}");
    assert_eq!(b.overlaps(&a), overlap, "{b} and {a}");
}

#[test]
fn a_directory_holds_what_lies_in_it() {
    assert!(resource("/a").holds(&resource("/a/b")));
    assert!(!resource("/a/b").holds(&resource("/a")));
    check_overlap("/a", "/a", true);
    check_overlap("/a", "/a/b/c", true);
    check_overlap("/a", "/ab", false);
    check_overlap("/a/b", "/a/c", false);
    check_overlap("file:", "/a", true);
    check_overlap("/", "/a", true);
    check_overlap("*", "db:users", true);
    check_overlap("db:users", "file:users", false);
    check_overlap("db:", "db:users/1", true);
    check_overlap("db:", "dbx:users", false);
}

#[test]
fn a_relative_path_may_lie_anywhere() {
    check_overlap("a.txt", "/srv/b.txt", true);
    check_overlap("a.txt", "/", true);
    check_overlap("a.txt", "b.txt", false);
    check_overlap("db:a", "db:/b", false);
}

#[test]
fn only_reads_go_together() {
    let conflict = |a: Access, b: Access| a.conflicts_with(&b);
    let (folder, file) = (resource("/a"), resource("/a/b"));
    assert!(!conflict(
        Access::read(folder.clone()),
        Access::read(file.clone())
    ));
    assert!(conflict(
        Access::read(folder.clone()),
        Access::write(file.clone())
    ));
    assert!(conflict(
        Access::write(folder.clone()),
        Access::read(file.clone())
    ));
    assert!(conflict(Access::exclusive(folder), Access::read(file)));
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "so that `json!` can be written in place"
)]
fn check_fill(template: &str, arguments: serde_json::Value, expect: &[&str]) {
    let filled = AccessTemplate::new(template, Mode::Write)
        .unwrap()
        .fill(&arguments);
    let texts: Vec<_> = filled.iter().map(|access| access.resource.as_str()).collect();
    assert_eq!(texts, expect, "{template} {arguments}");
    assert!(filled.iter().all(|access| access.mode == Mode::Write));
}

#[test]
fn a_template_is_filled_from_the_arguments() {
    check_fill("file:{path}", json!({"path": "/a/../b"}), &["file:/b"]);
    check_fill("{path}", json!({"path": "notes.txt"}), &["file:notes.txt"]);
    check_fill(
        "db:{table.name}",
        json!({"table": {"name": "users"}}),
        &["db:users"],
    );
    check_fill("db:t/{row}", json!({"row": 7}), &["db:t/7"]);
    check_fill(
        "file:{paths}",
        json!({"paths": ["/a", "/b"]}),
        &["file:/a", "file:/b"],
    );
    check_fill(
        "kv:{a}/{b}",
        json!({"a": ["x", "y"], "b": [1, 2]}),
        &["kv:x/1", "kv:x/2", "kv:y/1", "kv:y/2"],
    );
    check_fill("file:{paths}", json!({"paths": []}), &[]);
    check_fill("kv:{{x}}", json!({}), &["kv:{x}"]);
    check_fill(
        "file:/base/{name}",
        json!({"name": "../../etc/passwd"}),
        &["file:/etc/passwd"],
    );
    check_fill("db:users", json!(null), &["db:users"]);
}

#[test]
fn a_hole_that_cannot_be_filled_yet_is_the_whole_scheme() {
    check_fill("file:{path}", json!({}), &["file:"]);
    check_fill("file:{path}", json!({"path": "$a.path"}), &["file:"]);
    check_fill("file:/srv/{path}", json!({"path": "x/${1}"}), &["file:"]);
    check_fill("file:{path}", json!({"path": ["/a", "#E1"]}), &["file:"]);
    check_fill("db:{t}", json!({"t": {"x": 1}}), &["db:"]);
    check_fill("db:{t}", json!({"t": null}), &["db:"]);
    check_fill("{uri}", json!({"uri": "$a"}), &["*"]);
    check_fill("/srv/{x}", json!({}), &["file:"]);
    let many: Vec<_> = (0..40).collect();
    check_fill("kv:{a}/{b}", json!({"a": many, "b": many}), &["kv:"]);
}

#[test]
fn a_template_that_is_none_is_refused() {
    for text in ["", "file:{", "file:{}", "file:}", "file:{a{b}}", "file:{a..b}"] {
        assert!(AccessTemplate::new(text, Mode::Read).is_err(), "{text}");
    }
}

fn spec(effect: Effect) -> ToolSpec {
    let mut spec = ToolSpec::new("tool");
    spec.effect = effect;
    spec
}

#[test]
fn a_tool_says_what_its_calls_touch() {
    let arguments = json!({"path": "/a", "to": "/b"});
    assert_eq!(spec(Effect::Unknown).accesses(&arguments), None);
    assert_eq!(spec(Effect::Once).accesses(&arguments), None);
    assert_eq!(
        spec(Effect::ReadOnly).accesses(&arguments),
        Some(vec![Access::read(Resource::everything())])
    );
    assert_eq!(
        spec(Effect::ReadOnly).touches_nothing().accesses(&arguments),
        Some(vec![])
    );
    let copy = spec(Effect::Idempotent)
        .reads("file:{path}")
        .unwrap()
        .writes("file:{to}")
        .unwrap();
    assert_eq!(
        copy.accesses(&arguments),
        Some(vec![Access::read(resource("/a")), Access::write(resource("/b"))])
    );
}
