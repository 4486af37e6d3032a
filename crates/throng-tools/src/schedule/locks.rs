//! Locks on resources against other plans: who reads and who writes what, with the path hierarchy.
//!
//! Every holder is counted at its resource, and at each resource that holds it. So a check looks at the resource and its
//! ancestors only, however many locks are held.

use std::collections::HashMap;

use super::PlanId;

/// One resource that an attempt locks against the calls of other plans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lock {
    /// The resource in its normal form: `*`, `scheme:` or `scheme:path`.
    resource: Box<str>,
    /// Whether others may not even read it.
    alone: bool,
}

impl Lock {
    /// Makes a lock that others share who also only read.
    pub(crate) fn shared(resource: impl Into<Box<str>>) -> Self {
        Self {
            resource: resource.into(),
            alone: false,
        }
    }

    /// Makes a lock that nobody shares.
    pub(crate) fn alone(resource: impl Into<Box<str>>) -> Self {
        Self {
            resource: resource.into(),
            alone: true,
        }
    }

    /// Returns whether the two can't be held at the same time.
    fn conflicts(&self, other: &Self) -> bool {
        let (a, b) = (&*self.resource, &*other.resource);
        (self.alone || other.alone)
            && (a == b || ancestors(a).any(|up| up == b) || ancestors(b).any(|up| up == a))
    }
}

/// Returns whether a lock of the one list conflicts with one of the other.
pub(crate) fn conflict(a: &[Lock], b: &[Lock]) -> bool {
    a.iter().any(|a| b.iter().any(|b| a.conflicts(b)))
}

/// Returns what holds the resource, itself left out: everything, its scheme, its directories.
fn ancestors(resource: &str) -> impl Iterator<Item = &str> {
    let all = (resource != "*").then_some("*");
    let path = resource.find(':').map_or(resource.len(), |colon| colon + 1);
    let scheme = (path < resource.len()).then(|| &resource[..path]);
    let root = resource[path..].starts_with('/') && path + 1 < resource.len();
    let root = root.then(|| &resource[..=path]);
    let slashes = resource.match_indices('/').map(|(at, _)| at);
    let dirs = slashes.filter(move |at| *at > path).map(|at| &resource[..at]);
    all.into_iter().chain(scheme).chain(root).chain(dirs)
}

/// Those who hold a resource, or something in it.
#[derive(Debug, Default)]
struct Holders {
    readers: u32,
    writers: u32,
    readers_within: u32,
    writers_within: u32,
    /// The nodes that wait until one of them lets go.
    waiting: Vec<(PlanId, u32)>,
}

impl Holders {
    fn is_unused(&self) -> bool {
        self.readers == 0
            && self.writers == 0
            && self.readers_within == 0
            && self.writers_within == 0
            && self.waiting.is_empty()
    }
}

/// The locks that attempts hold.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    held: HashMap<Box<str>, Holders>,
}

impl Locks {
    /// Returns the resource whose holders have to let go before the locks can be taken, if there is one.
    pub(crate) fn blocker(&self, locks: &[Lock]) -> Option<Box<str>> {
        if self.held.is_empty() {
            return None;
        }
        for lock in locks {
            let taken = |at: &str, within: bool| {
                self.held.get(at).is_some_and(|held| {
                    held.writers > 0
                        || (lock.alone && held.readers > 0)
                        || (within && (held.writers_within > 0 || (lock.alone && held.readers_within > 0)))
                })
            };
            if taken(&lock.resource, true) {
                return Some(lock.resource.clone());
            }
            if let Some(up) = ancestors(&lock.resource).find(|up| taken(up, false)) {
                return Some(up.into());
            }
        }
        None
    }

    /// Takes the locks, which are free or held by readers beside whom there is room.
    pub(crate) fn take(&mut self, locks: &[Lock]) {
        for lock in locks {
            let held = self.at(&lock.resource);
            if lock.alone {
                held.writers += 1;
            } else {
                held.readers += 1;
            }
            for up in ancestors(&lock.resource) {
                let held = self.at(up);
                if lock.alone {
                    held.writers_within += 1;
                } else {
                    held.readers_within += 1;
                }
            }
        }
    }

    /// Gives the locks back, and hands over the nodes that waited for one of them.
    pub(crate) fn give_back(&mut self, locks: &[Lock], mut wake: impl FnMut(PlanId, u32)) {
        for lock in locks {
            self.leave(&lock.resource, &mut wake, |held| {
                if lock.alone {
                    held.writers -= 1;
                } else {
                    held.readers -= 1;
                }
            });
            for up in ancestors(&lock.resource) {
                self.leave(up, &mut wake, |held| {
                    if lock.alone {
                        held.writers_within -= 1;
                    } else {
                        held.readers_within -= 1;
                    }
                });
            }
        }
    }

    /// Has a node wait until a holder of the resource, or of something in it, lets go.
    pub(crate) fn wait(&mut self, resource: &str, plan: PlanId, node: u32) {
        self.at(resource).waiting.push((plan, node));
    }

    fn at(&mut self, resource: &str) -> &mut Holders {
        if !self.held.contains_key(resource) {
            self.held.insert(resource.into(), Holders::default());
        }
        self.held
            .get_mut(resource)
            .expect("it was inserted if it was absent")
    }

    fn leave(
        &mut self,
        resource: &str,
        wake: &mut impl FnMut(PlanId, u32),
        change: impl FnOnce(&mut Holders),
    ) {
        let Some(held) = self.held.get_mut(resource) else {
            return;
        };
        change(held);
        for (plan, node) in held.waiting.drain(..) {
            wake(plan, node);
        }
        if held.is_unused() {
            self.held.remove(resource);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_a_resource() {
        let check = |resource: &str, expect: &[&str]| {
            assert_eq!(ancestors(resource).collect::<Vec<_>>(), expect, "{resource}");
        };
        check("*", &[]);
        check("file:", &["*"]);
        check("file:/", &["*", "file:"]);
        check("file:/a", &["*", "file:", "file:/"]);
        check("file:/a/b/c", &["*", "file:", "file:/", "file:/a", "file:/a/b"]);
        check("file:a/b", &["*", "file:", "file:a"]);
        check("db:users", &["*", "db:"]);
    }

    #[test]
    fn locks_meet_along_the_hierarchy_only() {
        let (shared, alone) = (Lock::shared, Lock::alone);
        let check = |held: Lock, asked: Lock, expect: bool| {
            let mut locks = Locks::default();
            locks.take(std::slice::from_ref(&held));
            let blocked = locks.blocker(std::slice::from_ref(&asked)).is_some();
            assert_eq!(blocked, expect, "{held:?} {asked:?}");
            assert_eq!(held.conflicts(&asked), expect, "{held:?} {asked:?}");
            locks.give_back(&[held], |_, _| ());
            assert!(locks.held.is_empty());
        };
        check(shared("file:/a"), shared("file:/a"), false);
        check(shared("file:/a"), alone("file:/a/b"), true);
        check(alone("file:/a/b"), shared("file:/a"), true);
        check(shared("file:/a/b"), alone("file:/a"), true);
        check(alone("file:/a"), alone("file:/ab"), false);
        check(alone("file:/a/b"), alone("file:/a/c"), false);
        check(alone("*"), shared("db:t"), true);
        check(shared("db:t"), alone("*"), true);
        check(alone("db:"), shared("db:t"), true);
        check(alone("db:"), alone("file:/a"), false);
    }
}
