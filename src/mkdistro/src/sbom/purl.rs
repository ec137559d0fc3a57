//! Package URLs: names of packages across ecosystems.
//!
//! Reference: the purl specification (github.com/package-url/purl-spec), types `deb`, `cargo` and `generic`.

/// `pkg:deb/debian/NAME@VERSION?arch=ARCH&distro=RELEASE`; `arch` is `source` for a source package.
pub fn deb(name: &str, version: &str, arch: &str, suite: &str) -> String {
    // Updates and security belong to the release.
    let release = suite.split(['-', '/']).next().unwrap_or(suite);
    format!("pkg:deb/debian/{}@{}?arch={arch}&distro={}", encode(name), encode(version), encode(release))
}

/// `pkg:cargo/NAME@VERSION`.
pub fn cargo(name: &str, version: &str) -> String {
    format!("pkg:cargo/{}@{}", encode(name), encode(version))
}

/// `pkg:generic/NAME@VERSION`, for what no ecosystem knows.
pub fn generic(name: &str, version: &str) -> String {
    format!("pkg:generic/{}@{}", encode(name), encode(version))
}

/// Letters, digits, `.-_~` and `:` stay; everything else becomes `%XX`.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::{cargo, deb, generic};

    #[test]
    fn what_is_special_is_encoded() {
        for (found, expected) in [
            (deb("crun", "1.21-1", "amd64", "trixie"), "pkg:deb/debian/crun@1.21-1?arch=amd64&distro=trixie"),
            (
                deb("libstdc++6", "1:14.2.0-19~x", "amd64", "trixie-security"),
                "pkg:deb/debian/libstdc%2B%2B6@1:14.2.0-19~x?arch=amd64&distro=trixie",
            ),
            (
                deb("libpod", "5.4.2+ds1-2", "source", "buster/updates"),
                "pkg:deb/debian/libpod@5.4.2%2Bds1-2?arch=source&distro=buster",
            ),
            (cargo("toml_edit", "0.25.18+spec-1.1.0"), "pkg:cargo/toml_edit@0.25.18%2Bspec-1.1.0"),
            (generic("box", "1 2"), "pkg:generic/box@1%202"),
        ] {
            assert_eq!(found, expected);
        }
    }
}
