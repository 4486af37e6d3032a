//! The bucket against a naive model, under a clock that the test moves.

use std::num::NonZeroU64;
use std::time::Duration;

use proptest::prelude::*;
use throng_sim::Bucket;

/// What a bucket has to do, in exact fractions of the plainest kind: level in units of 1 / (60·10⁹).
struct Naive {
    rate: i128,
    burst: i128,
    level: i128,
}

const UNIT: i128 = 60_000_000_000;

impl Naive {
    fn pass(&mut self, nanos: u64) {
        self.level = (self.level + i128::from(nanos) * self.rate).min(self.burst * UNIT);
    }

    fn allows(&self, cost: u64) -> bool {
        self.level >= i128::from(cost).min(self.burst) * UNIT
    }
}

fn steps() -> impl Strategy<Value = Vec<(u64, u64)>> {
    let nanos = prop_oneof![
        Just(0),
        1..2_000_000_u64,
        1..5_000_000_000_u64,
        1..600_000_000_000_u64
    ];
    prop::collection::vec((nanos, prop_oneof![Just(1_u64), 0..2_000_u64]), 1..200)
}

fn bucket(rate: u64, burst: u64) -> Bucket {
    Bucket::new(NonZeroU64::new(rate).unwrap(), NonZeroU64::new(burst).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn it_grants_what_the_model_grants(rate in 1..100_000_u64, burst in 1..2_000_u64, steps in steps()) {
        let mut model = Naive { rate: rate.into(), burst: burst.into(), level: i128::from(burst) * UNIT };
        let mut real = bucket(rate, burst);
        let mut now = Duration::ZERO;
        for (nanos, cost) in steps {
            now += Duration::from_nanos(nanos);
            model.pass(nanos);
            match real.try_take(now, cost) {
                Ok(()) => {
                    prop_assert!(model.allows(cost));
                    model.level -= i128::from(cost) * UNIT;
                }
                Err(wait) => {
                    prop_assert!(!model.allows(cost));
                    // The wait is exact: then it is granted, and a nanosecond before it is not.
                    let mut then = real.clone();
                    prop_assert!(then.clone().try_take(now + wait - Duration::from_nanos(1), cost).is_err());
                    prop_assert!(then.try_take(now + wait, cost).is_ok());
                }
            }
            let whole = u64::try_from(model.level.max(0) / UNIT).unwrap();
            prop_assert_eq!(real.remaining(now), whole);
        }
    }

    #[test]
    fn no_span_of_time_grants_more_than_its_share(rate in 1..100_000_u64, burst in 1..500_u64, steps in steps()) {
        let mut real = bucket(rate, burst);
        let mut now = Duration::ZERO;
        let mut grants = Vec::new();
        for (nanos, cost) in steps {
            now += Duration::from_nanos(nanos);
            if real.try_take(now, cost).is_ok() {
                grants.push((now, cost));
            }
        }
        let dearest = grants.iter().map(|(_, cost)| *cost).max().unwrap_or(0);
        for (first, (from, _)) in grants.iter().enumerate() {
            let mut sum = 0;
            for (to, cost) in &grants[first..] {
                sum += i128::from(*cost);
                let span = i128::try_from((*to - *from).as_nanos()).unwrap();
                let most = i128::from(burst.max(dearest)) * UNIT + span * i128::from(rate);
                prop_assert!(sum * UNIT <= most, "{sum} granted within {span} ns");
            }
        }
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing(rate in 1..100_000_u64, steps in steps()) {
        let mut real = bucket(rate, 1);
        let late = Duration::from_secs(3600);
        prop_assert!(real.try_take(late, 1).is_ok());
        for (nanos, _) in steps {
            let early = late.saturating_sub(Duration::from_nanos(nanos));
            prop_assert!(real.try_take(early, 1).is_err());
        }
    }
}

/// How many random cases a property gets; `THRONG_CASES` says otherwise.
pub(crate) fn cases() -> u32 {
    std::env::var("THRONG_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(200)
}
