//! What the tests share: tools that wait, fail and are counted, plans in short, and a journal in memory.

use std::collections::{BTreeMap, HashMap};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use throng_core::{Journal, JournalEntry, JournalError, JournalFuture, OutcomeKind};
use throng_exec::{Jitter, RetryPolicy};
use throng_tools::{
    Call, Plan, PlanReport, ToolContext, ToolError, ToolExecutor, ToolExecutorBuilder, ToolFn, ToolSpec,
    Tools,
};

pub(crate) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(crate) fn n(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).expect("tests do not pass zero")
}

/// How many cases a random suite tries: `THRONG_CASES`, or a small number.
pub(crate) fn cases(small: u64) -> u64 {
    let cases = std::env::var("THRONG_CASES").ok();
    cases.and_then(|cases| cases.parse().ok()).unwrap_or(small)
}

/// A policy that waits exactly `wait` between attempts.
pub(crate) fn fixed(max_attempts: u32, wait: Duration) -> RetryPolicy {
    RetryPolicy::exponential(NonZeroU32::new(max_attempts).expect("tests do not pass zero"))
        .base(wait)
        .factor(1.0)
        .jitter(Jitter::None)
}

/// What the tools of a test have done, in order: `begin a`, `end a`, and how many ran at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Logged>>);

#[derive(Debug, Default)]
struct Logged {
    lines: Vec<String>,
    running: usize,
    peak: usize,
}

pub(crate) struct Inside(Log, String);

impl Log {
    pub(crate) fn enter(&self, what: &str) -> Inside {
        let mut logged = self.0.lock().unwrap();
        logged.lines.push(format!("begin {what}"));
        logged.running += 1;
        logged.peak = logged.peak.max(logged.running);
        Inside(self.clone(), what.to_owned())
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().lines.clone()
    }

    pub(crate) fn begun(&self, what: &str) -> usize {
        let line = format!("begin {what}");
        self.lines().iter().filter(|of| **of == line).count()
    }

    pub(crate) fn peak(&self) -> usize {
        self.0.lock().unwrap().peak
    }

    pub(crate) fn running(&self) -> usize {
        self.0.lock().unwrap().running
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let mut logged = self.0.0.lock().unwrap();
        logged.running -= 1;
        logged.lines.push(format!("end {}", self.1));
    }
}

/// A tool that does what its arguments say: waits `ms`, and returns `give`, or fails with `fail` (`transient`,
/// `permanent`, `unknown`, `throttled`, `panic`, `hang`), the first `times` times of each call.
pub(crate) fn scripted(spec: ToolSpec, log: &Log) -> ToolFn {
    let log = log.clone();
    ToolFn::with_context(spec, move |args: Value, cx: ToolContext| {
        let log = log.clone();
        async move {
            let inside = log.enter(&cx.call_id);
            let wait = args["ms"].as_u64().unwrap_or(0);
            if wait > 0 {
                tokio::time::sleep(ms(wait)).await;
            }
            let times = args["times"].as_u64().unwrap_or(u64::MAX);
            let fails = u64::from(cx.attempt.get()) <= times;
            let result = match args["fail"].as_str().filter(|_| fails) {
                Some("transient") => Err(ToolError::transient("try later")),
                Some("permanent") => Err(ToolError::permanent("never")),
                Some("unknown") => Err(ToolError::transient("the connection broke").unknown_outcome()),
                Some("throttled") => Err(ToolError::throttled("too many", None)),
                Some("panic") => panic!("the tool is broken"),
                Some("hang") => std::future::pending().await,
                _ => Ok(args.get("give").cloned().unwrap_or(Value::Null)),
            };
            drop(inside);
            result
        }
    })
}

/// Tools `look` (changes nothing), `set` (idempotent), `send` (once) that touch nothing shared, and `wild`, of which nothing
/// is known.
pub(crate) fn tools(log: &Log) -> Tools {
    let spec = |name: &str| ToolSpec::new(name);
    [
        spec("look").read_only().touches_nothing(),
        spec("set").idempotent().touches_nothing(),
        spec("send").effect(throng_tools::Effect::Once).touches_nothing(),
        spec("wild"),
    ]
    .into_iter()
    .fold(Tools::new(), |tools, spec| {
        tools.with(scripted(spec, log)).expect("the names differ")
    })
}

/// An executor of [`tools`] that tries once.
pub(crate) fn once(log: &Log) -> ToolExecutorBuilder {
    ToolExecutor::builder(tools(log))
        .retry(RetryPolicy::none())
        .seed(7)
}

pub(crate) fn plan(calls: impl IntoIterator<Item = Call>) -> Plan {
    Plan::new(calls).expect("the plan is right")
}

pub(crate) fn call(id: &str, name: &str, arguments: Value) -> Call {
    Call::new(id, name, arguments)
}

/// A call that waits.
pub(crate) fn waits(id: &str, name: &str, wait: u64) -> Call {
    call(id, name, json!({ "ms": wait, "give": id }))
}

/// The outcomes of the calls by id.
pub(crate) fn outcomes(report: &PlanReport) -> BTreeMap<String, OutcomeKind> {
    let outcomes = report.results.iter();
    outcomes
        .map(|result| (result.id.to_string(), result.outcome.kind()))
        .collect()
}

pub(crate) fn outcome(report: &PlanReport, id: &str) -> OutcomeKind {
    *outcomes(report)
        .get(id)
        .unwrap_or_else(|| panic!("no result of {id}"))
}

/// A journal in memory that can be made to fail, and to forget nothing when a plan is dropped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory(Arc<Mutex<Remembered>>);

#[derive(Debug, Default)]
struct Remembered {
    runs: HashMap<String, Vec<JournalEntry>>,
    writes: usize,
    fails_at: Option<usize>,
}

impl Memory {
    /// Lets the write fail that is number `n`, from 0, and all after it.
    pub(crate) fn fail_at(&self, n: usize) {
        self.0.lock().unwrap().fails_at = Some(n);
    }

    pub(crate) fn entries(&self, run: &str) -> Vec<JournalEntry> {
        self.0.lock().unwrap().runs.get(run).cloned().unwrap_or_default()
    }

    fn write(
        &self,
        doing: &'static str,
        change: impl FnOnce(&mut HashMap<String, Vec<JournalEntry>>),
    ) -> Result<(), JournalError> {
        let mut remembered = self.0.lock().unwrap();
        let number = remembered.writes;
        remembered.writes += 1;
        if remembered.fails_at.is_some_and(|at| number >= at) {
            return Err(JournalError::new(doing, "the disk is full"));
        }
        change(&mut remembered.runs);
        Ok(())
    }
}

impl Journal for Memory {
    fn begin<'a>(&'a self, run: &'a str, step: &'a str, input: &'a str) -> JournalFuture<'a, ()> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.write("write that a step begins", |runs| {
                let entries = runs.entry(run.to_owned()).or_default();
                match entries.iter_mut().find(|entry| entry.step == step) {
                    Some(entry) => {
                        entry.attempts += 1;
                        entry.input = input.to_owned();
                        entry.ending = None;
                    }
                    None => entries.push(JournalEntry::new(step, input)),
                }
            })
        })
    }

    fn end<'a>(&'a self, run: &'a str, step: &'a str, ending: &'a str) -> JournalFuture<'a, ()> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.write("write that a step ended", |runs| {
                let entries = runs.entry(run.to_owned()).or_default();
                if let Some(entry) = entries.iter_mut().find(|entry| entry.step == step) {
                    entry.ending = Some(ending.to_owned());
                }
            })
        })
    }

    fn load<'a>(&'a self, run: &'a str) -> JournalFuture<'a, Vec<JournalEntry>> {
        Box::pin(async move { Ok(self.entries(run)) })
    }
}
