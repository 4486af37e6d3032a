//! Who is let in: the script first, then the limit on parallel requests, then the rate limits. A request that is
//! refused uses up nothing, and is no attempt of its prompt.

use std::time::Duration;

use crate::attempts::Attempts;
use crate::config::{ParallelStatus, SimConfig};
use crate::limit::{Exceeded, Limiter, Standing};
use crate::script::{Behaviour, Match, Script};

/// What was decided about a request.
#[derive(Debug)]
pub(crate) enum Verdict {
    Admitted {
        behaviour: Option<Behaviour>,
        standings: Vec<Standing>,
    },
    RateLimited {
        exceeded: Exceeded,
        standings: Vec<Standing>,
    },
    ParallelLimited(ParallelStatus),
}

/// The state that decides. It is handed the time.
#[derive(Debug)]
pub(crate) struct Door {
    attempts: Attempts,
    limiter: Limiter,
    script: Script,
    inside: usize,
}

impl Door {
    pub(crate) fn new(config: &SimConfig, now: Duration) -> Self {
        Self {
            attempts: Attempts::new(config.tracked_prompts),
            limiter: Limiter::new(&config.rates, now),
            script: Script::new(&config.script),
            inside: 0,
        }
    }

    /// Decides about a request and returns the number of the attempt, from 1. An admitted request must
    /// [`leave`](Self::leave).
    pub(crate) fn knock(&mut self, config: &SimConfig, now: Duration, asked: &Asked<'_>) -> (u32, Verdict) {
        let attempt = self.attempts.next(asked.hash);
        let behaviour = self.script.next(asked.prompt, asked.tool_rounds, attempt);
        if behaviour.is_none() {
            if let Some((max, status)) = config.max_parallel
                && self.inside >= max.get()
            {
                return (attempt, Verdict::ParallelLimited(status));
            }
            if let Err(exceeded) = self.limiter.charge(now, asked.input_tokens, asked.output_tokens) {
                let standings = self.limiter.standings(now);
                return (attempt, Verdict::RateLimited { exceeded, standings });
            }
        }
        self.inside += 1;
        self.attempts.count(asked.hash);
        (
            attempt,
            Verdict::Admitted {
                behaviour,
                standings: self.limiter.standings(now),
            },
        )
    }

    /// Notes that an admitted request has ended.
    pub(crate) fn leave(&mut self) {
        self.inside = self.inside.saturating_sub(1);
    }

    pub(crate) fn add_rule(&mut self, on: Match, behaviour: Behaviour) {
        self.script.push(on, behaviour);
    }

    /// Forgets the attempts, fills the limits and rewinds the script. Who is inside stays inside.
    pub(crate) fn reset(&mut self, config: &SimConfig, now: Duration) {
        self.attempts.clear();
        self.limiter = Limiter::new(&config.rates, now);
        self.script.rewind();
    }
}

/// What a request asks for, as far as the door needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) prompt: &'a str,
    pub(crate) hash: u64,
    /// How often tools were called since the user last said something.
    pub(crate) tool_rounds: u32,
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::prompt_hash;

    fn knock(door: &mut Door, config: &SimConfig, at_ms: u64, prompt: &str) -> (u32, Verdict) {
        let asked = Asked {
            prompt,
            hash: prompt_hash(prompt),
            tool_rounds: 0,
            input_tokens: 1,
            output_tokens: 1,
        };
        door.knock(config, Duration::from_millis(at_ms), &asked)
    }

    #[test]
    fn refused_requests_are_no_attempts_and_use_up_no_quota() {
        let config = SimConfig::builder().rpm(60).build().unwrap();
        let mut door = Door::new(&config, Duration::ZERO);
        assert!(matches!(
            knock(&mut door, &config, 0, "a"),
            (1, Verdict::Admitted { .. })
        ));
        for at_ms in [0, 10, 500, 999] {
            let (attempt, verdict) = knock(&mut door, &config, at_ms, "a");
            let Verdict::RateLimited { exceeded, .. } = verdict else {
                panic!("{verdict:?}")
            };
            assert_eq!((attempt, exceeded.wait), (2, Duration::from_millis(1000 - at_ms)));
        }
        assert!(matches!(
            knock(&mut door, &config, 1000, "a"),
            (2, Verdict::Admitted { .. })
        ));
    }

    #[test]
    fn a_scripted_request_passes_every_limit() {
        let config = SimConfig::builder()
            .rpm(60)
            .max_parallel(1, ParallelStatus::Unavailable)
            .script(Match::prompt_contains("vip"), Behaviour::Answer)
            .build()
            .unwrap();
        let mut door = Door::new(&config, Duration::ZERO);
        for attempt in 1..=5 {
            let (seen, verdict) = knock(&mut door, &config, 0, "a vip");
            assert!(matches!(
                verdict,
                Verdict::Admitted {
                    behaviour: Some(Behaviour::Answer),
                    ..
                }
            ));
            assert_eq!(seen, attempt);
        }
        let (_, verdict) = knock(&mut door, &config, 0, "other");
        assert!(matches!(
            verdict,
            Verdict::ParallelLimited(ParallelStatus::Unavailable)
        ));
        (0..5).for_each(|_| door.leave());
        assert!(matches!(
            knock(&mut door, &config, 0, "other"),
            (1, Verdict::Admitted { .. })
        ));
    }
}
