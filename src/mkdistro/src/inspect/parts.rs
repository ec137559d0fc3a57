//! The parts of an image under names that do not depend on its format.

use anyhow::{Context, Result};
use bytes::Bytes;
use formats::tree::show;

use super::{EntryKind, Format, Layer, format};

/// How deep layers are looked for: disk, file system, unified kernel, initramfs, SquashFS.
const MAX_DEPTH: usize = 6;
/// Most parts that are looked at.
const MAX_PARTS: usize = 64;

/// One part.
pub struct Part {
    /// `iso`, `initramfs`, `root`, `kernel`, with `-2` and so on if there are more; the format's for any other file.
    pub name: String,
    /// Its path over all layers from the outermost file, which itself is the empty path.
    pub path: String,
    /// Its bytes.
    pub bytes: Bytes,
    /// What it is.
    pub layer: Layer,
}

/// All parts, the outermost first.
pub struct Parts(pub Vec<Part>);

impl Parts {
    /// Finds them.
    ///
    /// # Errors
    /// If a layer is damaged; None if the format of the outermost is not known.
    pub fn of(bytes: &Bytes) -> Result<Option<Self>> {
        let Some(layer) = format::open(bytes)? else { return Ok(None) };
        let mut parts = Self(Vec::new());
        parts.add(String::new(), bytes.clone(), layer, 0)?;
        Ok(Some(parts))
    }

    /// The part of this name.
    pub fn get(&self, name: &str) -> Option<&Part> {
        self.0.iter().find(|part| part.name == name)
    }

    /// The outermost part.
    pub fn outer(&self) -> &Part {
        &self.0[0]
    }

    fn add(&mut self, path: String, bytes: Bytes, layer: Layer, depth: usize) -> Result<()> {
        let inner = if depth < MAX_DEPTH { self.inner(&path, &layer)? } else { Vec::new() };
        let word = layer.format.part().map_or_else(|| format!("{:?}", layer.format).to_lowercase(), String::from);
        let same = self.0.iter().filter(|part| part.layer.format == layer.format).count();
        let name = if same == 0 { word } else { format!("{word}-{}", same + 1) };
        self.0.push(Part { name, path, bytes, layer });
        for (path, bytes, layer) in inner {
            self.add(path, bytes, layer, depth + 1)?;
        }
        Ok(())
    }

    /// Parts directly in a layer. What a root or a package holds is its own business.
    fn inner(&self, path: &str, layer: &Layer) -> Result<Vec<(String, Bytes, Layer)>> {
        let mut inner = Vec::new();
        if matches!(layer.format, Format::Squashfs | Format::OciLayer | Format::Deb) {
            return Ok(inner);
        }
        for (name, entry) in layer.entries().filter(|(_, entry)| entry.kind == EntryKind::File) {
            if entry.size_bytes == 0 || self.0.len() + inner.len() >= MAX_PARTS {
                continue;
            }
            let bytes = layer.content(name)?;
            let is_part = format::recognise(&bytes).is_some_and(|format| format.part().is_some());
            let path = format!("{path}{}", show(name));
            if is_part {
                let opened = format::open(&bytes).with_context(|| format!("in {path}"))?;
                inner.extend(opened.map(|layer| (path, bytes, layer)));
            }
        }
        Ok(inner)
    }
}
