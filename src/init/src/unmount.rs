//! Unmounting at the end: everything on block devices and what is mounted on top of that, deepest first.
//!
//! A block device's file system is made read-only before it is unmounted: a mount namespace of a container that is not
//! quite gone keeps it alive after our unmount, and it would stay marked as in use.

use std::fs;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::mount::{MountFlags, UnmountFlags};

use crate::console;
use crate::failure::Failure;
use crate::sys;

/// One line of `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    path: String,
    /// Major number 0 is given to file systems without a device.
    is_block: bool,
    kind: String,
}

fn parse(line: &str) -> Option<Mount> {
    let mut words = line.split(' ');
    let device = words.nth(2)?;
    let path = unescape(words.nth(1)?);
    let kind = words.skip_while(|word| *word != "-").nth(1)?.to_owned();
    Some(Mount { path, is_block: !device.starts_with("0:"), kind })
}

/// Space, tab, line break and backslash stand as three octal digits.
fn unescape(text: &str) -> String {
    let codes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    codes.iter().fold(text.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

/// What to unmount, in order: the last mounted first. Leaves `/` and what holds nothing that lasts.
fn plan(mountinfo: &str) -> Vec<Mount> {
    let mounts: Vec<Mount> = mountinfo.lines().filter_map(parse).filter(|mount| mount.path != "/").collect();
    let bases: Vec<String> = mounts.iter().filter(|mount| mount.is_block).map(|mount| mount.path.clone()).collect();
    let is_below = |path: &str| {
        bases.iter().any(|base| path.strip_prefix(base.as_str()).is_some_and(|rest| rest.starts_with('/')))
    };
    let mut plan: Vec<Mount> =
        mounts.into_iter().filter(|mount| mount.is_block || mount.kind == "overlay" || is_below(&mount.path)).collect();
    plan.reverse();
    plan
}

/// Swap areas that are files, which keep their file system busy, or on disks: first column of `/proc/swaps` (proc_swaps(5)).
/// What is compressed in RAM need not be taken back.
fn swaps(proc_swaps: &str) -> Vec<String> {
    let areas = proc_swaps.lines().skip(1).filter_map(|line| line.split_whitespace().next());
    areas.filter(|area| area.starts_with('/') && !area.starts_with("/dev/zram")).map(unescape).collect()
}

/// Numbers of the mounts that a container was started with: first column of `/proc/self/mountinfo`.
static GIVEN: OnceLock<Vec<String>> = OnceLock::new();

fn number(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

/// Keeps in mind what is mounted now: [`own`] leaves it alone.
pub(crate) fn remember() {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let _ = GIVEN.set(mountinfo.lines().map(|line| number(line).to_owned()).collect());
}

/// The lines of what has been mounted since.
fn since(mountinfo: &str, given: &[String]) -> String {
    let lines = mountinfo.lines().filter(|line| !given.iter().any(|number_given| number_given == number(line)));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Unmounts what was mounted in a container. Nothing is made read-only: file systems may be the host's, too.
pub(crate) fn own() {
    let given = GIVEN.get().map(Vec::as_slice).unwrap_or_default();
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for mount in plan(&since(&mountinfo, given)) {
        if let Ok(folder) = fs::File::open(&mount.path) {
            let _ = rustix::fs::syncfs(folder);
        }
        if let Err(error) = rustix::mount::unmount(mount.path.as_str(), UnmountFlags::empty()) {
            console::step(format_args!("{}", Failure::new("unmount", &mount.path, error)));
        }
    }
}

/// Whether something is mounted below a folder, apart from what has these names there.
pub(crate) fn has_below(mountinfo: &str, folder: &str, except: &[&str]) -> bool {
    let mounts = mountinfo.lines().filter_map(parse);
    mounts.into_iter().any(|mount| {
        let rest = mount.path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
        rest.is_some_and(|rest| !except.contains(&rest))
    })
}

/// Unmounts; what stays busy is left read-only. Nothing else runs any more.
pub(crate) fn all() {
    const ROUNDS: usize = 10;
    for area in swaps(&fs::read_to_string("/proc/swaps").unwrap_or_default()) {
        if let Err(error) = sys::swap_off(&area) {
            console::say(&Failure::new("take back swap from", area, error).to_string());
        }
    }
    for round in 1..=ROUNDS {
        let plan = plan(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default());
        let is_last = round == ROUNDS;
        let mut is_clean = true;
        for mount in &plan {
            is_clean &= take_down(mount, is_last);
        }
        if is_clean {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn take_down(mount: &Mount, report: bool) -> bool {
    let path = mount.path.as_str();
    let is_read_only = !mount.is_block || rustix::mount::mount_remount(path, MountFlags::RDONLY, c"").is_ok();
    match rustix::mount::unmount(path, UnmountFlags::empty()) {
        // Unmounted by name already: mounted twice, or its parent's propagation took it along.
        Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {
            console::say(&format!("unmounted {path}"));
            true
        }
        Err(error) => {
            if report {
                let fate = if is_read_only { "left read-only" } else { "left as it is" };
                console::say(&format!("{}, {fate}", Failure::new("unmount", path, error)));
            }
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Mount, parse, plan};

    const MOUNTS: &str = "\
21 1 0:20 / / rw,relatime shared:1 - overlay overlay rw,lowerdir=/stage/lower
22 21 0:21 / /proc rw - proc proc rw
30 21 254:1 / /mnt/data rw,relatime shared:5 - ext4 /dev/vda1 rw
31 21 254:1 /var/lib/containers /var/lib/containers rw shared:6 - ext4 /dev/vda1 rw
32 31 0:40 / /var/lib/containers/storage/overlay/x/merged rw - overlay overlay rw
33 31 0:41 / /var/lib/containers/shm rw - tmpfs shm rw
34 21 0:42 / /run rw - tmpfs tmpfs rw
35 21 11:0 / /mnt/a\\040b ro - iso9660 /dev/sr0 ro
36 21 0:43 / /mnt/database rw - tmpfs tmpfs rw
bad line";

    #[test]
    fn swap_on_disks_is_taken_back() {
        let text = "Filename Type Size Used Priority\n/dev/zram0 partition 1 0 100\n/dev/vda2 partition 1 0 10\n\
                    /mnt/da\\040ta/swapfile file 1 0 10\n";
        assert_eq!(super::swaps(text), ["/dev/vda2", "/mnt/da ta/swapfile"]);
        assert_eq!(super::swaps(""), Vec::<String>::new());
    }

    #[test]
    fn a_container_unmounts_its_own_alone() {
        let given: Vec<String> = ["21", "22", "31"].map(String::from).to_vec();
        let paths: Vec<String> = plan(&super::since(MOUNTS, &given)).into_iter().map(|mount| mount.path).collect();
        assert_eq!(paths, ["/mnt/a b", "/var/lib/containers/storage/overlay/x/merged", "/mnt/data"]);
        let all: Vec<String> = MOUNTS.lines().map(|line| super::number(line).to_owned()).collect();
        assert!(plan(&super::since(MOUNTS, &all)).is_empty());
    }

    #[test]
    fn sees_mounts_below() {
        assert!(super::has_below(MOUNTS, "/mnt", &["data"]));
        assert!(!super::has_below(MOUNTS, "/mnt", &["data", "a b", "database"]));
        assert!(!super::has_below(MOUNTS, "/run", &[]) && !super::has_below(MOUNTS, "/var/lib/c", &[]));
    }

    #[test]
    fn reads_lines() {
        let mount = parse("35 21 11:0 / /mnt/a\\040b ro shared:1 master:2 - iso9660 /dev/sr0 ro");
        assert_eq!(mount, Some(Mount { path: "/mnt/a b".into(), is_block: true, kind: "iso9660".into() }));
        assert_eq!(parse("35 21 11:0 /"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn unmounts_the_deepest_first_and_leaves_the_rest() {
        let paths: Vec<String> = plan(MOUNTS).into_iter().map(|mount| mount.path).collect();
        let expected = [
            "/mnt/a b",
            "/var/lib/containers/shm",
            "/var/lib/containers/storage/overlay/x/merged",
            "/var/lib/containers",
            "/mnt/data",
        ];
        assert_eq!(paths, expected);
    }
}
