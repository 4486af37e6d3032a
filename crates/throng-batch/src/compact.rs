//! Snapshots with fewer tokens and all of their facts: what all agents share is said once, and agents of one shape
//! become the rows of a table.

use serde_json::{Map, Value};

/// Separates the names of members in the name of a column. Objects with a member whose name holds it are not taken apart.
const DOT: char = '.';

/// Snapshots of agents, said in few words.
///
/// [`Compact::expand`] gives back every snapshot as it was.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Compact {
    /// What all agents have in common, by the name of its column.
    shared: Map<String, Value>,
    form: Form,
}

#[derive(Clone, Debug, PartialEq)]
enum Form {
    /// A row of values for each agent.
    Table {
        columns: Vec<String>,
        rows: Vec<Vec<Value>>,
    },
    /// The snapshots as they are.
    Lines(Vec<Value>),
}

impl Compact {
    /// Finds what the snapshots have in common. A single snapshot has nothing in common with others.
    ///
    /// # Complexity
    ///
    /// Linear in the size of the snapshots, but for the maps that it makes of their members.
    pub fn new(snapshots: &[Value]) -> Self {
        let flat: Option<Vec<Map<String, Value>>> = snapshots.iter().map(flatten).collect();
        let table = flat.filter(|rows| rows.len() > 1).and_then(|rows| table(&rows));
        table.unwrap_or_else(|| Self {
            shared: Map::new(),
            form: Form::Lines(snapshots.to_vec()),
        })
    }

    /// Returns the text for the prompt, one line an agent.
    pub fn to_text(&self) -> String {
        let mut lines = Vec::new();
        if !self.shared.is_empty() {
            lines.push(format!("shared by all: {}", Value::Object(self.shared.clone())));
        }
        match &self.form {
            Form::Table { columns, rows } => {
                lines.push(format!("columns: {}", serde_json::json!(columns)));
                lines.extend(rows.iter().map(|row| serde_json::json!(row).to_string()));
            }
            Form::Lines(snapshots) => lines.extend(snapshots.iter().map(Value::to_string)),
        }
        lines.join("\n")
    }

    /// Returns the snapshots as they were.
    pub fn expand(&self) -> Vec<Value> {
        match &self.form {
            Form::Lines(snapshots) => snapshots.clone(),
            Form::Table { columns, rows } => rows
                .iter()
                .map(|row| {
                    let own = columns.iter().zip(row);
                    let all = self.shared.iter().chain(own);
                    let mut snapshot = Value::Object(Map::new());
                    for (column, value) in all {
                        insert(&mut snapshot, column, value.clone());
                    }
                    snapshot
                })
                .collect(),
        }
    }
}

/// Makes a table of snapshots that have the same columns.
fn table(rows: &[Map<String, Value>]) -> Option<Compact> {
    let first = rows.first()?;
    let same = rows
        .iter()
        .all(|row| row.len() == first.len() && row.keys().all(|column| first.contains_key(column)));
    if !same {
        return None;
    }
    let is_shared = |column: &String| rows.iter().all(|row| row.get(column) == first.get(column));
    let (common, own): (Vec<String>, Vec<String>) = first.keys().cloned().partition(is_shared);
    let shared = common
        .into_iter()
        .filter_map(|column| first.get(&column).cloned().map(|value| (column, value)))
        .collect();
    let value = |row: &Map<String, Value>, column| row.get(column).cloned().unwrap_or(Value::Null);
    let values = |row| own.iter().map(|column| value(row, column)).collect();
    Some(Compact {
        shared,
        form: Form::Table {
            rows: rows.iter().map(values).collect(),
            columns: own,
        },
    })
}

/// Takes an object apart into its leaves. `None` for what is no object, or could not be put together again.
fn flatten(snapshot: &Value) -> Option<Map<String, Value>> {
    let mut leaves = Map::new();
    let Value::Object(members) = snapshot else {
        return None;
    };
    if members.keys().any(|name| name.contains(DOT)) {
        return None;
    }
    for (name, value) in members {
        take_apart(name, value, &mut leaves);
    }
    Some(leaves)
}

fn take_apart(column: &str, value: &Value, leaves: &mut Map<String, Value>) {
    match value {
        Value::Object(members) if !members.is_empty() && !members.keys().any(|name| name.contains(DOT)) => {
            for (name, value) in members {
                take_apart(&format!("{column}{DOT}{name}"), value, leaves);
            }
        }
        other => {
            leaves.insert(column.to_owned(), other.clone());
        }
    }
}

fn insert(object: &mut Value, column: &str, value: Value) {
    let mut at = object;
    let mut parts = column.split(DOT).peekable();
    while let Some(part) = parts.next() {
        let Value::Object(members) = at else { return };
        if parts.peek().is_none() {
            members.insert(part.to_owned(), value);
            return;
        }
        at = members.entry(part).or_insert_with(|| Value::Object(Map::new()));
    }
}
