//! Commands and scripts of the user's: early, before network and engine, and late, when the engine is up. A command that
//! fails is a problem and stops nothing; one that hangs holds up what comes after it, so the early ones have a time limit.

use std::process::{Command, Stdio};

use contract::paths;
use document::{Document, Problem};

use super::Root;
use super::changes::Changes;
use super::sources::{Collected, Once};
use crate::console;

/// boot2docker's hook before the engine.
const BOOT_SYNC: &str = "/var/lib/boot2podman/bootsync.sh";
/// Its hook after the engine, not waited for there.
const BOOT_LOCAL: &str = "/var/lib/boot2podman/bootlocal.sh";
/// Its variables for the engine and for shells.
const PROFILE: &str = "/var/lib/boot2podman/profile";
/// What runs once an instance: commands a file each, and the script.
const ONCE: &str = "/run/distro/once";
/// The instance whose commands have run, on the data disk if there is one.
const INSTANCE: &str = "/var/lib/boot2podman/instance-id";
/// For all early commands together, each.
const EARLY_SECONDS: &str = "120";
/// Variables that a shell has of itself.
const SHELL_VARIABLES: [&str; 8] = ["PWD", "OLDPWD", "SHLVL", "_", "PATH", "HOME", "PS1", "IFS"];

/// Leaves for [`late`] what runs once for this instance, unless it has.
pub(super) fn prepare(changes: &mut Changes, collected: &Collected) {
    let Once { instance, commands, script } = &collected.once;
    let done = changes.root.text(INSTANCE).trim() == instance && !instance.is_empty();
    let nothing = commands.is_empty() && script.is_none();
    if done || nothing {
        return;
    }
    changes.folder(ONCE, 0o700, "root");
    if !instance.is_empty() {
        changes.write(&format!("{ONCE}/instance-id"), format!("{instance}\n").as_bytes(), 0o600, "root");
    }
    if !commands.is_empty() {
        let text: String = commands.iter().map(|command| format!("{command}\n")).collect();
        changes.write(&format!("{ONCE}/commands"), text.as_bytes(), 0o700, "root");
    }
    if let Some(script) = script {
        changes.write(&format!("{ONCE}/script"), script, 0o700, "root");
    }
}

/// The early ones: boot-commands, then the data disk's bootsync.sh; and the variables of its profile for services.
pub(super) fn boot(root: &Root, collected: &Collected) -> Vec<Problem> {
    let mut problems = Vec::new();
    let limit = ["/usr/bin/busybox", "timeout", EARLY_SECONDS];
    for (index, command) in Document::of(&collected.table).boot_commands.iter().enumerate() {
        run(&[&limit[..], &["/bin/sh", "-c", command]].concat(), &format!("boot-commands[{index}]"), &mut problems);
    }
    if root.path(PROFILE).is_file() {
        profile(root, &mut problems);
    }
    if root.path(BOOT_SYNC).is_file() {
        run(&[&limit[..], &["/bin/sh", BOOT_SYNC]].concat(), BOOT_SYNC, &mut problems);
    }
    problems
}

/// The late ones: what runs once, then run-commands, then bootlocal.sh.
pub(super) fn late(root: &Root) -> Vec<Problem> {
    let mut problems = Vec::new();
    let once = |name: &str| format!("{ONCE}/{name}");
    // Line by line the user's shell, so one script: cloud-init's commands share variables and folder too.
    if root.path(once("commands")).is_file() {
        run(&["/bin/sh", &once("commands")], "runcmd", &mut problems);
    }
    if root.path(once("script")).is_file() {
        run(&[&once("script")], "user-data", &mut problems);
    }
    if let Some(instance) = root.read(once("instance-id"))
        && let Err(error) = crate::file::replace(&root.path(INSTANCE), &instance, 0o644, None)
    {
        problems.push(Problem::at("", 0, format!("{error:#}")));
    }
    let _ = std::fs::remove_dir_all(root.path(ONCE));
    for (index, command) in Document::read(&root.text(paths::CONFIG)).run_commands.iter().enumerate() {
        run(&["/bin/sh", "-c", command], &format!("run-commands[{index}]"), &mut problems);
    }
    if root.path(BOOT_LOCAL).is_file() {
        run(&["/bin/sh", BOOT_LOCAL], BOOT_LOCAL, &mut problems);
    }
    problems
}

fn run(command: &[&str], what: &str, problems: &mut Vec<Problem>) {
    let Some((program, arguments)) = command.split_first() else { return };
    console::log(&format!("running {what}"));
    let reason = match Command::new(program).args(arguments).env("HOME", "/root").stdin(Stdio::null()).status() {
        Ok(status) if status.success() => return,
        Ok(status) => format!("{what}: {status}"),
        Err(error) => format!("{what}: {error}"),
    };
    problems.push(Problem::at("", 0, reason).hint("its output: distroctl logs"));
}

/// A shell reads the profile and says what variables it then has. Those that are new go to all services behind those of the
/// document; they must be exported or not, as boot2docker's were not.
fn profile(root: &Root, problems: &mut Vec<Problem>) {
    let script = format!("set -a; . {PROFILE} >&2; /usr/bin/busybox env");
    let result = Command::new("/usr/bin/busybox")
        .args(["timeout", "10", "/bin/sh", "-c", &script])
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .stdin(Stdio::null())
        .output();
    match result {
        Ok(output) if output.status.success() => {
            let mut text = root.text(paths::ENVIRONMENT);
            text.push_str(&own_variables(&String::from_utf8_lossy(&output.stdout)));
            if let Err(error) = crate::file::replace(&root.path(paths::ENVIRONMENT), text.as_bytes(), 0o644, None) {
                problems.push(Problem::at("", 0, format!("{error:#}")));
            }
        }
        Ok(output) => {
            let told = String::from_utf8_lossy(&output.stderr);
            problems.push(Problem::at("", 0, format!("{PROFILE}: {}: {}", output.status, told.trim())));
        }
        Err(error) => problems.push(Problem::at("", 0, format!("{PROFILE}: {error}"))),
    }
}

/// `NAME=VALUE` lines but the shell's own; a value of several lines loses all but the first.
fn own_variables(env: &str) -> String {
    let own = |line: &&str| {
        line.split_once('=').is_some_and(|(name, _)| {
            let valid = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            valid && !SHELL_VARIABLES.contains(&name)
        })
    };
    env.lines().filter(own).map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn takes_the_users_variables() {
        let env = "PWD=/\nHTTP_PROXY=http://p:1\nSHLVL=1\nA_1=x=y\nsecond line\n1=2\n";
        assert_eq!(super::own_variables(env), "HTTP_PROXY=http://p:1\nA_1=x=y\n");
    }
}
