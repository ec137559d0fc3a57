//! `[flavour.NAME]`: what a flavour makes of a document, and what is wrong with one.

use super::*;

/// The fixture with flavours after it: its last line is 37.
fn flavoured(flavours: &str) -> TempDir {
    let dir = project();
    write(dir.path(), "distro.toml", &format!("{DISTRO}{flavours}"));
    dir
}

const FLAVOURS: &str = r#"
[flavour.plain]
summary = "As it is"
default = true

[flavour.small]
root.remove-recipes = ["sshd"]
root.compression = "xz"
kernel.remove-config = ["net"]
distro.name = "little"

[flavour.large]
summary = "More"
root.add-recipes = ["extra"]
user.name = "admin"
[flavour.large.memory]
zram-percent = 50
"#;

#[test]
fn a_flavour_overrides_keys() {
    let dir = flavoured(FLAVOURS);
    let plain = load_flavour(dir.path(), None).unwrap();
    assert_eq!((plain.flavour.as_deref(), plain.is_default()), (Some("plain"), true));
    assert_eq!(plain.distro, parse_distro(DISTRO).unwrap());
    let names: Vec<&str> = plain.flavours.iter().map(|flavour| flavour.name.as_str()).collect();
    assert_eq!(names, ["large", "plain", "small"]);
    assert_eq!(plain.others.iter().map(Checked::flavour_key).collect::<Vec<_>>(), ["large", "small"]);

    let small = load_flavour(dir.path(), Some("small")).unwrap();
    assert!(!small.is_default());
    let mut expected = plain.distro.clone();
    expected.root.recipes = vec!["podman".into()];
    expected.root.compression = "xz".into();
    expected.kernel.config = vec!["base".into()];
    expected.distro.name = "little".into();
    assert_eq!(small.distro, expected);
    assert_eq!(small.recipes.keys().collect::<Vec<_>>(), ["base", "podman"]);
    assert_eq!(small.fragments.len(), 1);

    let large = load_flavour(dir.path(), Some("large")).unwrap();
    assert_eq!(large.distro.root.recipes, ["podman", "sshd", "extra"]);
    assert_eq!((large.distro.user.name.as_str(), large.distro.user.uid), ("admin", 1000));
    assert_eq!(large.distro.memory.zram_percent, 50);
}

#[test]
fn the_flattened_document_is_the_flavour() {
    let dir = flavoured(FLAVOURS);
    for name in ["plain", "small", "large"] {
        let flavour = load_flavour(dir.path(), Some(name)).unwrap();
        let flat = project();
        write(flat.path(), "distro.toml", flavour.flattened.as_ref().unwrap());
        let again = load_flavour(flat.path(), None).unwrap();
        assert_eq!(again.distro, flavour.distro, "{name}");
        assert_eq!((again.flattened, again.others.len()), (None, 0));
    }
}

#[test]
fn without_a_default_the_document_itself_is_built() {
    let dir = flavoured("[flavour.small]\nroot.recipes = [\"sshd\"]\n");
    let checked = load_flavour(dir.path(), None).unwrap();
    assert_eq!((checked.flavour.as_deref(), checked.flavour_key(), checked.is_default()), (None, "-", true));
    assert_eq!(checked.distro.root.recipes, ["podman", "sshd"]);
    assert_eq!(checked.others[0].distro.root.recipes, ["sshd"]);
    let without = project();
    assert!(load_flavour(without.path(), None).unwrap().flavours.is_empty());
}

#[test]
fn what_is_wrong_with_flavours() {
    for (flavours, expected) in [
        (
            "[flavour.a]\nroot.recipes = [\"podmann\"]\nrot.x = 1\n[flavour.b.root]\nadd-recipes = [\"shd\"]\n",
            &[
                "distro.toml:39: flavour.a.root.recipes: unknown recipe, expected a file of packages/ without .toml, \
                 found \"podmann\"\n  hint: did you mean \"podman\"?",
                "distro.toml:40: flavour.a.rot: unknown key\n  hint: did you mean \"root\"?",
                "distro.toml:42: flavour.b.root.add-recipes: unknown recipe, expected a file of packages/ without .toml, \
                 found \"shd\"\n  hint: did you mean \"sshd\"?",
            ][..],
        ),
        (
            "[flavour.a]\nroot.add-recipes = [\"sshd\"]\nroot.remove-recipes = [\"x\"]\n[flavour.b]\nroot.recipes = []\n\
             root.add-recipes = []\n",
            &[
                "distro.toml:39: flavour.a.root.add-recipes: \"sshd\" is given twice\n  hint: remove one",
                "distro.toml:40: flavour.a.root.remove-recipes: bad value, expected an element of root.recipes, found \"x\"",
                "distro.toml:42: flavour.b.root.recipes: bad value, expected at least one element, found none",
                "distro.toml:43: flavour.b.root: also given as a whole, expected either recipes or changes to it\n  hint: \
                 remove one",
            ],
        ),
        (
            "[flavour.a]\ndefault = true\nkernel.package = \"linux-image-cloud-amd64\"\nsources.suites = [\"sid\"]\n\
             [flavour.b]\ndefault = true\nsummary = 1\n[flavour.C]\n",
            &[
                "distro.toml:40: flavour.a.kernel.package: not a flavour's own: all flavours share packages/lock.toml\n  \
                 hint: move it out of the flavour",
                "distro.toml:41: flavour.a.sources: not a flavour's own: all flavours share packages/lock.toml\n  hint: \
                 move it out of the flavour",
                "distro.toml:42: flavour.b.default: a second default, a is one already\n  hint: remove one",
                "distro.toml:44: flavour.b.summary: bad value, expected one line of text, found the integer 1",
                "distro.toml:45: flavour.C: bad key, expected lower-case letters, digits and \"-\", a letter first, at most \
                 63, found \"C\"\n  hint: did you mean \"c\"?",
            ],
        ),
        (
            "[flavor.a]\n[boot.flavour]\n",
            &[
                "distro.toml:38: flavor: unknown key\n  hint: did you mean \"flavour\"?",
                "distro.toml:39: boot.flavour: unknown key\n  hint: valid here: timeout, command-line, uefi, signing",
            ],
        ),
    ] {
        assert_eq!(problems(&flavoured(flavours)), expected, "{flavours}");
    }
}

#[test]
fn a_flavour_that_is_not_there() {
    let dir = flavoured(FLAVOURS);
    for (name, hint) in [("smal", "did you mean \"small\"?"), ("x", "it has large, plain, small")] {
        let error = load_flavour(dir.path(), Some(name)).unwrap_err();
        let expected = format!("the project has a problem\ndistro.toml: no flavour {name:?}\n  hint: {hint}");
        assert_eq!((error.to_string(), exit_code(&error)), (expected, contract::exit::CONFIG));
    }
    let error = load_flavour(project().path(), Some("x")).unwrap_err();
    assert_eq!(error.to_string(), "the project has a problem\ndistro.toml: no flavour \"x\"");
}
