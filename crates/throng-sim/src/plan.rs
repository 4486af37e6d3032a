//! What happens to a request: a pure function of the seed, the prompt and the number of the attempt.

use std::time::Duration;

use crate::config::SimConfig;
use crate::fault::Fault;
use crate::hash::{Purpose, derive, prompt_hash, rng};

/// What happens to one attempt of one prompt.
///
/// Nothing else goes into it: not the order in which requests arrive, nor the clock, nor other prompts.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Plan {
    /// The time from the request to the first token, or to the response of a fault that has no tokens.
    pub first_token: Duration,
    /// What goes wrong, if anything.
    pub fault: Option<Fault>,
    /// Where in the stream it goes wrong, from 0 (the beginning) to 1.
    pub(crate) place: f64,
    /// The number from which the ids of the reply are made.
    pub(crate) reply_id: u64,
}

impl SimConfig {
    /// Returns what happens to an attempt of a prompt, counted from 1.
    ///
    /// The attempts of a prompt are the requests for it that no limit refused. `prompt` is the text as
    /// [`prompt_text`](crate::prompt_text) gives it. The plan says nothing of limits and scripts, which come before
    /// it.
    pub fn plan(&self, prompt: &str, attempt: u32) -> Plan {
        self.plan_for(prompt_hash(prompt), attempt)
    }

    pub(crate) fn plan_for(&self, prompt: u64, attempt: u32) -> Plan {
        let index = [u64::from(attempt), 0];
        let source = |purpose| rng(self.seed, prompt, purpose, index);
        let fails = source(Purpose::Fault).f64() < self.fail;
        Plan {
            first_token: self.first_token.sample(&mut source(Purpose::Latency)),
            fault: fails
                .then(|| self.fault_mix.pick(&mut source(Purpose::FaultKind)))
                .flatten(),
            place: source(Purpose::Position).f64(),
            reply_id: derive(self.seed, prompt, Purpose::ReplyId, index),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Latency;

    #[test]
    fn faults_of_successive_attempts_are_independent() {
        let config = SimConfig::builder().seed(8).fail(0.1).build().unwrap();
        let fails = |prompt: u64, attempt| config.plan_for(prompt, attempt).fault.is_some();
        let (mut first, mut second, mut both) = (0, 0, 0);
        let n = 100_000;
        for prompt in 0..n {
            let (one, two) = (fails(prompt, 1), fails(prompt, 2));
            first += i32::from(one);
            second += i32::from(two);
            both += i32::from(one && two);
        }
        // Four standard deviations: 380 around 10 000, and 126 around 1 000.
        assert!((9_620..10_380).contains(&first), "{first}");
        assert!((9_620..10_380).contains(&second), "{second}");
        assert!((874..1_126).contains(&both), "{both}");
    }

    #[test]
    fn a_long_run_of_attempts_of_one_prompt_keeps_the_share() {
        let config = SimConfig::builder().fail(0.1).build().unwrap();
        let n_failed = (1..=100_000)
            .filter(|attempt| config.plan("stubborn", *attempt).fault.is_some())
            .count();
        assert!((9_620..10_380).contains(&n_failed), "{n_failed}");
    }

    #[test]
    fn changing_the_latency_changes_no_fault() {
        let base = SimConfig::builder().seed(3).fail(0.5);
        let slow = base
            .clone()
            .first_token(Latency::Constant(Duration::from_secs(1)))
            .build()
            .unwrap();
        let fast = base.build().unwrap();
        for prompt in 0..500 {
            assert_eq!(slow.plan_for(prompt, 1).fault, fast.plan_for(prompt, 1).fault);
        }
    }

    #[test]
    fn a_higher_share_only_adds_faults() {
        let at = |fail| SimConfig::builder().seed(3).fail(fail).build().unwrap();
        let (some, more, all, none) = (at(0.2), at(0.4), at(1.0), at(0.0));
        for prompt in 0..500 {
            if let Some(fault) = some.plan_for(prompt, 1).fault {
                assert_eq!(more.plan_for(prompt, 1).fault, Some(fault));
            }
            assert!(all.plan_for(prompt, 1).fault.is_some());
            assert!(none.plan_for(prompt, 1).fault.is_none());
        }
    }
}
