//! The process of the node before, as one that takes over sees it: whether it is gone. A line that closed does not say so:
//! whoever let go of it may go on serving, and two nodes at one data folder are worse than none that is new.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::os::fd::OwnedFd;

/// A process that ends closes its sockets a moment before it has ended.
const END: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// One process, whatever becomes of its number.
pub(super) struct Before(Option<OwnedFd>);

impl Before {
    /// The process of this number. One that cannot be looked at (in another container) is never known to be gone.
    pub(super) fn of(pid: u32) -> Self {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        Self(pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()))
    }

    /// Whether it has certainly ended, now or in a moment.
    pub(super) fn is_gone(&self) -> bool {
        self.0.as_ref().is_some_and(|process| {
            // Readable once it has ended; what cannot be asked is not known.
            matches!(poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&END)), Ok(1..))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn only_one_that_has_ended_is_gone() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let before = Before::of(child.id());
        assert!(!before.is_gone(), "it sleeps");
        child.kill().unwrap();
        // Nobody has asked how it ended yet.
        assert!(before.is_gone());
        child.wait().unwrap();
        assert!(before.is_gone());
        assert!(!Before::of(child.id()).is_gone(), "nobody has that number: nothing is known");
        assert!(!Before::of(0).is_gone() && !Before::of(u32::MAX).is_gone());
    }
}
