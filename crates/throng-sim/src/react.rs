//! How the server reacts to an admitted request: which head, which steps, which end. Pure; the clock and the socket
//! come later.

mod fault;
mod steps;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};

use crate::config::SimConfig;
use crate::plan::Plan;
use crate::react::steps::place_after;
use crate::reply::{Choice, Event, Reply};
use crate::script::{Behaviour, Gate, HoldAt, RawReply};
use crate::wire::Dialect;

/// What is sent, after which wait.
#[derive(Debug)]
pub(crate) struct Reaction {
    pub(crate) wait: Duration,
    pub(crate) gate: Option<Gate>,
    /// `None` closes the connection without a response.
    pub(crate) response: Option<Outgoing>,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Payload,
}

/// The body of a response.
#[derive(Debug)]
pub(crate) enum Payload {
    Whole(Bytes),
    Steps {
        steps: VecDeque<Step>,
        /// The promised length; none sends the body in chunks.
        length: Option<u64>,
        /// Whether each step is flushed by itself.
        flush_each: bool,
    },
}

/// A part of a body, and how long after the part before it is due.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) delay: Duration,
    pub(crate) action: Action,
}

/// What a step does.
#[derive(Debug)]
pub(crate) enum Action {
    Event(Event),
    Bytes(Bytes),
    Wait(Gate),
    /// Closes the connection.
    Cut,
}

impl Step {
    fn now(action: Action) -> Self {
        Self {
            delay: Duration::ZERO,
            action,
        }
    }
}

/// Everything that a reaction follows from.
pub(crate) struct Scene<'a> {
    pub(crate) config: &'a SimConfig,
    pub(crate) dialect: Dialect,
    pub(crate) stream: bool,
    pub(crate) request_id: &'a str,
    pub(crate) reply: &'a Arc<Reply>,
    pub(crate) plan: &'a Plan,
}

impl Scene<'_> {
    /// Returns the reaction to a request: what the script says, else what the plan says.
    pub(crate) fn react(&self, behaviour: Option<&Behaviour>) -> Reaction {
        match behaviour {
            None => match self.plan.fault {
                Some(fault) => self.fault(fault),
                None => self.answer(),
            },
            Some(Behaviour::Fault(fault)) => self.fault(*fault),
            Some(Behaviour::Raw(raw)) => raw_reply(raw),
            Some(Behaviour::Hold { at, gate }) => self.hold(*at, gate),
            Some(
                Behaviour::Answer
                | Behaviour::Text(_)
                | Behaviour::ToolCalls(_)
                | Behaviour::Reasoning
                | Behaviour::Reply(_)
                | Behaviour::Batch(_),
            ) => self.answer(),
        }
    }

    fn answer(&self) -> Reaction {
        if self.stream {
            return self.streamed(self.steps());
        }
        self.whole(self.dialect.whole(self.reply), json())
    }

    fn hold(&self, at: HoldAt, gate: &Gate) -> Reaction {
        match at {
            HoldAt::Tokens(tokens) if self.stream => {
                let mut steps = self.steps();
                let at = place_after(&steps, tokens as usize);
                steps.insert(at, Step::now(Action::Wait(gate.clone())));
                self.streamed(steps)
            }
            _ => Reaction {
                gate: Some(gate.clone()),
                ..self.answer()
            },
        }
    }

    fn time_per_token(&self) -> Duration {
        self.config
            .tokens_per_second
            .map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate))
    }

    /// The time that passes until a whole answer is written: as long as its longest choice takes as a stream.
    fn time_of_whole(&self) -> Duration {
        let longest = self.reply.choices.iter().map(Choice::tokens).max().unwrap_or(0);
        let after_first = u32::try_from(longest.saturating_sub(1)).unwrap_or(u32::MAX);
        self.plan
            .first_token
            .saturating_add(self.time_per_token().saturating_mul(after_first))
    }

    fn plain(&self, status: u16, content_type: HeaderValue, body: &'static str) -> Reaction {
        let body = Payload::Whole(Bytes::from_static(body.as_bytes()));
        self.respond(self.plan.first_token, status, content_type, body)
    }

    fn whole(&self, body: Bytes, content_type: HeaderValue) -> Reaction {
        self.respond(self.time_of_whole(), 200, content_type, Payload::Whole(body))
    }

    /// The head of a stream goes out at once; the first event waits.
    fn streamed(&self, steps: VecDeque<Step>) -> Reaction {
        let body = Payload::Steps {
            steps,
            length: None,
            flush_each: false,
        };
        self.respond(Duration::ZERO, 200, self.dialect.stream_type(), body)
    }

    fn respond(&self, wait: Duration, status: u16, content_type: HeaderValue, body: Payload) -> Reaction {
        let headers = vec![(CONTENT_TYPE, content_type)];
        Reaction {
            wait,
            gate: None,
            response: Some(Outgoing {
                status,
                headers,
                body,
            }),
        }
    }
}

fn raw_reply(raw: &RawReply) -> Reaction {
    let mut headers = raw.headers.clone();
    if !headers.iter().any(|(name, _)| name == CONTENT_TYPE) {
        headers.push((CONTENT_TYPE, HeaderValue::from_static("text/event-stream")));
    }
    let body = match raw.chunks.as_slice() {
        [] if raw.ends => Payload::Whole(Bytes::new()),
        [whole] if raw.ends => Payload::Whole(whole.clone()),
        chunks => {
            let step = |(index, chunk): (usize, &Bytes)| Step {
                delay: if index == 0 { Duration::ZERO } else { raw.pause },
                action: Action::Bytes(chunk.clone()),
            };
            let mut steps: VecDeque<Step> = chunks.iter().enumerate().map(step).collect();
            if !raw.ends {
                steps.push_back(Step::now(Action::Cut));
            }
            Payload::Steps {
                steps,
                length: None,
                flush_each: true,
            }
        }
    };
    let status = if (200..600).contains(&raw.status) {
        raw.status
    } else {
        500
    };
    let response = Outgoing {
        status,
        headers,
        body,
    };
    Reaction {
        wait: Duration::ZERO,
        gate: None,
        response: Some(response),
    }
}

/// Returns a wait in whole seconds, rounded up.
pub(crate) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

fn json() -> HeaderValue {
    HeaderValue::from_static("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{Call, Form};
    use crate::compose::compose;
    use crate::config::SimConfig;
    use crate::fault::Fault;
    use crate::latency::Latency;
    use crate::wire::Wire;

    fn call(n: u32) -> Call {
        Call {
            model: "m".into(),
            prompt: "p".into(),
            stream: true,
            include_usage: false,
            max_tokens: None,
            stop: Vec::new(),
            n,
            seed: None,
            form: Form::Text,
            tag: None,
            rounds: 0,
            tools: Vec::new(),
            no_reasoning: false,
        }
    }

    /// 100 ms to the first token, 10 ms to each of the nine others, and two pauses of a second where it is slow.
    fn react(stream: bool, n: u32, fault: Option<Fault>, place: f64) -> (Reaction, u64) {
        let config = SimConfig::builder()
            .first_token(Latency::Constant(Duration::from_millis(100)))
            .tokens_per_second(100.0)
            .output_tokens(10..=10)
            .slow(Duration::from_secs(1), 2)
            .build()
            .unwrap();
        let reply = Arc::new(compose(&config, &call(n), 1));
        let plan = Plan {
            fault,
            place,
            ..config.plan_for(1, 1)
        };
        let scene = Scene {
            config: &config,
            dialect: Dialect {
                wire: Wire::OpenAiChat,
                array: false,
            },
            stream,
            request_id: "req_1",
            reply: &reply,
            plan: &plan,
        };
        let len = scene.dialect.whole(&reply).len() as u64;
        (scene.react(None), len)
    }

    fn steps(reaction: Reaction) -> Vec<Step> {
        let Some(Outgoing {
            body: Payload::Steps { steps, .. },
            ..
        }) = reaction.response
        else {
            panic!("no steps")
        };
        steps.into()
    }

    /// When each token is due, in milliseconds.
    fn token_times(steps: &[Step]) -> Vec<u128> {
        let mut now = Duration::ZERO;
        let mut times = Vec::new();
        for step in steps {
            now += step.delay;
            if matches!(&step.action, Action::Event(event) if event.is_token()) {
                times.push(now.as_millis());
            }
        }
        times
    }

    #[test]
    fn tokens_are_due_one_by_one_and_the_end_comes_with_the_last() {
        let steps = steps(react(true, 1, None, 0.0).0);
        assert_eq!(
            token_times(&steps),
            (0..10).map(|token| 100 + 10 * token).collect::<Vec<_>>()
        );
        let total: Duration = steps.iter().map(|step| step.delay).sum();
        assert_eq!(total, Duration::from_millis(190));
        assert_eq!(
            react(false, 1, None, 0.0).0.wait,
            total,
            "a whole answer takes as long"
        );
    }

    #[test]
    fn several_choices_are_written_side_by_side() {
        let (reaction, _) = react(true, 3, None, 0.0);
        let times = token_times(&steps(reaction));
        assert_eq!(
            times,
            (0..10)
                .flat_map(|token| [100 + 10 * token; 3])
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_slow_stream_pauses_at_even_distances() {
        let times = token_times(&steps(react(true, 1, Some(Fault::Slow), 0.0).0));
        let expected = [100, 110, 120, 130, 1140, 1150, 1160, 1170, 1180, 2190];
        assert_eq!(times, expected);
    }

    #[test]
    fn a_slow_answer_comes_in_parts() {
        let (reaction, len) = react(false, 1, Some(Fault::Slow), 0.0);
        let steps = steps(reaction);
        assert_eq!(
            steps.iter().map(|step| step.delay.as_secs()).collect::<Vec<_>>(),
            [0, 1, 1]
        );
        let sent: usize = steps
            .iter()
            .map(|step| {
                if let Action::Bytes(part) = &step.action {
                    part.len()
                } else {
                    0
                }
            })
            .sum();
        assert_eq!(sent as u64, len);
    }

    #[test]
    fn a_stream_breaks_after_its_first_token_at_the_earliest_and_before_its_last_at_the_latest() {
        for (place, n_tokens) in [(0.0, 1), (0.5, 5), (0.999_999, 9)] {
            let steps = steps(react(true, 1, Some(Fault::Cut), place).0);
            assert_eq!(token_times(&steps).len(), n_tokens, "{place}");
            assert!(matches!(steps[steps.len() - 1].action, Action::Cut));
        }
    }

    #[test]
    fn a_whole_answer_breaks_within_its_length() {
        for (place, from_end) in [(0.0, false), (0.999_999, true)] {
            let (reaction, len) = react(false, 1, Some(Fault::Cut), place);
            let Some(Outgoing {
                body: Payload::Steps { steps, length, .. },
                ..
            }) = reaction.response
            else {
                panic!("no steps")
            };
            assert_eq!(length, Some(len));
            let Action::Bytes(part) = &steps[0].action else {
                panic!("no bytes")
            };
            assert_eq!(part.len() as u64, if from_end { len - 2 } else { 1 });
        }
    }
}
