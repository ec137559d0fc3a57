//! The CA certificates that TLS trusts: those of the operating system, as OpenSSL's programs find them.
//!
//! `SSL_CERT_FILE` names a bundle, `SSL_CERT_DIR` folders of hashed names (`1a2b3c4d.0`); without both, the first bundle
//! of [`BUNDLES`] that exists. Read here because crates for it bring 20 others, for systems this program does not run on.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use ureq::tls::{Certificate, PemItem, parse_pem};

use super::proxy::Env;

/// Where systems keep all certificates in one PEM file.
const BUNDLES: &[&str] = &[
    // Debian, Arch, Gentoo, NixOS
    "/etc/ssl/certs/ca-certificates.crt",
    // Fedora, RHEL
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    // openSUSE
    "/etc/ssl/ca-bundle.pem",
    // Alpine, macOS, the BSDs
    "/etc/ssl/cert.pem",
];

/// The certificates, or why there is none.
pub(super) fn of_system(env: Env<'_>) -> Result<Vec<Certificate<'static>>, String> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    let mut files: Vec<PathBuf> = set("SSL_CERT_FILE").map(PathBuf::from).into_iter().collect();
    let folders = set("SSL_CERT_DIR").unwrap_or_default();
    for folder in std::env::split_paths(&folders).filter(|folder| folder != Path::new("")) {
        files.extend(hashed_names(&folder));
    }
    if files.is_empty() {
        files.extend(BUNDLES.iter().map(PathBuf::from).find(|bundle| bundle.exists()));
    }
    of_files(&files)
}

/// All certificates of PEM files; what else is in them is for others.
fn of_files(files: &[PathBuf]) -> Result<Vec<Certificate<'static>>, String> {
    let mut found: Vec<Certificate<'static>> = Vec::new();
    let mut failed = Vec::new();
    for file in files {
        match fs::read(file) {
            Ok(bytes) => found.extend(parse_pem(&bytes).filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })),
            Err(error) => failed.push(format!("{}: {error}", file.display())),
        }
    }
    // A bundle and a folder commonly hold the same ones.
    found.sort_by(|one, other| one.der().cmp(other.der()));
    found.dedup_by(|one, other| one.der() == other.der());
    if !found.is_empty() {
        return Ok(found);
    }
    let tried = if failed.is_empty() { String::new() } else { format!(" ({})", failed.join("; ")) };
    Err(format!(
        "no CA certificates are on this machine{tried}; install the package ca-certificates, or name a PEM file with \
         SSL_CERT_FILE"
    ))
}

/// Files of a folder that openssl-rehash(1) named: eight hex digits, a dot, a number.
fn hashed_names(folder: &Path) -> Vec<PathBuf> {
    let hashed = |name: &OsStr| {
        let (hash, number) = name.to_str()?.split_once('.')?;
        let digits = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.is_empty();
        Some(digits && hash.len() == 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> =
        entries.filter(|entry| hashed(&entry.file_name()).unwrap_or(false)).map(|entry| entry.path()).collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Not certificates, which only TLS itself finds out.
    fn pem(content: &str) -> String {
        format!("# a comment\n-----BEGIN CERTIFICATE-----\n{content}\n-----END CERTIFICATE-----\n")
    }

    #[test]
    fn environment_names_bundle_and_folders() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("bundle.pem"), pem("AAAA") + &pem("BBBB") + "-----BEGIN X-----\nAAAA\n-----END X-----\n")
            .unwrap();
        fs::create_dir(path("certs")).unwrap();
        for (name, text) in [("1a2b3c4d.0", "AAAA"), ("1a2b3c4d.1", "CCCC"), ("x.pem", "DDDD"), ("1a2b3c4d.r0", "EEEE")]
        {
            fs::write(path("certs").join(name), pem(text)).unwrap();
        }
        let shown = dir.path().display().to_string();
        let (bundle, folder) = (format!("{shown}/bundle.pem"), format!("{shown}/none:{shown}/certs"));
        type Variables<'a> = &'a [(&'a str, &'a str)];
        let cases: [(Variables<'_>, usize); 3] = [
            (&[("SSL_CERT_FILE", &bundle)], 2),
            (&[("SSL_CERT_DIR", &folder), ("SSL_CERT_FILE", "")], 2),
            (&[("SSL_CERT_FILE", &bundle), ("SSL_CERT_DIR", &folder)], 3),
        ];
        for (variables, expected) in cases {
            let env = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            assert_eq!(of_system(&env).unwrap().len(), expected, "{variables:?}");
        }
    }

    #[test]
    fn none_is_explained() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("none.pem");
        let error = of_files(std::slice::from_ref(&missing)).unwrap_err();
        let expected = format!("no CA certificates are on this machine ({}: No such file", missing.display());
        assert!(error.starts_with(&expected) && error.contains("SSL_CERT_FILE"), "{error}");
        fs::write(&missing, "no PEM").unwrap();
        assert!(of_files(&[missing]).unwrap_err().starts_with("no CA certificates are on this machine; install"));
    }
}
