//! Ed25519 keys and signatures in minisign's format (jedisct1.github.io/minisign, "Signature format" and "Key formats").
//!
//! Signatures are of the prehashed kind (`ED`): Ed25519 (RFC 8032) of the BLAKE2b-512 (RFC 7693) of the file. Two lines of
//! base64, each below a comment; the second, over signature and trusted comment, makes the comment trusted. Keys with a
//! password (scrypt) are left out: a build in a script has nobody to ask.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use blake2::{Blake2b512, Digest};
use ed25519_dalek::{Signer, SigningKey};

use crate::problem::{Class, Problem};

/// Signature algorithm of keys.
const ED25519: [u8; 2] = *b"Ed";
/// Of signatures over a BLAKE2b-512 hash.
const PREHASHED: [u8; 2] = *b"ED";
/// Key derivation: none.
const NO_PASSWORD: [u8; 2] = [0, 0];
/// Key derivation: scrypt.
const SCRYPT: [u8; 2] = *b"Sc";
/// Checksum algorithm.
const BLAKE2B: [u8; 2] = *b"B2";
/// Bytes of a secret key: three algorithms of 2, salt 32, two scrypt limits of 8, key id 8, seed 32, public key 32,
/// checksum 32 (zeros without a password).
const SECRET_BYTES: usize = 158;
/// Where the key id begins in it.
const ID_OFFSET: usize = 54;

/// A key that signs.
pub struct SecretKey {
    id: [u8; 8],
    key: SigningKey,
}

impl SecretKey {
    /// Makes a new one from the system's random numbers.
    pub fn generate() -> Result<Self> {
        let mut random = [0; 40];
        getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("asking the system for random bytes: {error}"))?;
        let (mut id, mut seed) = ([0; 8], [0; 32]);
        id.copy_from_slice(&random[..8]);
        seed.copy_from_slice(&random[8..]);
        Ok(Self { id, key: SigningKey::from_bytes(&seed) })
    }

    /// Reads the file at `path`: one made by [`SecretKey::save`] or by `minisign -G -W`.
    pub fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("reading the secret key {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("reading the secret key {}", path.display()))
    }

    /// The same with the file's text.
    pub fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        ensure!(
            lines.next().is_some_and(|line| line.starts_with("untrusted comment:")),
            "line 1: expected \"untrusted comment: …\""
        );
        let bytes = lines.next().and_then(|line| STANDARD.decode(line.trim()).ok()).context("line 2: not base64")?;
        ensure!(bytes.len() == SECRET_BYTES, "line 2: expected {SECRET_BYTES} bytes, found {}", bytes.len());
        let field = |at: usize| [bytes[at], bytes[at + 1]];
        ensure!(field(0) == ED25519, "line 2: not an Ed25519 key");
        match field(2) {
            NO_PASSWORD => {}
            SCRYPT => {
                let hint = "take the password off a copy of it: \"minisign -C -W -s FILE\"";
                return Err(Problem::error(Class::Config, "it has a password, expected a key without one", hint));
            }
            other => bail!("line 2: unknown key derivation {other:?}"),
        }
        let (mut id, mut pair) = ([0; 8], [0; 64]);
        id.copy_from_slice(&bytes[ID_OFFSET..ID_OFFSET + 8]);
        pair.copy_from_slice(&bytes[ID_OFFSET + 8..ID_OFFSET + 72]);
        let key = SigningKey::from_keypair_bytes(&pair).context("line 2: its public half does not fit")?;
        Ok(Self { id, key })
    }

    /// Writes it to `path` (readable by its owner only) and the public key to `path` with the extension `pub`, which comes
    /// back. Never replaces a file.
    pub fn save(&self, path: &Path) -> Result<PathBuf> {
        let public = path.with_extension("pub");
        ensure!(public != path, "{}: expected a name that does not end in .pub", path.display());
        create(path, 0o600, &self.secret_text())?;
        create(&public, 0o666, &self.public_text()).inspect_err(|_| {
            // Half a pair is of no use.
            let _ = fs::remove_file(path);
        })?;
        Ok(public)
    }

    /// The public key in the one line that `minisign -P` takes.
    pub fn public_line(&self) -> String {
        STANDARD.encode([&ED25519[..], &self.id, self.key.verifying_key().as_bytes()].concat())
    }

    /// The text of the public key's file.
    pub fn public_text(&self) -> String {
        let id = u64::from_le_bytes(self.id);
        format!("untrusted comment: minisign public key {id:X}\n{}\n", self.public_line())
    }

    fn secret_text(&self) -> String {
        let mut bytes = [&ED25519[..], &NO_PASSWORD, &BLAKE2B].concat();
        bytes.resize(ID_OFFSET, 0);
        bytes.extend_from_slice(&self.id);
        bytes.extend_from_slice(&self.key.to_keypair_bytes());
        bytes.resize(SECRET_BYTES, 0);
        // minisign calls its file so too, with a password or without.
        format!("untrusted comment: minisign encrypted secret key\n{}\n", STANDARD.encode(bytes))
    }

    /// The text of a signature file over `content`. The comment is signed too.
    pub fn sign(&self, content: &[u8], trusted_comment: &str) -> String {
        let signature = self.key.sign(&Blake2b512::digest(content)).to_bytes();
        let global = self.key.sign(&[&signature[..], trusted_comment.as_bytes()].concat()).to_bytes();
        format!(
            "untrusted comment: signature by mkdistro\n{}\ntrusted comment: {trusted_comment}\n{}\n",
            STANDARD.encode([&PREHASHED[..], &self.id, &signature].concat()),
            STANDARD.encode(global)
        )
    }
}

fn create(path: &Path, mode: u32, text: &str) -> Result<()> {
    let opened = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    opened.and_then(|mut file| file.write_all(text.as_bytes())).with_context(|| format!("writing {}", path.display()))
}
