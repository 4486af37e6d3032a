//! How the server reacts to an admitted request: which head, which steps, which end. Pure; the clock and the socket
//! come later.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};

use crate::call::{ApiError, Choice, Event, Reply, pieces};
use crate::config::SimConfig;
use crate::fault::Fault;
use crate::plan::Plan;
use crate::script::{Behaviour, Gate, HoldAt, RawReply};
use crate::wire::Wire;

const HTML: &str = "<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>\
    <body><h1>502 Bad Gateway</h1><p>The server is having a bad day.</p></body></html>\n";

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
    pub(crate) wire: Wire,
    pub(crate) stream: bool,
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
            Some(Behaviour::Answer | Behaviour::Text(_) | Behaviour::ToolCalls(_)) => self.answer(),
        }
    }

    fn answer(&self) -> Reaction {
        if self.stream {
            return self.streamed(self.steps());
        }
        self.whole(self.wire.whole(self.reply), json())
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

    fn fault(&self, fault: Fault) -> Reaction {
        match fault {
            Fault::ServerError => self.error(&ApiError::Server),
            Fault::Unavailable => self.error(&ApiError::Unavailable),
            Fault::Overloaded => self.error(&ApiError::Overloaded),
            Fault::ServerErrorText => self.plain(
                500,
                HeaderValue::from_static("text/plain; charset=utf-8"),
                "Internal Server Error\n",
            ),
            Fault::HtmlPage => self.plain(200, HeaderValue::from_static("text/html; charset=utf-8"), HTML),
            Fault::EmptyBody => self.plain(
                200,
                if self.stream {
                    self.wire.stream_type()
                } else {
                    json()
                },
                "",
            ),
            Fault::Dropped => Reaction {
                wait: self.plan.first_token,
                gate: None,
                response: None,
            },
            Fault::Slow if self.stream => self.slow_stream(),
            Fault::Slow => self.slow_whole(),
            Fault::Cut | Fault::MissingTerminal | Fault::Garbage if self.stream => self.broken_stream(fault),
            Fault::StreamError | Fault::StreamErrorBesideChoices if self.stream => self.broken_stream(fault),
            Fault::StreamError => self.whole(self.wire.error_as_reply(false), json()),
            Fault::StreamErrorBesideChoices => self.whole(self.wire.error_as_reply(true), json()),
            Fault::Garbage => self.whole(Bytes::from_static(b"\xff\xfe{\"id\":<<< not JSON \x9d"), json()),
            Fault::Cut | Fault::MissingTerminal => self.broken_whole(fault),
        }
    }

    /// Stops, spoils or breaks off a stream, at the place that the plan says: after one token at least, and before
    /// the last where there are two.
    fn broken_stream(&self, fault: Fault) -> Reaction {
        let mut steps = self.steps();
        let n_tokens = n_tokens(&steps);
        let after = 1 + (self.plan.place * n_tokens.saturating_sub(1) as f64) as usize;
        let at = place_after(&steps, after);
        if fault == Fault::Garbage {
            // The token before the place is lost, so a client that skips the event cannot have the whole text.
            match at.checked_sub(1).and_then(|last| steps.get_mut(last)) {
                Some(step) => step.action = Action::Event(Event::Garbage),
                None => steps.push_front(Step::now(Action::Event(Event::Garbage))),
            }
            return self.streamed(steps);
        }
        steps.truncate(at);
        match fault {
            Fault::Cut => steps.push_back(Step::now(Action::Cut)),
            Fault::StreamError => steps.push_back(Step::now(Action::Event(Event::Error {
                beside_choices: false,
            }))),
            Fault::StreamErrorBesideChoices => {
                steps.push_back(Step::now(Action::Event(Event::Error { beside_choices: true })));
                steps.push_back(Step::now(Action::Event(Event::Done)));
            }
            _ => {}
        }
        self.streamed(steps)
    }

    /// Sends a part of a body: as if it were whole, or as the beginning of a longer one.
    fn broken_whole(&self, fault: Fault) -> Reaction {
        let body = self.wire.whole(self.reply);
        let part = body.slice(..1 + (self.plan.place * (body.len() - 2) as f64) as usize);
        if fault == Fault::MissingTerminal {
            return self.whole(part, json());
        }
        let steps = [Step::now(Action::Bytes(part)), Step::now(Action::Cut)].into();
        let length = Some(body.len() as u64);
        self.respond(
            self.time_of_whole(),
            200,
            json(),
            Payload::Steps {
                steps,
                length,
                flush_each: false,
            },
        )
    }

    fn slow_stream(&self) -> Reaction {
        let mut steps = self.steps();
        let n_tokens = n_tokens(&steps);
        let n_pauses = (self.config.slow_pauses as usize).min(n_tokens);
        let mut token = 0;
        for step in &mut steps {
            if matches!(&step.action, Action::Event(event) if event.is_token()) {
                // The pauses lie evenly: before a token whenever its share of them goes up by one.
                if (token + 1) * n_pauses / n_tokens > token * n_pauses / n_tokens {
                    step.delay = step.delay.saturating_add(self.config.slow_pause);
                }
                token += 1;
            }
        }
        self.streamed(steps)
    }

    fn slow_whole(&self) -> Reaction {
        let body = self.wire.whole(self.reply);
        let n_parts = (self.config.slow_pauses as usize)
            .saturating_add(1)
            .min(body.len());
        let edge = |part: usize| body.len() * part / n_parts;
        let part = |part: usize| Step {
            delay: if part == 0 {
                Duration::ZERO
            } else {
                self.config.slow_pause
            },
            action: Action::Bytes(body.slice(edge(part)..edge(part + 1))),
        };
        let steps = (0..n_parts).map(part).collect();
        let length = Some(body.len() as u64);
        self.respond(
            self.time_of_whole(),
            200,
            json(),
            Payload::Steps {
                steps,
                length,
                flush_each: false,
            },
        )
    }

    /// The steps of a stream without a fault. Choices take turns, token by token.
    fn steps(&self) -> VecDeque<Step> {
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

    fn error(&self, error: &ApiError) -> Reaction {
        let body = Payload::Whole(self.wire.error(error));
        let mut reaction = self.respond(self.plan.first_token, error.status(), json(), body);
        if let (503 | 529, Some(wait), Some(response)) = (
            error.status(),
            self.config.overload_retry_after,
            &mut reaction.response,
        ) {
            response.headers.push((RETRY_AFTER, whole_seconds(wait).into()));
        }
        reaction
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
        self.respond(Duration::ZERO, 200, self.wire.stream_type(), body)
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

/// Returns the events of one choice, in order.
fn lane(index: usize, choice: &Choice) -> impl Iterator<Item = Event> + '_ {
    let text = choice.text.as_deref();
    let start = text.map(|_| Event::Start { choice: index });
    let texts = pieces(text.unwrap_or_default()).map(move |bytes| Event::Text { choice: index, bytes });
    let tools = choice.tools.iter().enumerate().flat_map(move |(tool, call)| {
        let arguments = pieces(&call.arguments);
        let arguments = arguments.map(move |bytes| Event::ToolArguments {
            choice: index,
            tool,
            bytes,
        });
        std::iter::once(Event::ToolStart { choice: index, tool }).chain(arguments)
    });
    start
        .into_iter()
        .chain(texts)
        .chain(tools)
        .chain([Event::Finish { choice: index }])
}

fn n_tokens(steps: &VecDeque<Step>) -> usize {
    steps
        .iter()
        .filter(|step| matches!(&step.action, Action::Event(event) if event.is_token()))
        .count()
}

/// Returns the place just after so many tokens, or after the last where there are fewer. With no tokens it is the
/// beginning.
fn place_after(steps: &VecDeque<Step>, tokens: usize) -> usize {
    let is_token = |step: &Step| matches!(&step.action, Action::Event(event) if event.is_token());
    let places = steps
        .iter()
        .enumerate()
        .filter(|(_, step)| is_token(step))
        .map(|(at, _)| at + 1);
    places.take(tokens).last().unwrap_or(0)
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
    use crate::latency::Latency;

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
            wire: Wire::OpenAiChat,
            stream,
            reply: &reply,
            plan: &plan,
        };
        let len = scene.wire.whole(&reply).len() as u64;
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
