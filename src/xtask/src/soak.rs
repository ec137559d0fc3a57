//! `cargo xtask soak`: campaigns that run for hours and look for what a single test cannot show.

use crate::run::Result;

/// Name, purpose.
const CAMPAIGNS: [(&str, &str); 1] =
    [("power-cut", "kill the machine at random moments while containers write; data disk and images must survive")];

/// Lists the campaigns; none can be run yet.
pub(crate) fn soak() -> Result<bool> {
    for (name, purpose) in CAMPAIGNS {
        println!("{name}: {purpose} (not written yet)");
    }
    Ok(true)
}
