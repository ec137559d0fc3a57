//! Files of a folder or of a tar archive, by their path below it: what OCI layouts and `docker save` consist of.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use formats::tree::clean;

/// Links that lead to links.
const MAX_LINKS: usize = 8;

/// Files by path.
pub(super) enum Files {
    /// Of a folder.
    Folder(PathBuf),
    /// Of an archive: where each is.
    Tar(PathBuf, HashMap<String, Member>),
}

/// A file of an archive.
pub(super) enum Member {
    /// Offset and size in bytes.
    File(u64, u64),
    /// Another path.
    Link(String),
}

impl Files {
    /// Those of a folder, or of an archive that is not compressed.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let found = std::fs::metadata(path).with_context(|| format!("reading {}", path.display()))?;
        if found.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        let members = members(path).with_context(|| format!("reading the archive {}", path.display()))?;
        Ok(Self::Tar(path.to_owned(), members))
    }

    /// A file and its size; none if there is none of that path.
    pub(super) fn read(&self, name: &str) -> Result<Option<(Box<dyn Read + Send>, u64)>> {
        match self {
            Self::Folder(folder) => {
                // What an index names must not lead out of the folder.
                ensure!(
                    name.split('/').all(|part| !matches!(part, "" | "." | "..")),
                    "the path {name:?} is not allowed"
                );
                let path = folder.join(name);
                match File::open(&path) {
                    Ok(file) => {
                        let found = file.metadata().with_context(|| format!("reading {}", path.display()))?;
                        ensure!(found.is_file(), "{} is no file", path.display());
                        Ok(Some((Box::new(file), found.len())))
                    }
                    Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
                    Err(error) => Err(error).with_context(|| format!("opening {}", path.display())),
                }
            }
            Self::Tar(path, members) => {
                let mut name = name;
                for _ in 0..MAX_LINKS {
                    match members.get(name) {
                        None => return Ok(None),
                        Some(Member::Link(target)) => name = target,
                        Some(&Member::File(offset, size)) => {
                            let open = || {
                                let mut file = File::open(path)?;
                                file.seek(SeekFrom::Start(offset))?;
                                io::Result::Ok(file.take(size))
                            };
                            let file = open().with_context(|| format!("opening {}", path.display()))?;
                            return Ok(Some((Box::new(file), size)));
                        }
                    }
                }
                bail!("{name:?} in {} leads nowhere", path.display())
            }
        }
    }

    /// The whole of a small file.
    pub(super) fn small(&self, name: &str, max_bytes: u64) -> Result<Option<Vec<u8>>> {
        let Some((reader, size)) = self.read(name)? else { return Ok(None) };
        ensure!(size <= max_bytes, "{name} has {size} bytes, at most {max_bytes} are taken");
        let mut bytes = Vec::new();
        reader.take(size).read_to_end(&mut bytes).with_context(|| format!("reading {name}"))?;
        Ok(Some(bytes))
    }

    /// How messages call it.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Folder(path) | Self::Tar(path, _) => path,
        }
    }
}

fn members(path: &Path) -> Result<HashMap<String, Member>> {
    let mut file = File::open(path)?;
    let mut start = [0; 6];
    let count = file.read(&mut start)?;
    file.rewind()?;
    if let Some(program) = compressor(&start[..count]) {
        bail!("it is compressed\nhint: unpack it first with {program}");
    }
    let mut members = HashMap::new();
    let mut archive = tar::Archive::new(BufReader::new(file));
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        let Ok(name) = String::from_utf8(clean(&entry.path_bytes())) else { continue };
        let member = match entry.header().entry_type() {
            tar::EntryType::Regular | tar::EntryType::Continuous => {
                Member::File(entry.raw_file_position(), entry.size())
            }
            kind @ (tar::EntryType::Symlink | tar::EntryType::Link) => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                let target = String::from_utf8_lossy(&target).into_owned();
                let base =
                    if kind == tar::EntryType::Link { "" } else { name.rsplit_once('/').map_or("", |(dir, _)| dir) };
                Member::Link(joined(base, &target))
            }
            _ => continue,
        };
        members.insert(name, member);
    }
    Ok(members)
}

/// The program that unpacks what begins like this.
fn compressor(start: &[u8]) -> Option<&'static str> {
    let known: [(&[u8], &str); 4] =
        [(b"\x1f\x8b", "gunzip"), (b"\x28\xb5\x2f\xfd", "unzstd"), (b"\xfd7zXZ", "unxz"), (b"BZh", "bunzip2")];
    known.iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, program)| *program)
}

/// A relative path from a folder, `..` resolved.
fn joined(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_does_not_lead_out_of_itself() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("secret"), "x").unwrap();
        std::fs::create_dir(dir.path().join("layout")).unwrap();
        let files = Files::open(&dir.path().join("layout")).unwrap();
        assert!(files.read("../secret").is_err());
        assert!(files.read("none").unwrap().is_none());
        assert!(Files::open(&dir.path().join("none")).is_err());
    }

    #[test]
    fn an_archive_has_links() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tar");
        let mut builder = tar::Builder::new(File::create(&path).unwrap());
        let mut header = tar::Header::new_gnu();
        header.set_size(5);
        builder.append_data(&mut header, "./b/layer.tar", &b"layer"[..]).unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, "a/layer.tar", "../b/layer.tar").unwrap();
        builder.append_link(&mut header, "loop", "loop").unwrap();
        builder.into_inner().unwrap();
        let files = Files::open(&path).unwrap();
        assert_eq!(files.small("a/layer.tar", 10).unwrap().unwrap(), b"layer");
        assert!(files.small("a/layer.tar", 4).is_err());
        assert!(files.small("c", 4).unwrap().is_none());
        assert!(files.read("loop").is_err());
        std::fs::write(&path, b"\x1f\x8b\x08xxxx").unwrap();
        let error = format!("{:#}", Files::open(&path).err().unwrap());
        assert!(error.ends_with("it is compressed\nhint: unpack it first with gunzip"), "{error}");
    }
}
