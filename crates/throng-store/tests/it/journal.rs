//! The journal against a naive model, and across a reopening.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;
use throng_core::{Journal, JournalEntry};
use throng_store::{Durability, Store, StoreOptions};

use crate::support::open;

#[derive(Clone, Debug)]
enum Step {
    Begin(u8, u8, String),
    End(u8, u8, String),
    Forget(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let text = "[a-z\u{0}'\"é🦀 ]{0,12}";
    prop_oneof![
        6 => (0..3_u8, 0..5_u8, text).prop_map(|(run, step, input)| Step::Begin(run, step, input)),
        6 => (0..3_u8, 0..5_u8, text).prop_map(|(run, step, ending)| Step::End(run, step, ending)),
        1 => (0..3_u8).prop_map(Step::Forget),
    ]
}

/// What a journal is: a list of entries for each run.
#[derive(Default)]
struct Model(HashMap<String, Vec<JournalEntry>>);

impl Model {
    fn entry(&mut self, run: &str, step: &str) -> &mut JournalEntry {
        let entries = self.0.entry(run.to_owned()).or_default();
        let place = entries
            .iter()
            .position(|entry| entry.step == step)
            .unwrap_or_else(|| {
                let mut entry = JournalEntry::new(step, "");
                entry.attempts = 0;
                entries.push(entry);
                entries.len() - 1
            });
        &mut entries[place]
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Begin(run, step, input) => {
                let entry = self.entry(&run.to_string(), &step.to_string());
                entry.attempts += 1;
                entry.input.clone_from(input);
                entry.ending = None;
            }
            Step::End(run, step, ending) => {
                self.entry(&run.to_string(), &step.to_string()).ending = Some(ending.clone());
            }
            Step::Forget(run) => {
                self.0.remove(&run.to_string());
            }
        }
    }
}

async fn write(store: &Store, step: &Step) {
    let journal = store.journal();
    match step {
        Step::Begin(run, step, input) => journal.begin(&run.to_string(), &step.to_string(), input).await,
        Step::End(run, step, ending) => journal.end(&run.to_string(), &step.to_string(), ending).await,
        Step::Forget(run) => journal.forget(&run.to_string()).await,
    }
    .unwrap();
}

async fn check(store: &Store, model: &Model) {
    let journal = store.journal();
    for run in ["0", "1", "2"] {
        let expect = model.0.get(run).cloned().unwrap_or_default();
        assert_eq!(journal.load(run).await.unwrap(), expect, "run {run}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::support::cases(24)))]
    #[test]
    fn it_is_the_naive_journal(steps in prop::collection::vec(step(), 0..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let store = Store::in_memory().unwrap();
            let mut model = Model::default();
            for step in &steps {
                write(&store, step).await;
                model.take(step);
            }
            check(&store, &model).await;
        });
    }
}

#[tokio::test]
async fn what_was_journaled_is_there_after_a_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let store = open(&path);
    let mut model = Model::default();
    for i in 0..20 {
        let step = Step::Begin(i % 3, i, format!("input {i}"));
        write(&store, &step).await;
        model.take(&step);
        if i % 2 == 0 {
            let step = Step::End(i % 3, i, "{\"value\":null}".to_owned());
            write(&store, &step).await;
            model.take(&step);
        }
    }
    store.close().await.unwrap();
    check(&open(&path), &model).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_that_are_journaled_at_a_time_share_a_flush() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("t.db"));
    let journal = Arc::new(store.journal());
    let mut steps = tokio::task::JoinSet::new();
    for i in 0..200 {
        let journal = Arc::clone(&journal);
        steps.spawn(async move { journal.begin("run", &i.to_string(), "{}").await });
    }
    while let Some(step) = steps.join_next().await {
        step.unwrap().unwrap();
    }
    assert_eq!(journal.load("run").await.unwrap().len(), 200);
    let counts = store.counts();
    assert_eq!(counts.rows, 200);
    assert_eq!(counts.flushes, counts.transactions);
    assert!(counts.flushes < 200, "{counts:?}");
}

#[tokio::test]
async fn flushes_can_be_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions::default().journal(Durability::ProcessDeath);
    let store = Store::open(folder.path().join("t.db"), options).unwrap();
    store.journal().begin("run", "a", "{}").await.unwrap();
    assert_eq!((store.counts().transactions, store.counts().flushes), (1, 0));
}

#[tokio::test]
async fn a_closed_store_journals_nothing_and_says_so() {
    let store = Store::in_memory().unwrap();
    let journal = store.journal();
    journal.begin("run", "a", "{}").await.unwrap();
    store.close().await.unwrap();
    let error = journal.begin("run", "b", "{}").await.unwrap_err();
    assert_eq!(error.to_string(), "could not write to the journal");
    assert_eq!(error.source.to_string(), "the store (in memory) is closed");
}
