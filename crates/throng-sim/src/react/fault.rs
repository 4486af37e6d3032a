//! The faults that lie in how a reply is sent. Those that lie in what it says have changed the reply before.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{HeaderValue, RETRY_AFTER};

use crate::api_error::ApiError;
use crate::fault::Fault;
use crate::react::steps::{n_tokens, place_after};
use crate::react::{Action, Payload, Reaction, Scene, Step, json, whole_seconds};
use crate::reply::Event;
use crate::wire::{Filter, Wire};

const HTML: &str = "<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>\
    <body><h1>502 Bad Gateway</h1><p>The server is having a bad day.</p></body></html>\n";

impl Scene<'_> {
    pub(super) fn fault(&self, fault: Fault) -> Reaction {
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
                    self.dialect.stream_type()
                } else {
                    json()
                },
                "",
            ),
            Fault::QuotaExhausted => self.error(&ApiError::QuotaExhausted {
                model: self.reply.model.clone(),
            }),
            Fault::ContextOverflow => self.error(&overflow(self.reply.input_tokens)),
            Fault::ContentFilter if self.dialect.protocol().filter() == Filter::Error => {
                self.error(&ApiError::ContentFilter)
            }
            // What these say stands in the reply itself; see `spoil`.
            Fault::ContentFilter | Fault::EmptyFinish | Fault::SplitSurrogates => self.answer(),
            Fault::JsonInsteadOfStream => self.whole(self.dialect.whole(self.reply), json()),
            Fault::Bom | Fault::KeepAlives | Fault::UnknownEvents | Fault::UsageTwice if self.stream => {
                self.adorned_stream(fault)
            }
            Fault::Bom | Fault::UsageTwice => self.answer(),
            Fault::KeepAlives => self.whole(
                [b"\n \r\n", &*self.dialect.whole(self.reply)].concat().into(),
                json(),
            ),
            Fault::UnknownEvents => self.whole(with_unknown_field(&self.dialect.whole(self.reply)), json()),
            Fault::Dropped => Reaction {
                wait: self.plan.first_token,
                gate: None,
                response: None,
            },
            Fault::Slow if self.stream => self.slow_stream(),
            Fault::Slow => self.slow_whole(),
            Fault::CutToolArguments if self.stream => self.cut_arguments(),
            Fault::Cut | Fault::MissingTerminal | Fault::Garbage if self.stream => self.broken_stream(fault),
            Fault::StreamError | Fault::StreamErrorBesideChoices if self.stream => self.broken_stream(fault),
            Fault::StreamError => self.whole(self.error_as_reply(false), json()),
            Fault::StreamErrorBesideChoices => self.whole(self.error_as_reply(true), json()),
            Fault::Garbage => self.whole(Bytes::from_static(b"\xff\xfe{\"id\":<<< not JSON \x9d"), json()),
            Fault::Cut | Fault::MissingTerminal | Fault::CutToolArguments => self.broken_whole(fault),
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
            Fault::StreamError => steps.push_back(Step::now(Action::Event(Event::Error { masked: false }))),
            Fault::StreamErrorBesideChoices => {
                steps.push_back(Step::now(Action::Event(Event::Error { masked: true })));
                steps.push_back(Step::now(Action::Event(Event::Done)));
            }
            _ => {}
        }
        self.streamed(steps)
    }

    /// Sends a part of a body: as if it were whole, or as the beginning of a longer one.
    fn broken_whole(&self, fault: Fault) -> Reaction {
        let body = self.dialect.whole(self.reply);
        let part = body.slice(..1 + (self.plan.place * (body.len() - 2) as f64) as usize);
        if fault != Fault::Cut {
            return self.whole(part, json());
        }
        let steps = [Step::now(Action::Bytes(part)), Step::now(Action::Cut)].into();
        self.in_parts(steps, body.len())
    }

    /// Sends a reply in one piece step by step, with the length that it promises.
    fn in_parts(&self, steps: VecDeque<Step>, length: usize) -> Reaction {
        let payload = Payload::Steps {
            steps,
            length: Some(length as u64),
            flush_each: false,
        };
        self.respond(self.time_of_whole(), 200, json(), payload)
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
        let body = self.dialect.whole(self.reply);
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
        self.in_parts(steps, body.len())
    }

    /// Puts into a stream what changes nothing of what it says.
    fn adorned_stream(&self, fault: Fault) -> Reaction {
        let mut steps = self.steps();
        if fault == Fault::Bom {
            steps.push_front(Step::now(Action::Bytes(Bytes::from_static(b"\xef\xbb\xbf"))));
            return self.streamed(steps);
        }
        let n_tokens = n_tokens(&steps);
        let mut adorned = VecDeque::new();
        let (mut token, mut turn) = (0, 0);
        let mut next = |event: fn(usize) -> Event| {
            turn += 1;
            Step::now(Action::Event(event(turn - 1)))
        };
        for step in steps {
            let is_token = matches!(&step.action, Action::Event(event) if event.is_token());
            let is_end = matches!(&step.action, Action::Event(Event::Done));
            token += usize::from(is_token);
            match fault {
                Fault::UsageTwice if is_end => {
                    // Where the wire has a place for it, once more than usual.
                    let usages =
                        [Event::UsageSoFar, Event::Usage].map(|event| Step::now(Action::Event(event)));
                    adorned.extend(
                        usages
                            .into_iter()
                            .filter(|_| self.dialect.wire == Wire::OpenAiChat),
                    );
                    adorned.push_back(step);
                }
                Fault::UsageTwice if self.dialect.wire == Wire::Anthropic => {
                    // Its place is after the blocks.
                    if matches!(&step.action, Action::Event(Event::Finish { .. })) {
                        adorned.push_back(Step::now(Action::Event(Event::UsageSoFar)));
                    }
                    adorned.push_back(step);
                }
                Fault::UsageTwice => {
                    adorned.push_back(step);
                    // Two between the tokens.
                    if is_token && (token == n_tokens.div_ceil(3) || token == 2 * n_tokens.div_ceil(3)) {
                        adorned.push_back(Step::now(Action::Event(Event::UsageSoFar)));
                    }
                }
                Fault::KeepAlives => {
                    adorned.push_back(next(|turn| Event::KeepAlive { turn }));
                    adorned.push_back(step);
                }
                _ => {
                    adorned.push_back(step);
                    if is_token {
                        adorned.push_back(next(|turn| Event::Unknown { turn }));
                    }
                }
            }
        }
        self.streamed(adorned)
    }

    /// Ends a stream within the arguments of its last tool call, after at least one piece if there are two.
    fn cut_arguments(&self) -> Reaction {
        let mut steps = self.steps();
        let pieces = steps
            .iter()
            .enumerate()
            .rev()
            .filter_map(|(at, step)| match &step.action {
                Action::Event(Event::ToolArguments { choice, tool, .. }) => Some((at, *choice, *tool)),
                _ => None,
            });
        let pieces: Vec<_> = pieces.collect();
        let Some(&(last, choice, tool)) = pieces.first() else {
            return self.broken_stream(Fault::MissingTerminal);
        };
        let n_pieces = pieces
            .iter()
            .filter(|(_, of, call)| (*of, *call) == (choice, tool))
            .count();
        let n_lost = 1 + (self.plan.place * n_pieces.saturating_sub(1) as f64) as usize;
        let at = pieces.get(n_lost - 1).map_or(last, |(at, ..)| *at);
        steps.truncate(at);
        steps.push_back(Step::now(Action::Event(Event::ToolTorn { choice, tool })));
        self.streamed(steps)
    }

    fn error_as_reply(&self, masked: bool) -> Bytes {
        self.dialect.error(&ApiError::Server, self.request_id, masked)
    }

    fn error(&self, error: &ApiError) -> Reaction {
        let status = self.dialect.protocol().status(error);
        let body = Payload::Whole(self.dialect.error(error, self.request_id, false));
        let mut reaction = self.respond(self.plan.first_token, status, json(), body);
        if let (503 | 529, Some(wait), Some(response)) =
            (status, self.config.overload_retry_after, &mut reaction.response)
        {
            response.headers.push((RETRY_AFTER, whole_seconds(wait).into()));
        }
        reaction
    }
}

/// Says that a prompt is twice as long as it may be.
fn overflow(n_tokens: u64) -> ApiError {
    let limit = (n_tokens / 2).max(1);
    ApiError::ContextOverflow {
        n_tokens: n_tokens.max(limit + 1),
        limit,
    }
}

/// Puts a field that is not known at the beginning of an object.
fn with_unknown_field(object: &[u8]) -> Bytes {
    let rest = object.strip_prefix(b"{").unwrap_or(object);
    [br#"{"future_field":{"a":[1,null]},"#, rest].concat().into()
}
