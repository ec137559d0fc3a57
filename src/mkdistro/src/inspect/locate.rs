//! From a path to what it leads to, over as many layers as it takes.
//!
//! `PATH` is `[PART:][/]NAME/…`. Without a part it begins in the file itself; it may go on inside of a file that is a layer
//! (`/boot/initrd.img/root.squashfs/etc/motd`). Links are followed, but in the last name; a `/` at the end opens a file
//! that is a layer.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use formats::tree::show;

use super::{Entry, EntryKind, Format, Layer, Parts, format, kernel};
use crate::nearest::did_you_mean;

/// What a path leads to.
pub struct Located {
    /// The layer that holds it.
    pub layer: Layer,
    /// Its path there, the empty one for the layer's root.
    pub path: Vec<u8>,
}

impl Located {
    /// The entry itself.
    ///
    /// # Errors
    /// If the layer holds no files.
    pub fn entry(&self) -> Result<&Entry> {
        self.layer.entry(&self.path).with_context(|| format!("the {} holds no files", self.layer.format.name()))
    }

    /// The content of a file.
    ///
    /// # Errors
    /// If it is no file or damaged.
    pub fn content(&self) -> Result<Bytes> {
        self.layer.content(&self.path)
    }
}

/// Follows `path` from the file with these bytes.
///
/// # Errors
/// If there is nothing at the path, with the nearest name; or a layer on the way is damaged or of no known format.
pub fn locate(bytes: &Bytes, path: &str) -> Result<Located> {
    let (bytes, path) = match path.split_once(':').filter(|(part, _)| !part.contains('/')) {
        Some((name, rest)) => (part(bytes, name)?, rest),
        None => (bytes.clone(), path),
    };
    let layer = open(&bytes)?.context("the file's format is not known")?;
    descend(layer, path, String::new())
}

/// A layer with all files that it can have.
fn open(bytes: &Bytes) -> Result<Option<Layer>> {
    let mut layer = format::open(bytes)?;
    if let Some(layer) = layer.as_mut().filter(|layer| layer.format == Format::Kernel) {
        kernel::add_configuration(layer, bytes);
    }
    Ok(layer)
}

fn part(bytes: &Bytes, name: &str) -> Result<Bytes> {
    let parts = Parts::of(bytes)?.context("the file's format is not known")?;
    match parts.get(name) {
        Some(part) => Ok(part.bytes.clone()),
        None => {
            let names: Vec<&str> = parts.0.iter().map(|part| part.name.as_str()).collect();
            bail!("it has no part {name:?}\nhint: its parts are {}", names.join(", "))
        }
    }
}

fn descend(layer: Layer, path: &str, above: String) -> Result<Located> {
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
    let opens_last = path.ends_with('/');
    let mut real: Vec<u8> = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let is_last = index + 1 == names.len();
        let next = if real.is_empty() { name.as_bytes().to_vec() } else { [&real, name.as_bytes()].join(&b'/') };
        let Some(found) = layer.resolve(&next, !is_last || opens_last) else {
            return Err(missing(&layer, &real, name, &above));
        };
        let is_file = layer.entry(&found).is_some_and(|entry| entry.kind == EntryKind::File);
        if is_file && (!is_last || opens_last) {
            let above = format!("{above}{}", show(&found));
            let inner = open(&layer.content(&found)?).with_context(|| format!("opening {above}"))?;
            let Some(inner) = inner else { bail!("{above} is a file of no known format: the path cannot go on in it") };
            let rest = names[index + 1..].join("/");
            return descend(inner, &if opens_last { rest + "/" } else { rest }, above);
        }
        real = found;
    }
    Ok(Located { layer, path: real })
}

fn missing(layer: &Layer, folder: &[u8], name: &str, above: &str) -> anyhow::Error {
    let names: Vec<String> =
        layer.children(folder).iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect();
    let hint = did_you_mean(name, names.iter().map(String::as_str));
    let hint = if hint.is_empty() { String::new() } else { format!("\nhint: {hint}") };
    let folder = show(folder);
    let slash = if folder == "/" { "" } else { "/" };
    anyhow::anyhow!("there is no {above}{folder}{slash}{name}{hint}")
}
