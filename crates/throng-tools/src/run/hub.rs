//! What all plans of an executor share: the admission, and what is known of each tool's limit.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use throng_exec::{AttemptSignal, InvalidConfig, Limit, LimitChange, LimitController};

use super::share::Cache;
use crate::schedule::{Admission, CounterId};
use crate::{ToolEntry, Tools};

/// No limit.
pub(super) const UNLIMITED: u64 = u64::MAX;

/// What all plans of an executor share.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) admission: Admission,
    limits: Vec<ToolLimit>,
    by_name: HashMap<Arc<str>, u32>,
    pools: HashMap<Arc<str>, CounterId>,
    pub(super) cache: Option<Cache>,
}

#[derive(Debug)]
struct ToolLimit {
    counter: CounterId,
    controller: Option<LimitController>,
}

/// What an attempt has to hand back to its tool's limit when it ends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ticket(u32);

impl Hub {
    pub(super) fn new(limit: u64, pools: &[(Arc<str>, u64)], tools: &Tools) -> Result<Self, InvalidConfig> {
        let mut admission = Admission::new(limit);
        let pools = pools
            .iter()
            .map(|(name, units)| (Arc::clone(name), admission.add_counter(*units)))
            .collect();
        let mut this = Self {
            admission,
            limits: Vec::new(),
            by_name: HashMap::new(),
            pools,
            cache: None,
        };
        for entry in tools.iter() {
            this.add_tool(entry)?;
        }
        Ok(this)
    }

    fn add_tool(&mut self, entry: &ToolEntry) -> Result<(), InvalidConfig> {
        let (limit, controller) = match &entry.limit {
            None => (UNLIMITED, None),
            Some(Limit::Fixed(limit)) => (limit.get() as u64, None),
            Some(Limit::Adaptive(policy)) => {
                let controller = LimitController::new(policy)?;
                (controller.limit() as u64, Some(controller))
            }
            Some(_) => (UNLIMITED, None),
        };
        let counter = self.admission.add_counter(limit);
        let index = u32::try_from(self.limits.len()).unwrap_or(u32::MAX);
        self.by_name.insert(Arc::clone(&entry.spec().name), index);
        self.limits.push(ToolLimit { counter, controller });
        Ok(())
    }

    /// Returns what an attempt of the tool takes, besides one of all.
    pub(super) fn needs(&self, entry: &ToolEntry) -> Vec<(CounterId, u64)> {
        let mut needs = Vec::new();
        if let Some(limit) = self.limit_of(entry.name()) {
            needs.push((limit.counter, 1));
        }
        for (pool, units) in &entry.takes {
            if let Some(&counter) = self.pools.get(pool) {
                needs.push((counter, *units));
            }
        }
        needs
    }

    pub(super) fn tool_index(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// Sets the limit of a tool; it is no longer learned then. Returns false if there is no such tool.
    pub(super) fn set_tool_limit(&mut self, name: &str, limit: u64) -> bool {
        let Some(index) = self.tool_index(name) else {
            return false;
        };
        if let Some(of) = self.limits.get_mut(index as usize) {
            of.controller = None;
            self.admission.set_limit(of.counter, limit);
        }
        true
    }

    /// Returns the limit of a tool, if it has one.
    pub(super) fn tool_limit(&self, name: &str) -> Option<u64> {
        let limit = self.admission.limit(self.limit_of(name)?.counter);
        (limit != UNLIMITED).then_some(limit)
    }

    /// Notes that an attempt of the tool began, which has taken its permit.
    pub(super) fn began(&mut self, tool: u32, now: Duration) -> (Ticket, Option<LimitChange>) {
        let Some(limit) = self.limits.get_mut(tool as usize) else {
            return (Ticket::default(), None);
        };
        let Some(controller) = &mut limit.controller else {
            return (Ticket::default(), None);
        };
        let running = usize::try_from(self.admission.used(limit.counter)).unwrap_or(usize::MAX);
        let (epoch, change) = controller.started(now, running);
        if let Some(change) = change {
            self.admission.set_limit(limit.counter, change.to as u64);
        }
        (Ticket(epoch), change)
    }

    /// Notes that an attempt of the tool ended, which has not yet given its permit back.
    pub(super) fn ended(
        &mut self,
        tool: u32,
        ticket: Ticket,
        now: Duration,
        signal: AttemptSignal,
        took: Duration,
    ) -> Option<LimitChange> {
        let limit = self.limits.get_mut(tool as usize)?;
        let controller = limit.controller.as_mut()?;
        let running = usize::try_from(self.admission.used(limit.counter)).unwrap_or(usize::MAX);
        let change = controller.ended(now, ticket.0, signal, took, running)?;
        self.admission.set_limit(limit.counter, change.to as u64);
        Some(change)
    }

    pub(super) fn has_pool(&self, name: &str) -> bool {
        self.pools.contains_key(name)
    }

    fn limit_of(&self, name: &str) -> Option<&ToolLimit> {
        self.limits.get(self.tool_index(name)? as usize)
    }
}
