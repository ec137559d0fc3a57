//! `.image`: `podman image pull`.

use super::{Conversion, Step};
use crate::problem::Problem;

pub(super) fn convert(conversion: &mut Conversion<'_>) -> Result<(), Problem> {
    let image = conversion.filled("Image").ok_or_else(|| conversion.error("Image", "no Image key specified"))?;
    let mut argv = conversion.podman()?;
    argv.extend(["image", "pull"]);
    conversion.strings(
        &mut argv,
        &[
            ("Arch", "--arch"),
            ("AuthFile", "--authfile"),
            ("CertDir", "--cert-dir"),
            ("Creds", "--creds"),
            ("DecryptionKey", "--decryption-key"),
            ("OS", "--os"),
            ("Variant", "--variant"),
        ],
    );
    conversion.booleans(&mut argv, &[("AllTags", "--all-tags"), ("TLSVerify", "--tls-verify")]);
    conversion.podman_args(&mut argv)?;
    argv.push(image);
    conversion.command(Step::Start, argv);
    conversion.one_shot(true);
    Ok(())
}
