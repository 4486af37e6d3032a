//! What a call touches: resources with a path hierarchy, and how.

/// A thing that calls read and write: a scheme and a path, such as `file:/etc/hosts` or `db:users`.
///
/// Paths are hierarchies: `file:/a` holds `file:/a/b`. The resource without a path, such as `file:`, holds all of its
/// scheme, and `*` holds everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resource(Box<str>);

/// How a call touches a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Mode {
    /// Looks at it: calls that read the same may run at the same time.
    Read,
    /// Changes it.
    Write,
    /// Needs it alone: as a write, and also against other plans on the same executor.
    Exclusive,
}

/// One resource and how a call touches it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Access {
    /// The resource.
    pub resource: Resource,
    /// How.
    pub mode: Mode,
}
