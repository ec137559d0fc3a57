//! Where files come from: paths relative to the unit's, volumes, mounts.

use super::Conversion;
use crate::argv::Argv;
use crate::problem::Problem;

impl Conversion<'_> {
    /// A path that is relative to the file's folder; one that begins with a specifier is not looked at.
    pub(super) fn absolute(&self, path: &str) -> String {
        let is_specifier = path.starts_with('%') && !path.starts_with("%%");
        if is_specifier || path.starts_with('/') {
            return path.to_owned();
        }
        let folder = self.file.place().file.rsplit_once('/').map_or("", |(folder, _)| folder);
        clean(&format!("{folder}/{path}"))
    }

    /// A source of a volume or mount: path, name, or unit.
    pub(super) fn storage(&mut self, key: &str, source: &str, images: bool) -> Result<String, Problem> {
        if source.starts_with('.') || source.starts_with('/') {
            let path = self.absolute(source);
            self.out.add("Unit", "RequiresMountsFor", path.clone());
            return Ok(path);
        }
        let is_unit = source.ends_with(".volume") || (images && source.ends_with(".image"));
        if !is_unit {
            return Ok(source.to_owned());
        }
        let missing = || self.error(key, format!("requested Quadlet source {source} was not found"));
        let known = self.names.get(source).ok_or_else(missing)?.clone();
        self.needs(&known.service);
        Ok(known.resource)
    }

    /// `Volume=SOURCE:TARGET:OPTIONS`.
    pub(super) fn volumes(&mut self, argv: &mut Argv) -> Result<(), Problem> {
        for entry in self.file.all(self.section, "Volume") {
            let mut parts = entry.value.splitn(3, ':');
            let first = parts.next().unwrap_or_default();
            let value = match (parts.next(), parts.next()) {
                (None, _) => first.to_owned(),
                (Some(target), _) if first.is_empty() => target.to_owned(),
                (Some(target), options) => {
                    let source = self.storage("Volume", first, false)?;
                    let options = options.map(|options| format!(":{options}")).unwrap_or_default();
                    format!("{source}:{target}{options}")
                }
            };
            argv.option("-v", value);
        }
        Ok(())
    }

    /// `Mount=type=…,source=…`, fields as in a line of CSV (RFC 4180).
    pub(super) fn mount(&mut self, mount: &str) -> Result<String, Problem> {
        let fields =
            csv_fields(mount).ok_or_else(|| self.error("Mount", format!("quotes in {mount:?} do not match")))?;
        let at = fields.iter().position(|field| field.starts_with("type="));
        let kind = at.and_then(|at| fields.get(at)?.strip_prefix("type=")).unwrap_or("volume").to_owned();
        if !["volume", "bind", "glob", "image"].contains(&kind.as_str()) {
            return Ok(mount.to_owned());
        }
        let mut out = vec![format!("type={kind}")];
        for (index, field) in fields.iter().enumerate().filter(|(index, _)| Some(*index) != at) {
            let (name, value) =
                field.split_once('=').map_or((field.as_str(), None), |(name, value)| (name, Some(value)));
            let is_source = ["source", "src"].contains(&name);
            match value {
                None if is_source => {
                    return Err(self.error("Mount", "source parameter does not include a value"));
                }
                Some(source) if is_source => out.push(format!("source={}", self.storage("Mount", source, true)?)),
                _ => out.extend(fields.get(index).cloned()),
            }
        }
        Ok(out.iter().map(|field| csv_field(field)).collect::<Vec<_>>().join(","))
    }
}

/// A path without `.`, `..` and doubled slashes, as text.
pub(super) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn csv_fields(line: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut field = String::new();
            let mut inner = quoted;
            loop {
                let (part, after) = inner.split_once('"')?;
                field.push_str(part);
                match after.strip_prefix('"') {
                    Some(more) => {
                        field.push('"');
                        inner = more;
                    }
                    None => {
                        inner = after;
                        break;
                    }
                }
            }
            fields.push(field);
            match inner.strip_prefix(',') {
                Some(next) => rest = next,
                None if inner.is_empty() => return Some(fields),
                None => return None,
            }
        } else {
            let (field, next) = rest.split_once(',').map_or((rest, None), |(field, next)| (field, Some(next)));
            fields.push(field.to_owned());
            match next {
                Some(next) => rest = next,
                None => return Some(fields),
            }
        }
    }
}

fn csv_field(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) || field.starts_with(' ') {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::{clean, csv_field, csv_fields};

    #[test]
    fn cleans_paths_and_reads_fields() {
        assert_eq!(clean("/a/./b//../c/"), "/a/c");
        assert_eq!(clean("/../x"), "/x");
        let fields = csv_fields("type=bind,\"source=/a,b\",dst=\"x").unwrap();
        assert_eq!(fields, ["type=bind", "source=/a,b", "dst=\"x"]);
        assert_eq!(csv_field(&fields[1]), "\"source=/a,b\"");
        assert_eq!(csv_fields("\"a\"\"b\"").unwrap(), ["a\"b"]);
        assert_eq!((csv_fields("\"a"), csv_fields("\"a\"b")), (None, None));
        assert_eq!(csv_fields("").unwrap(), [""]);
    }
}
