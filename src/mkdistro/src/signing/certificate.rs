//! What a signature needs of an X.509 certificate (RFC 5280, section 4.1).

use anyhow::{Result, ensure};

use super::der::{self, BIT_STRING, INTEGER, Reader, SEQUENCE};

/// A certificate.
pub(super) struct Certificate {
    /// All of it, DER.
    pub(super) whole: Vec<u8>,
    /// Issuer and serial number, each with tag and length.
    pub(super) issuer: Vec<u8>,
    pub(super) serial: Vec<u8>,
    /// The subject's public key; of RSA an `RSAPublicKey` (RFC 8017, appendix A.1.1).
    pub(super) public_key: Vec<u8>,
}

impl Certificate {
    /// Reads a PEM file.
    pub(super) fn parse(text: &[u8]) -> Result<Self> {
        let whole = der::pem(text, &["CERTIFICATE"])?.content;
        let mut file = Reader(&whole);
        let certificate = file.expect(SEQUENCE, "the certificate")?;
        ensure!(file.0.is_empty(), "something follows the certificate");
        let mut fields = Reader(Reader(certificate.content).expect(SEQUENCE, "the certificate's content")?.content);
        let mut serial = fields.any("the certificate's version")?;
        if serial.tag == der::context(0) {
            serial = fields.any("the certificate's serial number")?;
        }
        ensure!(serial.tag == INTEGER, "the certificate has no serial number");
        fields.expect(SEQUENCE, "the certificate's algorithm")?;
        let issuer = fields.expect(SEQUENCE, "the certificate's issuer")?;
        fields.expect(SEQUENCE, "the certificate's validity")?;
        fields.expect(SEQUENCE, "the certificate's subject")?;
        let mut key = Reader(fields.expect(SEQUENCE, "the certificate's key")?.content);
        key.expect(SEQUENCE, "the algorithm of the certificate's key")?;
        let bits = key.expect(BIT_STRING, "the certificate's key")?.content;
        // The first byte counts unused bits; a key has none.
        let public_key = bits.strip_prefix(&[0]).unwrap_or_default().to_vec();
        let (issuer, serial) = (issuer.whole.to_vec(), serial.whole.to_vec());
        Ok(Self { issuer, serial, public_key, whole })
    }
}
