//! Reads a tar archive (POSIX.1-2024, pax, "ustar Interchange Format"): 512-byte headers, of which 0..100 is the name, 124..136
//! the size in octal digits, 148..156 the checksum with its own field as spaces, 156 the type, 257 `ustar`, 345..500 what
//! stands before the name. Long names of GNU and pax are passed over: nothing that is looked for has one.

use anyhow::{Result, bail};

const BLOCK: usize = 512;

/// A member of the archive.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Member<'a> {
    pub(super) name: String,
    pub(super) content: &'a [u8],
}

/// The regular files. What is no header ends it, as two blocks of zeros do.
pub(super) fn members(bytes: &[u8]) -> impl Iterator<Item = Result<Member<'_>>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        loop {
            let header = rest.get(..BLOCK).filter(|header| is_header(header))?;
            let name = name(header);
            let Some(content) =
                number(header.get(124..136)?).and_then(|size| rest.get(BLOCK..BLOCK.checked_add(size)?))
            else {
                rest = &[];
                return Some(too_long(&name));
            };
            rest = rest.get(BLOCK + content.len().next_multiple_of(BLOCK)..).unwrap_or_default();
            if matches!(header.get(156), Some(b'0' | 0)) {
                return Some(Ok(Member { name, content }));
            }
        }
    })
}

fn too_long<T>(name: &str) -> Result<T> {
    bail!("{name:?} does not end within the first MiB")
}

fn name(header: &[u8]) -> String {
    let text = |field: Option<&[u8]>| -> String {
        let field = field.unwrap_or_default();
        String::from_utf8_lossy(field.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
    };
    let before = if header.get(257..262) == Some(b"ustar") { text(header.get(345..500)) } else { String::new() };
    let name = text(header.get(..100));
    if before.is_empty() { name } else { format!("{before}/{name}") }
}

/// Octal digits, with spaces before and a space or NUL behind.
fn number(field: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(field).ok()?;
    let digits = text.trim_matches([' ', '\0']);
    if digits.is_empty() { Some(0) } else { usize::from_str_radix(digits, 8).ok() }
}

fn is_header(header: &[u8]) -> bool {
    let sum =
        header.iter().enumerate().map(|(at, byte)| usize::from(if (148..156).contains(&at) { b' ' } else { *byte }));
    header.iter().any(|byte| *byte != 0) && header.get(148..156).and_then(number) == Some(sum.sum())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::members;

    #[test]
    fn reads_what_tar_writes() {
        let folder = tempfile::tempdir().unwrap();
        let key = "k".repeat(9000);
        std::fs::create_dir(folder.path().join(".ssh")).unwrap();
        std::fs::write(folder.path().join("first, please"), "x").unwrap();
        std::fs::write(folder.path().join(".ssh/authorized_keys"), &key).unwrap();
        for format in ["ustar", "gnu", "posix", "v7"] {
            let mut command = Command::new("tar");
            command.current_dir(folder.path()).arg(format!("--format={format}"));
            let output = command.args(["-cf", "-", "first, please", "./.ssh"]).output().unwrap();
            assert!(output.status.success());
            let found: Vec<(String, usize)> = members(&output.stdout)
                .map(|member| member.unwrap())
                .map(|member| (member.name, member.content.len()))
                .collect();
            assert_eq!(found, [("first, please".into(), 1), ("./.ssh/authorized_keys".into(), 9000)], "{format}");
            // Cut within the key.
            let cut: Vec<bool> = members(&output.stdout[..4096]).map(|member| member.is_ok()).collect();
            assert_eq!(cut, [true, false], "{format}");
        }
    }

    #[test]
    fn fuzz_archives() {
        let mut seed = vec![0; 1536];
        seed[..4].copy_from_slice(b"name");
        seed[124..130].copy_from_slice(b"000010");
        seed[156] = b'0';
        let sum: usize = seed.iter().map(|byte| usize::from(*byte)).sum::<usize>() + 8 * 32;
        seed[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
        assert_eq!(members(&seed).count(), 1);
        fuzz::Fuzz::new("tar").seed(seed).run(|input| {
            let total: usize = members(input).flatten().map(|member| member.content.len()).sum();
            assert!(total <= input.len());
        });
    }
}
