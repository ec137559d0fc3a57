//! The boot menu: one for all boot loaders.

use crate::config::Checked;

/// What a boot loader offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Menu {
    /// Name and version of the distribution.
    pub(super) title: String,
    /// How long it waits; 0: not at all.
    pub(super) timeout_secs: u32,
    /// The first is the default.
    pub(super) entries: Vec<Entry>,
}

/// One line of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// What the user types.
    pub(super) label: &'static str,
    /// What is shown.
    pub(super) title: &'static str,
    /// The kernel command line.
    pub(super) command_line: String,
}

/// Where the kernel is on a medium, as the menus name it.
pub(super) const KERNEL: &str = "/boot/vmlinuz";
/// Where the initramfs is.
pub(super) const INITRAMFS: &str = "/boot/initrd.img";

/// What every boot needs: the kernel keeps the initramfs, in which the root is ([`contract::paths::ROOT_IMAGE`]).
const REQUIRED_COMMAND_LINE: &str = "retain_initrd";

/// Label, title and what is added to the kernel command line. The last `console=` is where `/dev/console` leads.
const ENTRIES: [(&str, &str, &str); 5] = [
    ("default", "Start", ""),
    ("serial", "Start on the first serial port", "console=ttyS0,115200"),
    ("verbose", "Start with all messages", "loglevel=7 distro.verbose"),
    ("nodata", "Start without touching any data disk", "distro.data=none"),
    ("rescue", "Rescue shell", "distro.rescue"),
];

impl Menu {
    /// The menu of a project.
    pub(super) fn of(checked: &Checked) -> Self {
        let identity = &checked.distro.distro;
        let entry = |(label, title, extra): (&'static str, &'static str, &str)| Entry {
            label,
            title,
            command_line: entry_command_line(checked, extra),
        };
        Self {
            title: format!("{} {}", identity.name, identity.version),
            timeout_secs: checked.distro.boot.timeout,
            entries: ENTRIES.into_iter().map(entry).collect(),
        }
    }
}

/// The kernel command line of the first entry.
pub(super) fn command_line(checked: &Checked) -> String {
    entry_command_line(checked, ENTRIES[0].2)
}

fn entry_command_line(checked: &Checked, extra: &str) -> String {
    [REQUIRED_COMMAND_LINE, &checked.distro.boot.command_line, extra].join(" ").trim().to_string()
}

#[cfg(test)]
pub(super) mod tests {
    use contract::cmdline;

    use super::{ENTRIES, Entry, Menu};
    use crate::root::testing::checked;

    /// A menu of two entries.
    pub(crate) fn menu() -> Menu {
        let entry = |label, title, command_line: &str| Entry { label, title, command_line: command_line.into() };
        Menu {
            title: "toy 1.2".into(),
            timeout_secs: 5,
            entries: vec![
                entry("default", "Start", "retain_initrd console=ttyS0,115200 quiet"),
                entry("rescue", "Rescue shell", "retain_initrd distro.rescue"),
            ],
        }
    }

    #[test]
    fn entries_add_to_the_command_line() {
        let mut checked = checked(&[("toy", "")]);
        checked.distro.boot.timeout = 5;
        checked.distro.boot.command_line = "console=tty1 quiet".into();
        let menu = Menu::of(&checked);
        assert_eq!((menu.title.as_str(), menu.timeout_secs, menu.entries.len()), ("toy 1.2", 5, ENTRIES.len()));
        assert_eq!(super::command_line(&checked), "retain_initrd console=tty1 quiet");
        assert_eq!(menu.entries[4].command_line, "retain_initrd console=tty1 quiet distro.rescue");
    }

    #[test]
    fn entries_use_keys_that_the_guest_knows() {
        let value = |label: &str, key: &str| {
            let (_, _, extra) = ENTRIES.iter().find(|(name, ..)| *name == label).unwrap();
            cmdline::value(extra, key)
        };
        assert_eq!(value("verbose", cmdline::VERBOSE), Some(""));
        assert_eq!(value("nodata", cmdline::DATA), Some("none"));
        assert_eq!(value("rescue", cmdline::RESCUE), Some(""));
    }
}
