//! The answer of a call, as it comes: which plan is whose. Every element of the answer goes to the agent whose alias it
//! has, or to nobody.

use serde_json::Value;
use throng_json::{Ending, Event, Options, Parser, Part, Path};

use crate::alias::Aliases;
use crate::{AgentId, AgentPlan};

/// The names under which models write the id of an agent, the asked-for one first.
const ID_MEMBERS: [&str; 4] = ["agent_id", "agentId", "id", "agent"];

/// What is done with several plans for one agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Duplicates {
    /// The first one that can be used counts. It is given away as soon as it is there.
    #[default]
    KeepFirst,
    /// The last one that can be used counts. None is given away before the answer ends.
    KeepLast,
    /// They count if they are equal; otherwise the agent has none. None is given away before the answer ends.
    RejectIfDifferent,
}

/// What is told of the answer, as it comes.
#[derive(Debug)]
pub(crate) enum Found<P> {
    /// A step of a plan that is not complete yet.
    Step {
        place: usize,
        index: usize,
        value: Value,
    },
    /// A plan that can be used.
    Plan { place: usize, plan: P },
}

/// Why an agent has no plan, as far as the answer shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    Invalid(String),
    Ambiguous,
}

/// Reads the answer of one call.
pub(crate) struct Collector<P> {
    ids: Vec<AgentId>,
    aliases: Aliases,
    acts: Vec<String>,
    duplicates: Duplicates,
    positional: bool,
    parser: Parser,
    /// The plan of each agent, as far as it counts now.
    plans: Vec<Option<P>>,
    /// What each plan was read from, to compare it with another.
    said: Vec<Option<Value>>,
    lacks: Vec<Option<Lack>>,
    given: Vec<bool>,
    /// Elements without any id, for [`Self::finish`].
    nameless: Vec<Value>,
    /// The element whose steps are coming, and whose it is.
    open: Option<(Path, Option<usize>)>,
    pub(crate) unknown: Vec<Value>,
    pub(crate) repairs: usize,
    pub(crate) plans_found: usize,
}

impl<P: AgentPlan> Collector<P> {
    pub(crate) fn new(
        ids: Vec<AgentId>,
        aliases: Aliases,
        acts: Vec<String>,
        duplicates: Duplicates,
        positional: bool,
    ) -> Self {
        let n = ids.len();
        let options = Options::tolerant()
            .batch(ID_MEMBERS.iter().take(2).copied())
            .keyed_by(aliases.names().to_vec())
            .steps("steps");
        Self {
            ids,
            aliases,
            acts,
            duplicates,
            positional,
            parser: Parser::new(options),
            plans: (0..n).map(|_| None).collect(),
            said: vec![None; n],
            lacks: vec![None; n],
            given: vec![false; n],
            nameless: Vec::new(),
            open: None,
            unknown: Vec::new(),
            repairs: 0,
            plans_found: 0,
        }
    }

    /// Takes some text of the answer.
    pub(crate) fn feed(&mut self, text: &str, found: &mut Vec<Found<P>>) {
        let events: Vec<Event> = self.parser.feed(text.as_bytes()).collect();
        for event in events {
            self.take(event, found);
        }
    }

    /// Returns true if every agent has a plan that counts.
    pub(crate) fn is_complete(&self) -> bool {
        self.duplicates == Duplicates::KeepFirst && self.given.iter().all(|given| *given)
    }

    /// Takes note that the answer has ended.
    pub(crate) fn finish(&mut self, found: &mut Vec<Found<P>>) -> Ending {
        let finish = self.parser.finish();
        for event in finish.events {
            self.take(event, found);
        }
        self.place_nameless(found);
        for place in 0..self.ids.len() {
            self.give(place, found);
        }
        finish.ending
    }

    /// Returns what the answer shows of an agent that has no plan.
    pub(crate) fn lack(&self, place: usize) -> Option<&Lack> {
        self.lacks.get(place).and_then(Option::as_ref)
    }

    fn take(&mut self, event: Event, found: &mut Vec<Found<P>>) {
        match event {
            Event::StepComplete(step) => {
                let known = self.open.as_ref().filter(|(path, _)| *path == step.path);
                let place = match known {
                    Some((_, place)) => *place,
                    None => {
                        let place = self.owner_of_open(&step.path);
                        self.open = Some((step.path.clone(), place));
                        place
                    }
                };
                let is_known_act = step
                    .value
                    .get("act")
                    .and_then(Value::as_str)
                    .is_none_or(|act| self.acts.is_empty() || self.acts.iter().any(|known| known == act));
                if let Some(place) = place.filter(|&place| !self.given[place] && is_known_act) {
                    let (index, value) = (step.index, step.value);
                    found.push(Found::Step { place, index, value });
                }
            }
            Event::ElementComplete(element) => self.element(&element.path, element.value, found),
            Event::Repair(_) => self.repairs += 1,
            Event::Rejected(rejected) => {
                let place = self.owner(&rejected.path, rejected.value.as_ref());
                if let Ok(Some(place)) = place {
                    self.refuse(place, Lack::Invalid(rejected.reason.to_string()));
                }
            }
            _ => {}
        }
    }

    /// Says whose element is still open at a path.
    fn owner_of_open(&self, path: &Path) -> Option<usize> {
        let (open, value) = self.parser.partial()?;
        if open != *path {
            return None;
        }
        self.owner(path, Some(&value)).ok().flatten()
    }

    /// Says whose an element is: `Ok(None)` if it names nobody.
    ///
    /// # Errors
    ///
    /// It names somebody who was not asked about, or its key and its member name two.
    fn owner(&self, path: &Path, value: Option<&Value>) -> Result<Option<usize>, ()> {
        let key = path.parts.last().and_then(|part| match part {
            Part::Key(key) => self.aliases.resolve(&Value::from(key.as_str())),
            Part::Index(_) => None,
        });
        let member = value.and_then(|value| ID_MEMBERS.iter().find_map(|name| value.get(name)));
        let member = member.filter(|said| !said.is_null());
        match (key, member) {
            (key, None) => Ok(key),
            (key, Some(said)) => match (key, self.aliases.resolve(said)) {
                (None, Some(place)) => Ok(Some(place)),
                (Some(key), Some(place)) if key == place => Ok(Some(place)),
                _ => Err(()),
            },
        }
    }

    fn element(&mut self, path: &Path, value: Value, found: &mut Vec<Found<P>>) {
        match self.owner(path, Some(&value)) {
            Ok(Some(place)) => self.plan(place, value, found),
            Ok(None) if value.is_object() => self.nameless.push(value),
            Ok(None) => {}
            Err(()) => self.unknown.push(value),
        }
    }

    fn plan(&mut self, place: usize, mut value: Value, found: &mut Vec<Found<P>>) {
        if let Value::Object(members) = &mut value {
            let name = ID_MEMBERS.iter().find(|name| members.contains_key(**name));
            let name = name.copied().unwrap_or(ID_MEMBERS[0]);
            members.remove(name);
            if let Ok(id) = serde_json::to_value(&self.ids[place]) {
                members.insert(ID_MEMBERS[0].to_owned(), id);
            }
        }
        let plan = P::deserialize(&value)
            .map_err(|error| error.to_string())
            .and_then(|plan| plan.check(&self.acts).map(|()| plan));
        let plan = match plan {
            Ok(plan) => plan,
            Err(reason) => {
                self.refuse(place, Lack::Invalid(reason));
                return;
            }
        };
        match (self.duplicates, &self.said[place]) {
            (Duplicates::KeepFirst, Some(_)) => return,
            (Duplicates::RejectIfDifferent, Some(first)) => {
                if *first != value {
                    self.lacks[place] = Some(Lack::Ambiguous);
                    self.plans[place] = None;
                }
                return;
            }
            _ => {}
        }
        self.plans[place] = Some(plan);
        self.said[place] = Some(value);
        self.lacks[place] = None;
        if self.duplicates == Duplicates::KeepFirst {
            self.give(place, found);
        }
    }

    /// Notes why an agent has no plan, unless it has one.
    fn refuse(&mut self, place: usize, lack: Lack) {
        if self.plans[place].is_none() && !self.given[place] {
            self.lacks[place] = Some(lack);
        }
    }

    fn give(&mut self, place: usize, found: &mut Vec<Found<P>>) {
        if let Some(plan) = self.plans[place].take() {
            self.given[place] = true;
            self.plans_found += 1;
            found.push(Found::Plan { place, plan });
        }
    }

    /// Gives plans without any id to the agents in the order of the prompt, if that was asked for and there is one for
    /// each.
    fn place_nameless(&mut self, found: &mut Vec<Found<P>>) {
        let nameless = std::mem::take(&mut self.nameless);
        let nobody_is_named = self.unknown.is_empty()
            && self.said.iter().all(Option::is_none)
            && self.lacks.iter().all(Option::is_none);
        if self.positional && nobody_is_named && nameless.len() == self.ids.len() {
            for (place, value) in nameless.into_iter().enumerate() {
                self.plan(place, value, found);
            }
        } else {
            self.unknown.extend(nameless);
        }
    }
}
