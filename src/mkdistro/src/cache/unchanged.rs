//! Whether a build would only make again what is there: records of builds, `builds/HASH.json` in the cache folder.
//!
//! A record lists all that a build read (settings, files of the project, this program) and wrote, each file with its
//! sha256 and its *stamp*: device, inode, size, times. A file whose stamp is the same has the same content, unless it
//! was changed again within one tick of the clock that the file system keeps time by: stamps younger than
//! [`RACY`] when they were taken prove nothing, as in git ("racy git", `Documentation/technical/racy-git.txt`), and the
//! content is hashed. Outputs too are hashed until their stamp can be trusted.
//!
//! Times that go backwards (a clock set anew, `touch -d`) do no harm: stamps are compared for equality, and the time of a
//! file's last change of state cannot be set.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{hash_all, hex, key, temporary};
use crate::config::Checked;

/// FAT keeps times to two seconds, the coarsest of file systems in use.
const RACY: Duration = Duration::from_secs(2);
/// Version of the records' format.
const SCHEMA: u32 = 1;
/// Folders of a project whose files all count; those of the overlay come from the configuration check.
const FOLDERS: [&str; 2] = ["packages", "kernel-config"];

/// Everything that a build follows from, as it was before the build.
#[derive(Debug, Clone)]
pub struct Inputs {
    cache: PathBuf,
    record: PathBuf,
    checked: Checked,
    now: Record,
    before: Option<Record>,
}

/// A file that a build wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Where it is.
    pub path: PathBuf,
    /// Its sha256, hex.
    pub sha256: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    schema: u32,
    /// When its stamps were taken: seconds and nanoseconds since 1970.
    taken: (u64, u32),
    settings: Vec<String>,
    inputs: Vec<Entry>,
    outputs: Vec<Entry>,
}

/// A file, folder or link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    path: PathBuf,
    /// None if it has not been looked at since it was written.
    stamp: Option<Stamp>,
    /// `file SHA256`, `program SHA256` (its owner may execute it), `link TARGET`, `folder`.
    content: String,
}

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    mode: u32,
    /// Of the content and of the state, each seconds and nanoseconds since 1970.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            mode: found.mode(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }

    /// Whether it was old enough at `taken` that a later change must have changed it.
    fn is_safe(&self, taken: (u64, u32)) -> bool {
        let limit = i64::try_from(taken.0).unwrap_or(0).saturating_sub(RACY.as_secs().cast_signed());
        self.modified.0 < limit && self.changed.0 < limit
    }
}

impl Record {
    /// The content of an entry of this record that is still as it was then.
    fn content(&self, entry: Option<&Entry>, stamp: &Stamp) -> Option<String> {
        let entry = entry?;
        (entry.stamp == Some(*stamp) && stamp.is_safe(self.taken)).then(|| entry.content.clone())
    }
}

impl Inputs {
    /// Looks at the inputs of a build of `checked` whose (first) output is `output`. `settings` are what it follows from
    /// besides files: options, the time of the image, versions of programs it will run.
    ///
    /// None if something cannot be read: then there is no telling, and the build will say what is wrong.
    pub fn take(cache: &Path, checked: &Checked, output: &Path, settings: Vec<String>) -> Option<Self> {
        let place = |path: &Path| std::path::absolute(path).ok();
        let (project, target) = (place(&checked.dir)?, place(output)?);
        let name = key(&[project.as_os_str().as_encoded_bytes(), target.as_os_str().as_encoded_bytes()]);
        let record = cache.join("builds").join(format!("{}.json", hex(&name)));
        let before = fs::read(&record).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let before = before.filter(|record: &Record| record.schema == SCHEMA);
        let now = look(checked, settings, before.as_ref()).ok()?;
        Some(Self { cache: cache.to_owned(), record, checked: checked.clone(), now, before })
    }

    /// What the last build of this output wrote, if it had the same inputs and all of it is still there as it was.
    pub fn unchanged(&self) -> Option<Vec<Output>> {
        let before = self.before.as_ref()?;
        if !self.equals(before) || before.outputs.is_empty() {
            return None;
        }
        let mut now = self.now.clone();
        for old in &before.outputs {
            let entry = entry(&old.path, &old.path, Some((before, old))).ok()?;
            if entry.content != old.content {
                return None;
            }
            now.outputs.push(entry);
        }
        let hash = |entry: &Entry| Some((entry.path.clone(), entry.content.split_once(' ')?.1.to_owned()));
        let outputs = now.outputs.iter().map(hash).map(|found| found.map(|(path, sha256)| Output { path, sha256 }));
        let outputs = outputs.collect::<Option<_>>()?;
        let settled = |record: &Record| {
            let entries = record.inputs.iter().chain(&record.outputs);
            entries.filter(|entry| entry.stamp.is_some_and(|stamp| stamp.is_safe(record.taken))).count()
        };
        // Next time there is less to hash.
        if settled(&now) > settled(before) {
            self.write(&now);
        }
        Some(outputs)
    }

    /// Notes what the build has written. Nothing is noted if an input changed meanwhile: the build may have read either.
    pub fn record(&self, outputs: &[Output]) {
        let after = look(&self.checked, self.now.settings.clone(), Some(&self.now));
        if !after.is_ok_and(|after| self.equals(&after)) {
            return;
        }
        let mut record = self.now.clone();
        for output in outputs {
            let Ok(path) = std::path::absolute(&output.path) else { return };
            // Without a stamp: somebody may have written to it since it got its name.
            record.outputs.push(Entry { path, stamp: None, content: format!("file {}", output.sha256) });
        }
        self.write(&record);
    }

    /// The same settings and contents; stamps may differ.
    fn equals(&self, other: &Record) -> bool {
        let equal = |(a, b): (&Entry, &Entry)| a.path == b.path && a.content == b.content;
        self.now.settings == other.settings
            && self.now.inputs.len() == other.inputs.len()
            && self.now.inputs.iter().zip(&other.inputs).all(equal)
    }

    fn write(&self, record: &Record) {
        let write = || -> io::Result<()> {
            let temporary = temporary(&self.cache)?;
            serde_json::to_writer(temporary.as_file(), record)?;
            fs::create_dir_all(self.record.parent().unwrap_or(&self.cache))?;
            temporary.persist(&self.record)?;
            Ok(())
        };
        // Without a record the next build builds.
        let _ = write();
    }
}

/// Looks at all inputs; what `before` knows of a file that is as it was need not be hashed.
fn look(checked: &Checked, settings: Vec<String>, before: Option<&Record>) -> io::Result<Record> {
    let taken = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(io::Error::other)?;
    let mut record = Record {
        schema: SCHEMA,
        taken: (taken.as_secs(), taken.subsec_nanos()),
        settings,
        inputs: Vec::new(),
        outputs: Vec::new(),
    };
    let mut paths = vec![(PathBuf::from("/proc/self/exe"), PathBuf::from("mkdistro"))];
    paths.push((checked.dir.join("distro.toml"), "distro.toml".into()));
    // It is in the image too, wherever it lies.
    let keyring = checked.dir.join(&checked.distro.sources.keyring);
    if keyring.is_file() {
        paths.push((keyring, "sources.keyring".into()));
    }
    for folder in FOLDERS {
        let listed = match fs::read_dir(checked.dir.join(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            listed => listed?,
        };
        for found in listed {
            let found = found?;
            // Folders are not read by a build.
            if fs::metadata(found.path()).is_ok_and(|metadata| metadata.is_file()) {
                paths.push((found.path(), Path::new(folder).join(found.file_name())));
            }
        }
    }
    let overlay = Path::new("overlay");
    paths.extend(checked.overlay.iter().map(|entry| (entry.source.clone(), overlay.join(&entry.target))));
    paths.sort_by(|a, b| a.1.cmp(&b.1));
    for (path, name) in paths {
        let known = before.and_then(|record| {
            let at = record.inputs.binary_search_by(|entry| entry.path.cmp(&name)).ok()?;
            Some((record, record.inputs.get(at)?))
        });
        record.inputs.push(entry(&path, &name, known)?);
    }
    Ok(record)
}

/// Looks at a file. Links are followed outside of the overlay, where a link is an entry of its own.
fn entry(path: &Path, name: &Path, known: Option<(&Record, &Entry)>) -> io::Result<Entry> {
    let in_overlay = name.starts_with("overlay");
    let found = if in_overlay { fs::symlink_metadata(path)? } else { fs::metadata(path)? };
    if found.is_symlink() {
        let target = hex(fs::read_link(path)?.as_os_str().as_encoded_bytes());
        return Ok(Entry { path: name.into(), stamp: None, content: format!("link {target}") });
    }
    if found.is_dir() {
        return Ok(Entry { path: name.into(), stamp: None, content: "folder".into() });
    }
    if !found.is_file() {
        return Err(io::Error::other("a special file"));
    }
    // The stamp comes first: a change after it makes it differ from the next one.
    let stamp = Stamp::of(&found);
    let content = match known.and_then(|(record, entry)| record.content(Some(entry), &stamp)) {
        Some(content) => content,
        None => {
            let mut hash = Sha256::new();
            hash_all(&File::open(path)?, &mut hash)?;
            // Only in the overlay does it matter whether a file may be executed.
            let executable = in_overlay && found.permissions().mode() & 0o100 != 0;
            format!("{} {}", if executable { "program" } else { "file" }, hex(&hash.finalize()))
        }
    };
    Ok(Entry { path: name.into(), stamp: Some(stamp), content })
}
