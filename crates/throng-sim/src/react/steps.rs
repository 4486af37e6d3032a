//! The steps of a stream: the events of all choices in order, each with the time that passes before it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::react::{Action, Scene, Step};
use crate::reply::{Choice, Event, HALVES, pieces};

impl Scene<'_> {
    /// The steps of a stream without a fault. Choices take turns, token by token.
    pub(super) fn steps(&self) -> VecDeque<Step> {
        let choices = &self.reply.choices;
        let mut lanes: Vec<_> = choices
            .iter()
            .enumerate()
            .map(|(index, choice)| lane(index, choice).peekable())
            .collect();
        let mut delay = self.plan.first_token;
        let mut steps = VecDeque::new();
        let mut push = |event: Event, delay: &mut Duration| {
            steps.push_back(Step {
                delay: std::mem::take(delay),
                action: Action::Event(event),
            });
        };
        push(Event::Open, &mut delay);
        while lanes.iter_mut().any(|lane| lane.peek().is_some()) {
            for lane in &mut lanes {
                // What needs no token comes along with the token before it; the beginning with the first one.
                while let Some(event) = lane.next_if(|event| !event.is_token()) {
                    push(event, &mut delay);
                }
                if let Some(token) = lane.next() {
                    push(token, &mut delay);
                }
                while let Some(event) = lane.next_if(|event| !event.is_token()) {
                    push(event, &mut delay);
                }
            }
            delay = self.time_per_token();
        }
        delay = Duration::ZERO;
        if self.reply.include_usage {
            push(Event::Usage, &mut delay);
        }
        push(Event::Done, &mut delay);
        steps
    }
}

/// Returns the events of one choice, in order.
fn lane(index: usize, choice: &Choice) -> impl Iterator<Item = Event> + '_ {
    let reasoning = choice.reasoning.as_deref().into_iter().flat_map(move |text| {
        let pieces = pieces(text).map(move |bytes| Event::Reasoning { choice: index, bytes });
        let start = Event::ReasoningStart { choice: index };
        [start]
            .into_iter()
            .chain(pieces)
            .chain([Event::ReasoningEnd { choice: index }])
    });
    let text = choice.text.as_deref().into_iter().flat_map(move |text| {
        let pieces = pieces(text).flat_map(|bytes| between_halves(text, bytes));
        let pieces = pieces.map(move |bytes| Event::Text { choice: index, bytes });
        let start = Event::TextStart { choice: index };
        [start]
            .into_iter()
            .chain(pieces)
            .chain([Event::TextEnd { choice: index }])
    });
    let tools = choice.tools.iter().enumerate().flat_map(move |(tool, call)| {
        let pieces = pieces(&call.arguments);
        let pieces = pieces.map(move |bytes| Event::ToolArguments {
            choice: index,
            tool,
            bytes,
        });
        let start = Event::ToolStart { choice: index, tool };
        [start]
            .into_iter()
            .chain(pieces)
            .chain([Event::ToolEnd { choice: index, tool }])
    });
    [Event::Start { choice: index }]
        .into_iter()
        .chain(reasoning)
        .chain(text)
        .chain(tools)
        .chain([Event::Finish { choice: index }])
}

/// Splits a piece of a text between the characters that stand for two surrogates.
fn between_halves(
    text: &str,
    bytes: std::ops::Range<usize>,
) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
    let at = text.get(bytes.clone()).and_then(|piece| piece.find(HALVES[1]));
    let at = at.map_or(bytes.start, |at| bytes.start + at);
    [bytes.start..at, at..bytes.end]
        .into_iter()
        .filter(|part| !part.is_empty())
}

pub(super) fn n_tokens(steps: &VecDeque<Step>) -> usize {
    steps
        .iter()
        .filter(|step| matches!(&step.action, Action::Event(event) if event.is_token()))
        .count()
}

/// Returns the place just after so many tokens, or after the last where there are fewer. With no tokens it is the
/// beginning.
pub(super) fn place_after(steps: &VecDeque<Step>, tokens: usize) -> usize {
    let is_token = |step: &Step| matches!(&step.action, Action::Event(event) if event.is_token());
    let places = steps
        .iter()
        .enumerate()
        .filter(|(_, step)| is_token(step))
        .map(|(at, _)| at + 1);
    places.take(tokens).last().unwrap_or(0)
}
