//! Prompts that ask for a plan for each of several agents: which agents and tools they name, and the array of plans that
//! answers them.
//!
//! The plan of an agent follows from the seed, what its snapshot says beside the alias, and the tools, so that an agent
//! gets the same plan whoever else the prompt asks about, and however it says it.

use serde_json::{Map, Value, json};

use crate::config::SimConfig;
use crate::hash::{Purpose, derive, prompt_hash, rng};
use crate::text::sentences;

/// What goes wrong in the answer to a prompt that asks about several agents. Answers to other prompts are as usual.
///
/// Which of the plans it hits follows from the seed and the prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BatchFault {
    /// One plan is left out.
    Drop,
    /// One plan comes twice, the second time with other steps.
    Duplicate,
    /// There is one more plan, for an agent that nobody asked about.
    Unknown,
    /// The plans stand in another order than the agents.
    Swap,
    /// The answer ends within one of the plans, by the limit of its length.
    Truncate,
    /// One plan is no JSON.
    Corrupt,
    /// The answer stands in a code fence.
    Fence,
    /// There is text with brackets and braces before and after the answer.
    Prose,
}

impl BatchFault {
    /// Every fault.
    pub const ALL: [Self; 8] = [
        Self::Drop,
        Self::Duplicate,
        Self::Unknown,
        Self::Swap,
        Self::Truncate,
        Self::Corrupt,
        Self::Fence,
        Self::Prose,
    ];
}

/// What a prompt asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Batch {
    /// The snapshots, each with its alias as `agent_id`.
    agents: Vec<Map<String, Value>>,
    /// The names of the tools.
    acts: Vec<String>,
}

impl Batch {
    /// Reads a prompt: a line `Agents: N`, and behind it a snapshot a line, or a table of them. `None` if it is of another
    /// kind.
    pub(crate) fn read(prompt: &str) -> Option<Self> {
        let lines: Vec<&str> = prompt.lines().collect();
        let number = |line: &&str| line.strip_prefix("Agents: ")?.parse::<usize>().ok();
        let at = lines.iter().rposition(|line| number(line).is_some())?;
        let (before, after) = lines.split_at_checked(at)?;
        let (head, listed) = after.split_first()?;
        let mut shared = Map::new();
        let mut columns: Option<Vec<String>> = None;
        let mut agents = Vec::new();
        for line in listed {
            if let Some(text) = line.strip_prefix("shared by all: ") {
                shared = serde_json::from_str(text).ok()?;
            } else if let Some(text) = line.strip_prefix("columns: ") {
                columns = Some(serde_json::from_str(text).ok()?);
            } else if let Some(columns) = &columns {
                let row: Vec<Value> = serde_json::from_str(line).ok()?;
                let own = columns.iter().zip(&row);
                let mut agent = Map::new();
                for (column, value) in shared.iter().chain(own) {
                    insert(&mut agent, column, value.clone());
                }
                agents.push(agent);
            } else {
                agents.push(serde_json::from_str(line).ok()?);
            }
        }
        let named = agents
            .iter()
            .all(|agent: &Map<String, Value>| agent.contains_key("agent_id"));
        let whole = number(head) == Some(agents.len());
        (named && whole && !agents.is_empty()).then(|| Self {
            agents,
            acts: acts(before),
        })
    }

    /// Returns the plan of each agent.
    pub(crate) fn plans(&self, config: &SimConfig, index: u32) -> Vec<Value> {
        let plan = |agent| self.plan(config, agent, index);
        self.agents.iter().map(plan).collect()
    }

    fn plan(&self, config: &SimConfig, agent: &Map<String, Value>, index: u32) -> Value {
        let mut known = agent.clone();
        let alias = known.remove("agent_id");
        let known = prompt_hash(&canonical(&Value::Object(known)));
        let index = [u64::from(index), 0];
        let mut draw = rng(config.seed, known, Purpose::Batch, index);
        let n_steps = draw.usize(1..=3);
        let steps: Vec<Value> = (0..n_steps)
            .map(|_| {
                let act = draw.choice(&self.acts).map_or("wait", String::as_str);
                let tokens = draw.u32(4..=10);
                json!({"act": act, "because": sentences(tokens, draw.fork())})
            })
            .collect();
        let name = derive(config.seed, known, Purpose::Batch, index) >> 32;
        json!({"agent_id": alias, "plan_id": format!("plan-{name:08x}"), "steps": steps})
    }

    /// Returns the answer with a fault, and whether its length has ended it.
    pub(crate) fn spoilt(
        &self,
        config: &SimConfig,
        prompt: u64,
        index: u32,
        fault: BatchFault,
    ) -> (String, bool) {
        let mut draw = rng(
            config.seed,
            prompt,
            Purpose::Batch,
            [u64::from(index), fault as u64 + 1],
        );
        let mut plans = self.plans(config, index);
        let victim = draw.usize(..plans.len());
        let text = |plans: &[Value]| Value::from(plans).to_string();
        let answer = match fault {
            BatchFault::Drop => {
                plans.remove(victim);
                text(&plans)
            }
            BatchFault::Duplicate | BatchFault::Unknown => {
                let mut more = plans.get(victim).cloned().unwrap_or_default();
                if fault == BatchFault::Unknown {
                    more["agent_id"] = Value::from("nobody");
                }
                more["steps"] = json!([{"act": self.acts.last().map_or("wait", String::as_str)}]);
                plans.insert(draw.usize(victim + 1..=plans.len()), more);
                text(&plans)
            }
            BatchFault::Swap => {
                plans.reverse();
                text(&plans)
            }
            BatchFault::Truncate => {
                let whole = text(&plans);
                let before: usize = plans
                    .iter()
                    .take(victim)
                    .map(|plan| plan.to_string().len() + 1)
                    .sum();
                let length = plans.get(victim).map_or(0, |plan| plan.to_string().len());
                // Behind the bracket of the array, at least one byte into the plan and one before its end.
                let at = 1 + before + draw.usize(1..length.max(2));
                return (whole[..whole.floor_char_boundary(at)].to_owned(), true);
            }
            BatchFault::Corrupt => {
                let parts: Vec<String> = plans
                    .iter()
                    .enumerate()
                    .map(|(at, plan)| match at == victim {
                        true => plan.to_string().replacen("\"steps\":[", "\"steps\" of it: (", 1),
                        false => plan.to_string(),
                    })
                    .collect();
                format!("[{}]", parts.join(","))
            }
            BatchFault::Fence => format!("```json\n{}\n```", text(&plans)),
            BatchFault::Prose => format!(
                "Here are [all {}] plans, {{one}} each:\n\n{}\n\nThey follow from the snapshots [1].",
                plans.len(),
                text(&plans)
            ),
        };
        (answer, false)
    }
}

/// Returns the names of the tools: `- NAME` or `- NAME: what it does` behind the last line `Tools:`.
fn acts(lines: &[&str]) -> Vec<String> {
    let Some(at) = lines.iter().rposition(|line| *line == "Tools:") else {
        return Vec::new();
    };
    let listed = lines.iter().skip(at + 1).take_while(|line| !line.is_empty());
    listed
        .filter_map(|line| line.strip_prefix("- "))
        .map(|line| line.split_once(": ").map_or(line, |(name, _)| name).to_owned())
        .collect()
}

/// Puts a value where the name of its column says.
fn insert(object: &mut Map<String, Value>, column: &str, value: Value) {
    match column.split_once('.') {
        None => {
            object.insert(column.to_owned(), value);
        }
        Some((first, rest)) => {
            let inner = object.entry(first).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

/// Writes a value with the members of its objects in the order of their names.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut parts: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), canonical(value)))
                .collect();
            parts.sort_unstable();
            format!("{{{}}}", parts.join(","))
        }
        Value::Array(items) => {
            let parts: Vec<String> = items.iter().map(canonical).collect();
            format!("[{}]", parts.join(","))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "Plan.\n\nTools:\n- scan: looks around\n- wait\n\nAnswer.\nAgents: 2\n\
                         {\"agent_id\":\"b2\",\"state\":{\"hp\":1,\"at\":[1,2]},\"role\":\"guard\"}\n\
                         {\"agent_id\":\"c3\",\"state\":{\"hp\":2,\"at\":[1,2]},\"role\":\"guard\"}";
    const TABLE: &str = "Plan.\n\nTools:\n- scan\n- wait\n\nAnswer.\nAgents: 2\n\
                         shared by all: {\"role\":\"guard\",\"state.at\":[1,2]}\ncolumns: [\"agent_id\",\"state.hp\"]\n\
                         [\"x9\",2]\n[\"y8\",1]";

    fn config() -> SimConfig {
        SimConfig::builder().seed(4).build().unwrap()
    }

    fn unnamed(mut plan: Value) -> Value {
        plan["agent_id"] = Value::Null;
        plan
    }

    #[test]
    fn an_agent_has_the_same_plan_however_it_is_asked_for() {
        let lines = Batch::read(LINES).unwrap().plans(&config(), 0);
        let table = Batch::read(TABLE).unwrap().plans(&config(), 0);
        assert_eq!(lines[0]["agent_id"], "b2");
        assert_eq!(table[0]["agent_id"], "x9");
        assert_eq!(unnamed(lines[0].clone()), unnamed(table[1].clone()));
        assert_eq!(unnamed(lines[1].clone()), unnamed(table[0].clone()));
        assert_ne!(unnamed(lines[0].clone()), unnamed(lines[1].clone()));
        for step in lines.iter().flat_map(|plan| plan["steps"].as_array().unwrap()) {
            assert!(
                ["scan", "wait"].contains(&step["act"].as_str().unwrap()),
                "{step}"
            );
        }
    }

    #[test]
    fn other_prompts_are_none_of_agents() {
        for prompt in [
            "",
            "Agents: 2",
            "Agents: 1\nWho are they?",
            "Agents: 1\n{\"name\":\"x\"}",
            "Agents: 2\n{\"agent_id\":\"b2\"}",
            "Agents: 0",
        ] {
            assert_eq!(Batch::read(prompt), None, "{prompt:?}");
        }
    }

    #[test]
    fn a_fault_changes_what_it_says() {
        let batch = Batch::read(LINES).unwrap();
        let plans = batch.plans(&config(), 0);
        let right = Value::from(plans.clone()).to_string();
        for prompt in 0..40 {
            let said = |fault| batch.spoilt(&config(), prompt, 0, fault);
            let array = |fault| serde_json::from_str::<Vec<Value>>(&said(fault).0).unwrap();
            assert_eq!(array(BatchFault::Drop).len(), 1);
            assert_eq!(array(BatchFault::Duplicate).len(), 3);
            let unknown = array(BatchFault::Unknown);
            let strays = unknown.iter().filter(|plan| plan["agent_id"] == "nobody");
            assert_eq!((unknown.len(), strays.count()), (3, 1));
            let mut swapped = array(BatchFault::Swap);
            assert_ne!(swapped, plans);
            swapped.reverse();
            assert_eq!(swapped, plans);
            let (cut, ended) = said(BatchFault::Truncate);
            assert!(ended && right.starts_with(&cut) && cut.len() > 1 && cut.len() + 1 < right.len());
            assert!(serde_json::from_str::<Value>(&said(BatchFault::Corrupt).0).is_err());
            for fault in [BatchFault::Fence, BatchFault::Prose] {
                assert!(said(fault).0.contains(&right) && said(fault).0 != right);
            }
        }
    }
}
