//! Steps of the start as tables: what, path, required or optional, and how. Every failure is printed with step, path
//! and errno name.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::mount::MountFlags;

use crate::console;
use crate::context::Context;
use crate::failure::Failure;

/// What a failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// The rescue shell opens.
    Required,
    /// It is printed.
    Optional,
    /// Nothing, if the kernel has no such thing: the path or the file system is not there.
    IfPresent,
}

/// How a step is done.
pub(crate) enum Action {
    /// Mounts a file system on the path, which is made if it can be.
    Mount(&'static str, MountFlags, &'static CStr),
    /// Makes the path a symbolic link to this.
    Link(&'static str),
    /// Makes the path a folder.
    Folder,
    /// Anything else.
    Call(fn(&Context) -> Result<(), Failure>),
}

/// One step.
pub(crate) struct Step {
    /// Verb and object.
    pub(crate) what: &'static str,
    /// What it is done to.
    pub(crate) path: &'static str,
    /// What a failure means.
    pub(crate) need: Need,
    /// How it is done.
    pub(crate) action: Action,
}

impl Step {
    /// A step that calls a function.
    pub(crate) const fn call(
        what: &'static str,
        path: &'static str,
        need: Need,
        call: fn(&Context) -> Result<(), Failure>,
    ) -> Self {
        Self { what, path, need, action: Action::Call(call) }
    }

    fn run(&self, context: &Context) -> Result<(), Failure> {
        let result = match &self.action {
            Action::Call(call) => return call(context),
            Action::Mount(kind, flags, data) => mount(self.path, kind, *flags, data, self.need),
            Action::Folder => fs::create_dir_all(self.path),
            Action::Link(target) => std::os::unix::fs::symlink(target, self.path),
        };
        match result {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result.map_err(Failure::of(self.what, self.path)),
        }
    }
}

fn mount(path: &str, kind: &str, flags: MountFlags, data: &CStr, need: Need) -> io::Result<()> {
    if need != Need::IfPresent {
        fs::create_dir_all(path)?;
    }
    if is_mounted(path) {
        return Ok(());
    }
    match rustix::mount::mount(kind, path, kind, flags, data) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NODEV) if need == Need::IfPresent => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether something is mounted there already, by the stage before: the folder is on another device than its parent.
pub(crate) fn is_mounted(path: &str) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
    let path = Path::new(path);
    path.parent().is_some_and(|parent| device(path) != device(parent) && device(path).is_some())
}

/// Does the steps in order. `on_failure` is told of each required one that failed; if it returns, the next follows.
pub(crate) fn run(steps: &[Step], context: &Context, mut on_failure: impl FnMut(&str)) {
    for step in steps {
        match step.run(context) {
            Ok(()) => console::step(format_args!("{} {}", step.what, step.path)),
            Err(failure) if step.need == Need::Required => on_failure(&failure.to_string()),
            Err(failure) => console::say(&failure.to_string()),
        }
    }
}
