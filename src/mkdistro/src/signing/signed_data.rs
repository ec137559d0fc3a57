//! The PKCS #7 SignedData of an Authenticode signature (RFC 2315; types that begin with `Spc` are Authenticode's).

use anyhow::Result;
use sha2::{Digest, Sha256};

use super::certificate::Certificate;
use super::der::{BIT_STRING, INTEGER, NULL, OCTET_STRING, SEQUENCE, SET, context, context_primitive, oid, value};

const SIGNED_DATA: &[u32] = &[1, 2, 840, 113549, 1, 7, 2];
const CONTENT_TYPE: &[u32] = &[1, 2, 840, 113549, 1, 9, 3];
const MESSAGE_DIGEST: &[u32] = &[1, 2, 840, 113549, 1, 9, 4];
const RSA_ENCRYPTION: &[u32] = &[1, 2, 840, 113549, 1, 1, 1];
const SHA256: &[u32] = &[2, 16, 840, 1, 101, 3, 4, 2, 1];
const SPC_INDIRECT_DATA: &[u32] = &[1, 3, 6, 1, 4, 1, 311, 2, 1, 4];
const SPC_PE_IMAGE_DATA: &[u32] = &[1, 3, 6, 1, 4, 1, 311, 2, 1, 15];
const VERSION_1: [u8; 3] = [INTEGER, 1, 1];

/// Encodes one for a program with this hash. `sign` gives the signature of the bytes it gets.
pub(super) fn encode(
    certificate: &Certificate,
    program_hash: &[u8],
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>>,
) -> Result<Vec<u8>> {
    let sha256 = value(SEQUENCE, &[&oid(SHA256), &NULL]);
    let content = indirect_data(program_hash, &sha256);
    let attributes = attributes(&content);
    // They are signed as a SET, and stand in the SignerInfo under another tag.
    let signature = sign(&value(SET, &[&attributes]))?;
    let signer = value(
        SEQUENCE,
        &[
            &VERSION_1,
            &value(SEQUENCE, &[&certificate.issuer, &certificate.serial]),
            &sha256,
            &value(context(0), &[&attributes]),
            &value(SEQUENCE, &[&oid(RSA_ENCRYPTION), &NULL]),
            &value(OCTET_STRING, &[&signature]),
        ],
    );
    let content_info =
        value(SEQUENCE, &[&oid(SPC_INDIRECT_DATA), &value(context(0), &[&value(SEQUENCE, &[&content])])]);
    let signed_data = value(
        SEQUENCE,
        &[
            &VERSION_1,
            &value(SET, &[&sha256]),
            &content_info,
            &value(context(0), &[&certificate.whole]),
            &value(SET, &[&signer]),
        ],
    );
    Ok(value(SEQUENCE, &[&oid(SIGNED_DATA), &value(context(0), &[&signed_data])]))
}

/// The content of the `SpcIndirectDataContent`, without its own tag and length: its hash is what the attributes name.
fn indirect_data(program_hash: &[u8], sha256: &[u8]) -> Vec<u8> {
    let utf16: Vec<u8> = "<<<Obsolete>>>".encode_utf16().flat_map(u16::to_be_bytes).collect();
    // SpcLink.file [2] of SpcString.unicode [0], a BMPString.
    let link = value(context(2), &[&value(context_primitive(0), &[&utf16])]);
    let image_data = value(SEQUENCE, &[&value(BIT_STRING, &[&[0]]), &value(context(0), &[&link])]);
    let data = value(SEQUENCE, &[&oid(SPC_PE_IMAGE_DATA), &image_data]);
    let digest = value(SEQUENCE, &[sha256, &value(OCTET_STRING, &[program_hash])]);
    [data, digest].concat()
}

/// The authenticated attributes, in DER's order of a SET: by their encoding.
fn attributes(content: &[u8]) -> Vec<u8> {
    let attribute = |kind: &[u32], inner: Vec<u8>| value(SEQUENCE, &[&oid(kind), &value(SET, &[&inner])]);
    let mut attributes = [
        attribute(CONTENT_TYPE, oid(SPC_INDIRECT_DATA)),
        attribute(MESSAGE_DIGEST, value(OCTET_STRING, &[&Sha256::digest(content)])),
    ];
    attributes.sort();
    attributes.concat()
}
