//! Taking the exit status of ended children, orphans of other processes among them.

use contract::service::Exit;
use rustix::process::WaitOptions;

/// Children whose end is taken before the rest of the machine is looked after again: orphans may come faster than they are
/// taken. A second's worth of what one processor makes.
pub(crate) const AT_A_TIME: usize = 1000;

/// What [`next`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reaped {
    /// This process has ended.
    Ended(i32, Exit),
    /// Children are there, none has ended.
    None,
    /// There is no child at all.
    NoChildren,
}

/// One child that has ended.
pub(crate) fn next() -> Reaped {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => {
                let code = status.exit_status().map(Exit::Code);
                if let Some(exit) = code.or_else(|| status.terminating_signal().map(Exit::Signal)) {
                    return Reaped::Ended(pid.as_raw_pid(), exit);
                }
            }
            Ok(None) => return Reaped::None,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return Reaped::NoChildren,
        }
    }
}
