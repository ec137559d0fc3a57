//! Kernel modules by name: `modules.dep`, `modules.builtin` and parameters from the kernel command line
//! (`module.parameter=value`), as modprobe(8) reads them. Files are not compressed.

use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::fs::File;
use std::io;

use crate::failure::Failure;

/// `modules.dep`: a line `PATH: DEPENDENCY...` for each module, dependencies in the order to unload them.
#[derive(Debug, Default)]
pub(crate) struct Dependencies<'a> {
    by_name: HashMap<String, (&'a str, &'a str)>,
}

impl<'a> Dependencies<'a> {
    /// Reads the file's text; lines without `:` are passed over.
    pub(crate) fn parse(text: &'a str) -> Self {
        let entries = text.lines().filter_map(|line| line.split_once(':'));
        Self { by_name: entries.map(|(path, needs)| (name_of(path), (path, needs))).collect() }
    }

    /// Paths to load for a module, in order, itself last. `None` if it is not there.
    pub(crate) fn load_order(&self, name: &str) -> Option<Vec<&'a str>> {
        let (path, needs) = self.by_name.get(&name_of(name))?;
        Some(needs.split_whitespace().rev().chain([*path]).collect())
    }
}

/// A module's name from its path or from any spelling of its name: `-` and `_` are the same.
pub(crate) fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = file.split(".ko").next().unwrap_or(file);
    stem.replace('-', "_")
}

/// Parameters for a module on the kernel command line, joined by spaces.
pub(crate) fn parameters(command_line: &str, name: &str) -> CString {
    let of_module = command_line.split_whitespace().filter_map(|word| {
        let (module, parameter) = word.split_once('.')?;
        (!module.contains('=') && name_of(module) == name).then_some(parameter)
    });
    CString::new(of_module.collect::<Vec<_>>().join(" ")).unwrap_or_default()
}

/// Modules that must not be loaded for hardware: `modprobe.blacklist=a,b`.
fn blacklist(command_line: &str) -> HashSet<String> {
    let list = contract::cmdline::value(command_line, "modprobe.blacklist").unwrap_or_default();
    list.split(',').filter(|name| !name.is_empty()).map(name_of).collect()
}

/// Loads one module file; one that is loaded already is fine.
pub(crate) fn insert(path: &str, parameters: &CString) -> Result<(), Failure> {
    let file = File::open(path).map_err(Failure::of("load module", path))?;
    match rustix::system::finit_module(&file, parameters, 0) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(Failure::new("load module", path, error)),
    }
}

/// Text of the running kernel's module lists.
#[derive(Debug)]
pub(crate) struct Lists {
    folder: String,
    dependencies: String,
    builtin: String,
    /// `modules.alias`.
    pub(crate) aliases: String,
}

impl Lists {
    /// Reads the lists; a kernel without modules has none, which is no error.
    pub(crate) fn read() -> Self {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let folder = format!("/lib/modules/{release}");
        let read = |name: &str| std::fs::read_to_string(format!("{folder}/{name}")).unwrap_or_default();
        let [dependencies, builtin, aliases] = ["modules.dep", "modules.builtin", "modules.alias"].map(read);
        Self { folder, dependencies, builtin, aliases }
    }
}

/// Loads modules with what they depend on, each once.
#[derive(Debug)]
pub(crate) struct Loader<'a> {
    lists: &'a Lists,
    command_line: &'a str,
    dependencies: Dependencies<'a>,
    blacklist: HashSet<String>,
    tried: HashSet<&'a str>,
}

impl<'a> Loader<'a> {
    /// A loader that has loaded nothing yet.
    pub(crate) fn new(lists: &'a Lists, command_line: &'a str) -> Self {
        let dependencies = Dependencies::parse(&lists.dependencies);
        Self { lists, command_line, dependencies, blacklist: blacklist(command_line), tried: HashSet::new() }
    }

    /// Loads a module that someone asked for by name.
    pub(crate) fn load(&mut self, name: &str) -> Result<(), Failure> {
        let Some(order) = self.dependencies.load_order(name) else {
            let wanted = name_of(name);
            if self.lists.builtin.lines().any(|path| name_of(path) == wanted) {
                return Ok(());
            }
            return Err(Failure::new("load module", name, io::Error::from_raw_os_error(libc::ENOENT)));
        };
        for path in order {
            if self.tried.insert(path) {
                let parameters = parameters(self.command_line, &name_of(path));
                insert(&format!("{}/{path}", self.lists.folder), &parameters)?;
            }
        }
        Ok(())
    }

    /// Loads a module that an alias or the image's list names. A driver that finds nothing to drive is no error.
    pub(crate) fn load_for_device(&mut self, name: &str) -> Result<(), Failure> {
        if self.blacklist.contains(&name_of(name)) {
            return Ok(());
        }
        match self.load(name) {
            Err(failure) if failure.errno() == Some(libc::ENODEV) => Ok(()),
            result => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Dependencies, blacklist, name_of, parameters};

    #[test]
    fn loads_dependencies_from_last_to_first() {
        let text =
            "kernel/a/virtio_net.ko: kernel/a/net_failover.ko kernel/a/failover.ko\nkernel/a/failover.ko:\nbad\n";
        let dependencies = Dependencies::parse(text);
        let order = ["kernel/a/failover.ko", "kernel/a/net_failover.ko", "kernel/a/virtio_net.ko"];
        assert_eq!(dependencies.load_order("virtio-net").as_deref(), Some(order.as_slice()));
        assert_eq!(dependencies.load_order("failover").as_deref(), Some(["kernel/a/failover.ko"].as_slice()));
        assert_eq!(dependencies.load_order("bad"), None);
    }

    #[test]
    fn names_have_one_spelling() {
        assert_eq!(name_of("kernel/drivers/ata/ata-piix.ko"), "ata_piix");
        assert_eq!(name_of("e1000.ko.xz"), "e1000");
        assert_eq!(name_of(""), "");
    }

    #[test]
    fn finds_parameters() {
        let line = "quiet loop.max_loop=3 root=a.b dm-mod.x=1 loop.y dm_mod.z=2";
        assert_eq!(parameters(line, "loop").to_str(), Ok("max_loop=3 y"));
        assert_eq!(parameters(line, "dm_mod").to_str(), Ok("x=1 z=2"));
        assert_eq!(parameters(line, "e1000").to_str(), Ok(""));
        assert_eq!(blacklist("modprobe.blacklist=a-b,c").len(), 2);
        assert!(blacklist("").is_empty());
    }
}
