//! Signs EFI programs with the project's own key, for firmware that has its certificate: Authenticode ("Windows
//! Authenticode Portable Executable Signature Format", version 1.0).
//!
//! The signature is a PKCS #7 SignedData (RFC 2315) by RSA (PKCS #1 v1.5) and SHA-256. It has no time, and RSA signatures of
//! this kind have nothing random: the same program and key give the same bytes.

mod certificate;
mod der;
mod signed_data;
#[cfg(test)]
pub(crate) mod tests;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use formats::pe::Program;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use sha2::{Digest, Sha256};

use crate::config::Checked;
use crate::problem::{Class, Problem};
use certificate::Certificate;

/// What signs.
pub enum Signer {
    /// A key and its certificate.
    Key(Box<Pair>),
    /// A signature there is already: of the same program, or it does not fit.
    Kept(Vec<u8>),
}

/// A key and its certificate.
pub struct Pair {
    key: RsaKeyPair,
    certificate: Certificate,
}

impl Signer {
    /// The key and certificate that a project names.
    ///
    /// # Errors
    /// Class `Config`: they cannot be read, or do not belong together.
    pub fn of(checked: &Checked) -> Result<Option<Self>> {
        let Some(signing) = &checked.distro.boot.signing else { return Ok(None) };
        let load = || -> Result<Pair> {
            let text = |path: &str| {
                let path = checked.dir.join(path);
                std::fs::read(&path).with_context(|| format!("reading {}", path.display()))
            };
            Pair::parse(&text(&signing.key)?, &text(&signing.certificate)?)
        };
        let pair = load().map_err(|error| {
            let message = format!("distro.toml: boot.signing: {error:#}");
            let hint = "openssl req -new -x509 -newkey rsa:2048 -noenc -keyout db.key -out db.crt -subj /CN=mine/";
            Problem::error(Class::Config, message, format!("a new pair: {hint}"))
        })?;
        Ok(Some(Self::Key(Box::new(pair))))
    }

    /// Signs a program.
    ///
    /// # Errors
    /// The signature does not fit into the program.
    pub fn sign(&self, program: &mut Program) -> Result<()> {
        match self {
            Self::Kept(signed_data) => program.sign(signed_data),
            Self::Key(pair) => {
                let mut hasher = Sha256::new();
                program.signed_bytes().for_each(|bytes| hasher.update(bytes));
                program.sign(&pair.signed_data(&hasher.finalize())?)
            }
        }
    }
}

impl Pair {
    /// Reads a key (PKCS #8 or PKCS #1) and a certificate (X.509), both PEM.
    ///
    /// # Errors
    /// Not such, a key that is no RSA key of 2048 to 4096 bits, or they do not belong together.
    pub fn parse(key: &[u8], certificate: &[u8]) -> Result<Self> {
        let key = parse_key(key)?;
        let certificate = Certificate::parse(certificate)?;
        let belongs = certificate.public_key == key.public().as_ref();
        ensure!(belongs, "the certificate is of another key");
        Ok(Self { key, certificate })
    }

    /// The SignedData for a program with this hash.
    fn signed_data(&self, program_hash: &[u8]) -> Result<Vec<u8>> {
        signed_data::encode(&self.certificate, program_hash, |attributes| {
            let mut signature = vec![0; self.key.public().modulus_len()];
            // The random numbers only hide the key from who measures the time; they are not in the result.
            let done = self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), attributes, &mut signature);
            done.map_err(|_| anyhow::anyhow!("the system has no random numbers"))?;
            Ok(signature)
        })
    }
}

/// Reads a private key.
fn parse_key(text: &[u8]) -> Result<RsaKeyPair> {
    let encrypted = text.windows(9).any(|word| word == b"ENCRYPTED");
    ensure!(!encrypted, "the key has a password; openssl rsa -in FILE -out db.key writes it without");
    let pem = der::pem(text, &["PRIVATE KEY", "RSA PRIVATE KEY"])?;
    let key = if pem.label == "PRIVATE KEY" {
        RsaKeyPair::from_pkcs8(&pem.content)
    } else {
        RsaKeyPair::from_der(&pem.content)
    };
    key.map_err(|error| anyhow::anyhow!("the key is not usable, expected RSA of 2048 to 4096 bits: {error}"))
}

/// Files that a signature follows from: path and sha256, for the comparison with an earlier build. None if the project has
/// no key.
pub fn inputs(checked: &Checked) -> Option<String> {
    let signing = checked.distro.boot.signing.as_ref()?;
    let hash = |path: &str| {
        let content = std::fs::read(checked.dir.join(Path::new(path))).unwrap_or_default();
        crate::fetch::hex(Sha256::new_with_prefix(content))
    };
    Some(format!("signing {} {}", hash(&signing.key), hash(&signing.certificate)))
}
