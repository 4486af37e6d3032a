//! Cancel safety is written down: the docs of every public async function, of every public function that returns a
//! future or a stream, and of every public type that is one, have the heading `# Cancel safety`.

use super::rust::{code_lines, is_test_file, mask, words};
use super::{File, Finding};

const HEADING: &str = "# Cancel safety";
const FIX: &str = "add `/// # Cancel safety` and say what is lost when it is dropped before its end";

/// Checks the sources of the crates.
pub(crate) fn check(files: &[File]) -> Vec<Finding> {
    let sources: Vec<Source<'_>> = files.iter().filter_map(Source::new).collect();
    let mut findings = Vec::new();
    for source in &sources {
        check_functions(source, &mut findings);
        check_types(source, &sources, &mut findings);
    }
    findings
}

/// A source file of a crate, its tests left out.
struct Source<'a> {
    path: &'a str,
    /// The folder of its crate.
    krate: &'a str,
    lines: Vec<&'a str>,
    /// The same lines without comments and strings.
    code: Vec<String>,
}

impl<'a> Source<'a> {
    fn new(file: &'a File) -> Option<Self> {
        let (krate, rest) = file.path.strip_prefix("crates/")?.split_once('/')?;
        if !rest.starts_with("src/") || !rest.ends_with(".rs") || is_test_file(&file.path) {
            return None;
        }
        let masked = mask(&file.text);
        let len = code_lines(&masked);
        Some(Self {
            path: &file.path,
            krate,
            lines: file.text.lines().take(len).collect(),
            code: masked.lines().take(len).map(str::to_owned).collect(),
        })
    }

    /// Returns the code from line `at` to the end of the item's head: its first `{` or `;` outside parentheses.
    fn head(&self, at: usize) -> String {
        let mut head = String::new();
        let mut depth = 0_i32;
        for line in &self.code[at..] {
            for c in line.chars() {
                match c {
                    '(' | '[' => depth += 1,
                    ')' | ']' => depth -= 1,
                    '{' | ';' if depth == 0 => return head,
                    _ => {}
                }
                head.push(c);
            }
            head.push(' ');
        }
        head
    }

    /// Returns true if the docs of the item at line `at` have the heading.
    fn has_heading(&self, at: usize) -> bool {
        let mut in_attribute = false;
        for index in (0..at).rev() {
            let line = self.lines[index].trim();
            if let Some(doc) = line.strip_prefix("///") {
                if doc.trim() == HEADING {
                    return true;
                }
            } else if line.starts_with("#[") {
                in_attribute = false;
            } else if self.code[index].trim().ends_with(']') {
                in_attribute = true;
            } else if !in_attribute && !line.starts_with("//") {
                return false;
            }
        }
        false
    }
}

fn check_functions(source: &Source<'_>, findings: &mut Vec<Finding>) {
    let mut in_public_trait = false;
    for (index, line) in source.code.iter().enumerate() {
        if line.starts_with("pub trait ") || line.starts_with("pub unsafe trait ") {
            in_public_trait = true;
        } else if line.starts_with('}') {
            in_public_trait = false;
        }
        let Some(is_async) = function(line.trim_start(), in_public_trait) else {
            continue;
        };
        let head = source.head(index);
        let returns = return_type(&head);
        let what = if is_async {
            "public async fn"
        } else if returns.is_some_and(is_future_or_stream) {
            "public fn that returns a future or a stream"
        } else {
            continue;
        };
        if !source.has_heading(index) {
            findings.push(Finding::new(
                source.path,
                index + 1,
                format!("{what} without `{HEADING}`"),
                FIX,
            ));
        }
    }
}

/// Returns whether a public function that begins in this line is async; `None` if none begins here.
fn function(line: &str, in_public_trait: bool) -> Option<bool> {
    let mut rest = match line.strip_prefix("pub ") {
        Some(rest) => rest,
        None if in_public_trait => line,
        None => return None,
    };
    let mut is_async = false;
    loop {
        if rest.starts_with("fn ") {
            return Some(is_async);
        }
        let (word, after) = rest.split_once(' ')?;
        match word {
            "async" => is_async = true,
            "const" | "unsafe" => {}
            _ => return None,
        }
        rest = after;
    }
}

/// Returns what a function returns, given its head.
fn return_type(head: &str) -> Option<&str> {
    let (_, rest) = head.split_once("fn ")?;
    // The parameters are the first parentheses outside the angle brackets of the generics.
    let mut angle = 0_i32;
    let mut paren = 0_i32;
    let mut previous = ' ';
    for (at, c) in rest.char_indices() {
        match c {
            '<' if paren == 0 => angle += 1,
            '>' if paren == 0 && previous != '-' => angle -= 1,
            '(' if angle == 0 || paren > 0 => paren += 1,
            ')' if paren > 0 => {
                paren -= 1;
                if paren == 0 {
                    let returns = rest[at + 1..].trim_start().strip_prefix("->")?;
                    return Some(returns.split(" where ").next().unwrap_or(returns));
                }
            }
            _ => {}
        }
        previous = c;
    }
    None
}

fn is_future_or_stream(returns: &str) -> bool {
    let opaque = words(returns).any(|word| word == "impl" || word == "dyn");
    words(returns).any(|word| {
        matches!(
            word,
            "BoxFuture" | "LocalBoxFuture" | "BoxStream" | "LocalBoxStream" | "EventStream"
        ) || (opaque && (word == "Future" || word == "Stream"))
    })
}

fn check_types(source: &Source<'_>, sources: &[Source<'_>], findings: &mut Vec<Finding>) {
    for (index, line) in source.code.iter().enumerate() {
        if !line.starts_with("impl") {
            continue;
        }
        let head = source.head(index);
        let Some((of, name)) = head.split_once(" for ") else {
            continue;
        };
        if !matches!(words(of).last(), Some("Stream" | "Future")) {
            continue;
        }
        let path = name.split(['<', ' ']).find(|part| !part.is_empty()).unwrap_or("");
        let Some(name) = words(path).last() else { continue };
        let declared = sources
            .iter()
            .filter(|other| other.krate == source.krate)
            .find_map(|other| {
                let at = other
                    .code
                    .iter()
                    .position(|line| declares(line.trim_start(), name))?;
                Some((other, at))
            });
        if let Some((other, at)) = declared
            && !other.has_heading(at)
        {
            let what = format!("`{name}` is a future or a stream, and its docs have no `{HEADING}`");
            findings.push(Finding::new(other.path, at + 1, what, FIX));
        }
    }
}

fn declares(line: &str, name: &str) -> bool {
    ["pub struct ", "pub enum "].iter().any(|start| {
        line.strip_prefix(start)
            .is_some_and(|rest| words(rest).next() == Some(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, lines: &[usize]) {
        let file = File {
            path: "crates/a/src/lib.rs".to_owned(),
            text: text.to_owned(),
        };
        let found: Vec<_> = super::check(&[file]).iter().map(|finding| finding.line).collect();
        assert_eq!(found, lines, "{text}");
    }

    #[test]
    fn public_async_functions_need_the_heading() {
        check("/// Runs.\npub async fn run() {}\n", &[2]);
        check(
            "/// Runs.\n///\n/// # Cancel safety\n///\n/// Safe.\npub async fn run() {}\n",
            &[],
        );
        check(
            "/// # Cancel safety\n#[must_use]\n#[expect(\n    x,\n    reason = \"y\"\n)]\npub async fn run() {}\n",
            &[],
        );
        check(
            "/// # Cancel safety\npub fn other() {}\n\n/// Runs.\npub async fn run() {}\n",
            &[5],
        );
        check(
            "impl X {\n    /// Runs.\n    pub const unsafe fn a() {}\n    pub async unsafe fn b() {}\n}\n",
            &[4],
        );
        check("async fn run() {}\npub(crate) async fn run2() {}\n", &[]);
        check("#[cfg(test)]\nmod tests {\n    pub async fn run() {}\n}\n", &[]);
    }

    #[test]
    fn functions_that_return_futures_or_streams_need_it_too() {
        check("pub fn f() -> impl Future<Output = ()> {}\n", &[1]);
        check(
            "pub fn f(\n    a: u8,\n) -> impl futures_core::Stream<Item = u8> + Send {}\n",
            &[1],
        );
        check(
            "pub fn f<F: Fn(u8) -> u8>(f: F) -> BoxFuture<'static, ()> {}\n",
            &[1],
        );
        check("pub fn f() -> Result<EventStream, E> {}\n", &[1]);
        check("pub fn f() -> Pin<Box<dyn Future<Output = ()>>> {}\n", &[1]);
        check(
            "pub fn f(x: BoxFuture<'static, ()>, g: impl Fn() -> BoxStream<'static, u8>) -> u8 {}\n",
            &[],
        );
        check(
            "pub fn f() -> u8 where F: Fn() -> BoxFuture<'static, ()> {}\n",
            &[],
        );
        check("pub fn f() -> Future {}\n", &[]);
    }

    #[test]
    fn the_functions_of_public_traits_are_public() {
        check(
            "pub trait T {\n    fn run(&self) -> impl Future<Output = ()>;\n}\nfn f() -> impl Future {}\n",
            &[2],
        );
        check(
            "trait T {\n    fn run(&self) -> impl Future<Output = ()>;\n}\n",
            &[],
        );
        check(
            "impl T for X {\n    fn run(&self) -> impl Future<Output = ()> {}\n}\n",
            &[],
        );
    }

    #[test]
    fn public_streams_need_it_on_the_type() {
        check(
            "/// Outcomes.\npub struct Outs<T>(T);\nimpl<T> Stream for Outs<T> {}\n",
            &[2],
        );
        check(
            "/// Outcomes.\n///\n/// # Cancel safety\n///\n/// Safe.\npub struct Outs(u8);\nimpl Stream for Outs {}\n",
            &[],
        );
        check("struct Outs(u8);\nimpl Stream for Outs {}\n", &[]);
        check(
            "/// Outcomes.\npub struct Outs(u8);\nimpl<T> futures_core::Stream\n    for Outs\n{}\n",
            &[2],
        );
        check(
            "/// Outcomes.\npub struct Outs(u8);\nimpl Display for Outs {}\n",
            &[],
        );
    }

    #[test]
    fn the_type_may_live_in_another_file_of_the_crate() {
        let file = |path: &str, text: &str| File {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let files = [
            file("crates/a/src/imp.rs", "impl Stream for Outs {}\n"),
            file("crates/a/src/outs.rs", "/// Outcomes.\npub struct Outs;\n"),
            file("crates/b/src/outs.rs", "/// Another.\npub struct Outs;\n"),
        ];
        let found = super::check(&files);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].file.as_str(), found[0].line),
            ("crates/a/src/outs.rs", 2)
        );
    }
}
