//! The signals that are sent to children, and the names of those that end them.

/// A signal that asks a process for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Signal {
    /// `SIGHUP`.
    Hangup,
    /// `SIGINT`, as Ctrl-C sends it: Python runs its clean-up at this one, and not at `SIGTERM`.
    Interrupt,
    /// `SIGQUIT`: Go and the JVM print their stacks.
    Quit,
    /// `SIGABRT`.
    Abort,
    /// `SIGUSR1`.
    User1,
    /// `SIGUSR2`.
    User2,
    /// `SIGTERM`.
    Terminate,
    /// `SIGKILL`, which no process can refuse.
    Kill,
}

impl Signal {
    pub(crate) const fn raw(self) -> rustix::process::Signal {
        use rustix::process::Signal as Raw;
        match self {
            Self::Hangup => Raw::HUP,
            Self::Interrupt => Raw::INT,
            Self::Quit => Raw::QUIT,
            Self::Abort => Raw::ABORT,
            Self::User1 => Raw::USR1,
            Self::User2 => Raw::USR2,
            Self::Terminate => Raw::TERM,
            Self::Kill => Raw::KILL,
        }
    }
}

/// Returns the name of a signal by its number on this system.
pub(crate) fn name(number: i32) -> Option<&'static str> {
    use rustix::process::Signal as Raw;
    const NAMES: [(Raw, &str); 17] = [
        (Raw::HUP, "SIGHUP"),
        (Raw::INT, "SIGINT"),
        (Raw::QUIT, "SIGQUIT"),
        (Raw::ILL, "SIGILL"),
        (Raw::TRAP, "SIGTRAP"),
        (Raw::ABORT, "SIGABRT"),
        (Raw::BUS, "SIGBUS"),
        (Raw::FPE, "SIGFPE"),
        (Raw::KILL, "SIGKILL"),
        (Raw::USR1, "SIGUSR1"),
        (Raw::SEGV, "SIGSEGV"),
        (Raw::USR2, "SIGUSR2"),
        (Raw::PIPE, "SIGPIPE"),
        (Raw::ALARM, "SIGALRM"),
        (Raw::TERM, "SIGTERM"),
        (Raw::XCPU, "SIGXCPU"),
        (Raw::XFSZ, "SIGXFSZ"),
    ];
    NAMES
        .iter()
        .find(|(signal, _)| signal.as_raw() == number)
        .map(|(_, name)| *name)
}
