//! The graph as text for Graphviz and Mermaid.

use std::fmt::Write;

use super::{Dependencies, EdgeKind};

impl Dependencies {
    /// Returns the graph in Graphviz's language. References are plain, the other kinds of arrows are marked.
    pub fn to_dot(&self) -> String {
        let mut text = String::from("digraph plan {\n  rankdir=LR;\n  node [shape=box];\n");
        for (call, facts) in (0..).zip(self.all_facts()) {
            let id = quoted(self.id(call).unwrap_or_default());
            let tool = quoted(&facts.tool);
            let colour = if self.is_blocked(call) { ", color=red" } else { "" };
            line(
                &mut text,
                format_args!("  n{call} [label=\"{id}\\n{tool}\"{colour}];"),
            );
        }
        for edge in self.edges() {
            let style = match edge.kind {
                EdgeKind::Reference => "",
                EdgeKind::Explicit => ", style=bold",
                EdgeKind::Conflict => ", style=dashed",
                EdgeKind::Policy => ", style=dotted",
            };
            let because = quoted(&self.because(edge));
            let (from, to, kind) = (edge.from, edge.to, edge.kind);
            line(
                &mut text,
                format_args!("  n{from} -> n{to} [label=\"{kind}\", tooltip=\"{because}\"{style}];"),
            );
        }
        text.push_str("}\n");
        text
    }

    /// Returns the graph in Mermaid's language.
    pub fn to_mermaid(&self) -> String {
        let mut text = String::from("flowchart LR\n");
        for (call, facts) in (0..).zip(self.all_facts()) {
            let id = entities(self.id(call).unwrap_or_default());
            let tool = entities(&facts.tool);
            line(&mut text, format_args!("  n{call}[\"{id}<br/>{tool}\"]"));
        }
        for edge in self.edges() {
            let arrow = match edge.kind {
                EdgeKind::Reference => "-->",
                EdgeKind::Explicit => "==>",
                EdgeKind::Conflict | EdgeKind::Policy => "-.->",
            };
            let (from, to, kind) = (edge.from, edge.to, edge.kind);
            line(&mut text, format_args!("  n{from} {arrow}|{kind}| n{to}"));
        }
        for call in (0..).take(self.len()).filter(|&call| self.is_blocked(call)) {
            line(&mut text, format_args!("  style n{call} stroke:red"));
        }
        text
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing to a string does not fail");
}

fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            char if char.is_control() => quoted.push(' '),
            char => quoted.push(char),
        }
    }
    quoted
}

/// Mermaid writes letters that mean something to it by their numbers.
fn entities(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_alphanumeric() || " _-.:/".contains(char) {
            written.push(char);
        } else {
            write!(written, "#{};", u32::from(char)).expect("writing to a string does not fail");
        }
    }
    written
}
