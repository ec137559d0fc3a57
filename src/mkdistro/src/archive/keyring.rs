//! OpenPGP keys that may sign a Release file, and the check of a cleartext-signed message against them (RFC 9580; the
//! cleartext framework is its section 7).
//!
//! A key ring is trusted as a whole: who may sign is decided by what is in the file. Of each key, the primary key and the
//! subkeys that may sign count, as far as their binding signatures hold, until they expire or are revoked.

use pgp::composed::{CleartextSignedMessage, PublicOrSecret, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{PublicKey, PublicSubkey, Signature, SignatureType, SubpacketData};
use pgp::types::{KeyDetails, Tag};
use thiserror::Error;

/// How far a signature may be ahead of this machine's clock.
pub const CLOCK_SLACK_SECS: u64 = 3600;

/// Why a signed text is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// No cleartext signature.
    #[error("it is not signed")]
    Unsigned,
    /// Damaged armour or packets, or text outside of the signed part.
    #[error("it is not a well-formed signed message: {0}")]
    Malformed(String),
    /// The text is not what was signed.
    #[error("bad signature of key {0}: the text was changed")]
    Bad(String),
    /// No signature by a key of the ring.
    #[error("signed by {} only, which the key ring does not have", .0.join(", "))]
    UnknownKey(Vec<String>),
    /// The key had expired.
    #[error("signed by key {0}, which has expired")]
    ExpiredKey(String),
    /// The key was revoked by its owner.
    #[error("signed by key {0}, which has been revoked")]
    RevokedKey(String),
    /// The signature itself had an end.
    #[error("the signature of key {0} has expired")]
    ExpiredSignature(String),
    /// Made after this machine's present.
    #[error("the signature of key {0} was made in the future")]
    FutureSignature(String),
    /// A hash that no longer protects (MD5, SHA-1), or not a signature of a document.
    #[error("the signature of key {0} is of a kind that is not accepted")]
    Weak(String),
}

/// Keys that may sign.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    signers: Vec<Signer>,
}

#[derive(Debug, Clone)]
enum Material {
    Primary(Box<PublicKey>),
    Subkey(Box<PublicSubkey>),
}

#[derive(Debug, Clone)]
struct Signer {
    material: Material,
    /// Hex, upper case.
    fingerprint: String,
    /// Seconds since 1970.
    expires: Option<u64>,
    revoked: bool,
}

impl Keyring {
    /// Reads keys: one or more ASCII-armoured blocks with any text around them, or binary.
    ///
    /// # Errors
    /// A damaged block, a secret key, or no key that may sign.
    pub fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        let mut signers = Vec::new();
        for block in armoured_blocks(bytes) {
            let (keys, _headers) = PublicOrSecret::from_reader_many_buf(block)?;
            for key in keys {
                match key? {
                    PublicOrSecret::Public(key) => signers.extend(signers_of(&key)),
                    PublicOrSecret::Secret(_) => anyhow::bail!("there is a secret key in it"),
                }
            }
        }
        if signers.is_empty() {
            anyhow::bail!("there is no key that may sign in it");
        }
        Ok(Self { signers })
    }

    /// Checks a cleartext-signed message at the time `now` (seconds since 1970) and returns the signed text, with `\n` line
    /// ends. One good signature suffices, unless another one of a known key is bad.
    ///
    /// # Errors
    /// See [`SignatureError`].
    pub fn verify(&self, message: &str, now: u64) -> Result<String, SignatureError> {
        if !message.trim_start().starts_with("-----BEGIN PGP SIGNED MESSAGE-----") {
            return Err(SignatureError::Unsigned);
        }
        let (message, _headers) =
            CleartextSignedMessage::from_string(message).map_err(|e| SignatureError::Malformed(e.to_string()))?;
        let text = message.signed_text();
        let mut unknown = Vec::new();
        let mut refused = None;
        let mut good = false;
        for signature in message.signatures() {
            match self.verify_one(signature, &text, now) {
                Ok(()) => good = true,
                Err(SignatureError::UnknownKey(names)) => unknown.extend(names),
                Err(error @ SignatureError::Bad(_)) => return Err(error),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        if good {
            Ok(text.replace("\r\n", "\n"))
        } else if message.signatures().is_empty() {
            Err(SignatureError::Unsigned)
        } else {
            Err(refused.unwrap_or(SignatureError::UnknownKey(unknown)))
        }
    }

    fn verify_one(&self, signature: &Signature, text: &str, now: u64) -> Result<(), SignatureError> {
        let Some(signer) = self.signers.iter().find(|signer| signer.made(signature)) else {
            return Err(SignatureError::UnknownKey(vec![issuer(signature)]));
        };
        let name = || signer.fingerprint.clone();
        let document = matches!(signature.typ(), Some(SignatureType::Text | SignatureType::Binary));
        let strong =
            matches!(signature.hash_alg(), Some(HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512));
        let created = signature.created().map(|time| u64::from(time.as_secs()));
        let (true, true, false, Some(created)) = (document, strong, has_unknown_critical(signature), created) else {
            return Err(SignatureError::Weak(name()));
        };
        if !signer.verifies(signature, text) {
            return Err(SignatureError::Bad(name()));
        }
        let lifetime = signature.signature_expiration_time().map_or(0, |time| u64::from(time.as_secs()));
        if created > now + CLOCK_SLACK_SECS {
            Err(SignatureError::FutureSignature(name()))
        } else if lifetime != 0 && created + lifetime <= now {
            Err(SignatureError::ExpiredSignature(name()))
        } else if signer.revoked {
            Err(SignatureError::RevokedKey(name()))
        } else if signer.expires.is_some_and(|end| end <= now) {
            Err(SignatureError::ExpiredKey(name()))
        } else {
            Ok(())
        }
    }
}

impl Signer {
    fn details(&self) -> &dyn KeyDetails {
        match &self.material {
            Material::Primary(key) => key.as_ref(),
            Material::Subkey(key) => key.as_ref(),
        }
    }

    /// Whether the signature names this key as its issuer.
    fn made(&self, signature: &Signature) -> bool {
        let fingerprints = signature.issuer_fingerprint();
        if fingerprints.is_empty() {
            return signature.issuer_key_id().contains(&&self.details().legacy_key_id());
        }
        fingerprints.contains(&&self.details().fingerprint())
    }

    fn verifies(&self, signature: &Signature, text: &str) -> bool {
        match &self.material {
            Material::Primary(key) => signature.verify(key.as_ref(), text.as_bytes()),
            Material::Subkey(key) => signature.verify(key.as_ref(), text.as_bytes()),
        }
        .is_ok()
    }
}

/// Whether it carries a property that a reader must understand and we do not (RFC 9580, section 5.2.3.7).
fn has_unknown_critical(signature: &Signature) -> bool {
    let unknown = |data: &SubpacketData| matches!(data, SubpacketData::Experimental(..) | SubpacketData::Other(..));
    signature.config().is_none_or(|config| {
        config.hashed_subpackets().any(|subpacket| subpacket.is_critical && unknown(&subpacket.data))
    })
}

/// Who a signature says made it.
fn issuer(signature: &Signature) -> String {
    let fingerprint = signature.issuer_fingerprint().first().map(|fingerprint| format!("{fingerprint:X}"));
    let key_id = || signature.issuer_key_id().first().map(|id| id.to_string().to_uppercase());
    fingerprint.or_else(key_id).unwrap_or_else(|| "an unnamed key".to_owned())
}

/// Each armoured block, or the whole if it is binary. Text between blocks is for people.
fn armoured_blocks(bytes: &[u8]) -> Vec<&[u8]> {
    const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
    const END: &str = "-----END PGP PUBLIC KEY BLOCK-----";
    let Ok(mut text) = std::str::from_utf8(bytes) else { return vec![bytes] };
    let mut blocks = Vec::new();
    while let Some(start) = text.find(BEGIN) {
        let end =
            text.get(start..).and_then(|rest| rest.find(END)).map_or(text.len(), |length| start + length + END.len());
        let (block, rest) = text.split_at(end);
        blocks.push(block.get(start..).unwrap_or_default().as_bytes());
        text = rest;
    }
    if blocks.is_empty() { vec![bytes] } else { blocks }
}

/// The parts of a key that may sign documents.
fn signers_of(key: &SignedPublicKey) -> Vec<Signer> {
    let primary = &key.primary_key;
    let details = &key.details;
    let users = details.users.iter().flat_map(|user| user.signatures.iter().map(move |signature| (user, signature)));
    let self_signatures: Vec<&Signature> = users
        .filter(|(user, signature)| {
            signature.typ() != Some(SignatureType::CertRevocation)
                && signature.verify_certification(primary, Tag::UserId, &user.id).is_ok()
        })
        .map(|(_, signature)| signature)
        .chain(details.direct_signatures.iter().filter(|signature| signature.verify_key(primary).is_ok()))
        .collect();
    let Some(newest) = self_signatures.iter().max_by_key(|signature| signature.created()) else { return Vec::new() };
    let revoked = details.revocation_signatures.iter().any(|signature| signature.verify_key(primary).is_ok());
    let expires = end_of_life(primary, newest);
    let mut signers = Vec::new();
    if newest.key_flags().sign() {
        let material = Material::Primary(Box::new(primary.clone()));
        signers.push(Signer { material, fingerprint: format!("{:X}", primary.fingerprint()), expires, revoked });
    }
    signers.extend(key.public_subkeys.iter().filter_map(|subkey| signing_subkey(primary, expires, revoked, subkey)));
    signers
}

/// A subkey that may sign: its newest valid binding says so, and the subkey itself agreed to belong to the primary key.
fn signing_subkey(
    primary: &PublicKey,
    primary_expires: Option<u64>,
    primary_revoked: bool,
    subkey: &SignedPublicSubKey,
) -> Option<Signer> {
    let valid = |kind| {
        subkey.signatures.iter().filter(move |signature| {
            signature.typ() == Some(kind) && signature.verify_subkey_binding(primary, &subkey.key).is_ok()
        })
    };
    let binding = valid(SignatureType::SubkeyBinding).max_by_key(|signature| signature.created())?;
    let agreed = binding
        .embedded_signature()
        .is_some_and(|signature| signature.verify_primary_key_binding(&subkey.key, primary).is_ok());
    if !binding.key_flags().sign() || !agreed {
        return None;
    }
    let own = end_of_life(&subkey.key, binding);
    let expires = own.into_iter().chain(primary_expires).min();
    let revoked = primary_revoked || valid(SignatureType::SubkeyRevocation).next().is_some();
    let fingerprint = format!("{:X}", subkey.key.fingerprint());
    Some(Signer { material: Material::Subkey(Box::new(subkey.key.clone())), fingerprint, expires, revoked })
}

/// When a key expires by its (self-)signature; 0 seconds mean never.
fn end_of_life(key: &impl KeyDetails, signature: &Signature) -> Option<u64> {
    let lifetime = u64::from(signature.key_expiration_time()?.as_secs());
    (lifetime != 0).then(|| u64::from(key.created_at().as_secs()) + lifetime)
}
