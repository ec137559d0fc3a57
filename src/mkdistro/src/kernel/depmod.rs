//! The text files that depmod writes below `/lib/modules/RELEASE`, for our own PID 1 and busybox's modprobe; formats as in
//! modules.dep(5) and kmod's depmod. The binary `.bin` indexes are left out: neither reads them.

use std::fmt::Write;

use super::selection::{Module, load_order};

/// `modules.dep`: `PATH: PATH…` with all dependencies of a module. They are to be loaded from right to left.
pub(super) fn dependencies(modules: &[Module]) -> String {
    let mut out = String::new();
    for module in modules {
        push(&mut out, format_args!("{}:", module.path));
        let order = load_order(modules, &[&module.name]);
        for dependency in order.iter().rev().skip(1) {
            push(&mut out, format_args!(" {}", dependency.path));
        }
        out.push('\n');
    }
    out
}

/// `modules.alias`: `alias PATTERN NAME`.
pub(super) fn aliases(modules: &[Module]) -> String {
    let mut out = String::from("# Aliases extracted from modules themselves.\n");
    for module in modules {
        for alias in &module.info.aliases {
            push(&mut out, format_args!("alias {alias} {}\n", module.name));
        }
    }
    out
}

/// `modules.softdep`: `softdep NAME pre: NAME… post: NAME…`. Names may be aliases, and modules that are not there.
pub(super) fn soft_dependencies(modules: &[Module]) -> String {
    let mut out = String::from("# Soft dependencies extracted from modules themselves.\n");
    for Module { name, info, .. } in modules {
        if info.soft_before.is_empty() && info.soft_after.is_empty() {
            continue;
        }
        push(&mut out, format_args!("softdep {name}"));
        for (key, names) in [("pre:", &info.soft_before), ("post:", &info.soft_after)] {
            if !names.is_empty() {
                push(&mut out, format_args!(" {key} {}", names.join(" ")));
            }
        }
        out.push('\n');
    }
    out
}

/// `modules.devname`: `NAME PATH cMAJOR:MINOR`, device nodes below `/dev` whose opening loads the module.
pub(super) fn device_names(modules: &[Module]) -> String {
    let mut out = String::from("# Device nodes to trigger on-demand module loading.\n");
    for Module { name, info, .. } in modules {
        let Some(path) = info.aliases.iter().find_map(|alias| alias.strip_prefix("devname:")) else { continue };
        let number = info.aliases.iter().find_map(|alias| {
            let (kind, numbers) = match alias.strip_prefix("char-major-") {
                Some(numbers) => ('c', numbers),
                None => ('b', alias.strip_prefix("block-major-")?),
            };
            let (major, minor) = numbers.split_once('-')?;
            Some((kind, major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
        });
        if let Some((kind, major, minor)) = number {
            push(&mut out, format_args!("{name} {path} {kind}{major}:{minor}\n"));
        }
    }
    out
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes everything");
}
