//! Files that do not fit together, and kernel fragments.

use super::*;

#[test]
fn recipes_and_services_must_fit() {
    run(&[
        (
            "packages/podman.toml",
            "needs = [\"base\"]",
            "needs = [\"bsae\"]",
            &[
                "packages/podman.toml:5: needs: unknown recipe, expected a file of packages/ without .toml, found \"bsae\"\n  \
             hint: did you mean \"base\"?",
            ],
        ),
        (
            "packages/base.toml",
            "summary = \"Base\"",
            "summary = \"Base\"\nneeds = [\"sshd\"]",
            &[
                "packages/base.toml:3: needs: recipes need each other: base -> sshd -> base\n  hint: remove one of these needs",
            ],
        ),
        (
            "packages/base.toml",
            "summary = \"Base\"",
            "summary = \"Base\"\nneeds = [\"base\"]",
            &["packages/base.toml:3: needs: recipes need each other: base -> base\n  hint: remove one of these needs"],
        ),
        (
            "packages/sshd.toml",
            "name = \"sshd\"",
            "name = \"podman\"",
            &[
                "packages/podman.toml:26: service.after: unknown service, expected the name of a [[service]], found \"sshd\"",
                "packages/sshd.toml:6: service.name: \"podman\" is also a service of packages/podman.toml:22, expected another \
             name",
            ],
        ),
        (
            "packages/podman.toml",
            "needs = [\"mounts\"]",
            "needs = [\"mount\"]",
            &[
                "packages/podman.toml:25: service.needs: unknown service, expected the name of a [[service]], found \"mount\"\n  \
             hint: did you mean \"mounts\"?",
            ],
        ),
        (
            "packages/podman.toml",
            "needs = [\"mounts\"]",
            "needs = [\"absent\", \"console-ttyS0\"]",
            &[
                "packages/podman.toml:25: service.needs: bad value, expected a service of a recipe in use, found \"absent\" of \
             extra\n  hint: add \"extra\" to the needs of the recipe",
            ],
        ),
        (
            "packages/sshd.toml",
            "name = \"sshd\"",
            "name = \"sshd\"\nafter = [\"podman-user\", \"podman\"]",
            &[
                "packages/podman.toml:21: service: services wait for each other: podman -> sshd -> podman\n  hint: remove one of \
             these needs or after",
            ],
        ),
        // A recipe that cannot be read may have had the service: only its own problem is told.
        (
            "packages/base.toml",
            "[[service]]",
            "[[service]",
            &["packages/base.toml:4: TOML syntax: unclosed array table, expected `]`"],
        ),
    ]);
}

#[test]
fn paths_must_fit() {
    run(&[
        (
            "packages/sshd.toml",
            "[[service]]",
            "[links]\n\"/etc/containers/podman.conf\" = \"x\"\n[[service]]",
            &[
                "packages/sshd.toml:6: links.\"/etc/containers/podman.conf\": \"/etc/containers/podman.conf\" is also made by \
             packages/podman.toml:18, expected one place that makes it\n  hint: remove one",
            ],
        ),
        (
            "packages/sshd.toml",
            "[[service]]",
            "[[write]]\npath = \"/usr/bin/podman/x\"\ncontent = \"\"\n[[service]]",
            &[],
        ),
        (
            "packages/sshd.toml",
            "[[service]]",
            "[[write]]\npath = \"/etc/containers\"\ncontent = \"\"\n[[service]]",
            &[
                "packages/podman.toml:18: write.path: \"/etc/containers/podman.conf\" is below \"/etc/containers\", which \
             packages/sshd.toml:6 makes a file",
            ],
        ),
        ("packages/sshd.toml", "[[service]]", "[[directory]]\npath = \"/var/lib/containers\"\n[[service]]", &[]),
        (
            "packages/sshd.toml",
            "[[service]]",
            "[[directory]]\npath = \"/var/lib/containers\"\nmode = \"0700\"\n[[service]]",
            &[
                "packages/sshd.toml:6: directory.path: \"/var/lib/containers\" is also made by packages/podman.toml:15, expected \
             one place that makes it\n  hint: remove one",
            ],
        ),
        // Not in use, so in nobody's way.
        ("packages/extra.toml", "[[service]]", "[links]\n\"/etc/containers/podman.conf\" = \"x\"\n[[service]]", &[]),
    ]);
    let dir = project();
    write(dir.path(), "overlay/var/lib/containers", "a file");
    write(dir.path(), "overlay/usr/bin/docker/x", "in a folder");
    write(dir.path(), "overlay/etc/containers/podman.conf", "replaces");
    assert_eq!(
        problems(&dir),
        [
            "overlay/usr/bin/docker: folder, expected a file: packages/podman.toml:9 makes \"/usr/bin/docker\" a file or link",
            "overlay/var/lib/containers: file, expected a folder: packages/podman.toml:15 makes \"/var/lib/containers\"",
        ]
    );
}

#[test]
fn kernel_fragments() {
    run(&[
        (
            "kernel-config/net.config",
            "CONFIG_BRIDGE=m",
            "CONFIG_NET=m",
            &["kernel-config/net.config:3: CONFIG_NET: asked for twice, expected \"CONFIG_NET=y\" as in \
             kernel-config/base.config:1, found \"CONFIG_NET=m\"\n  hint: remove one of the lines"],
        ),
        ("kernel-config/net.config", "CONFIG_NR_CPUS=64", "CONFIG_NET=y", &[]),
        (
            "kernel-config/net.config",
            "CONFIG_NR_CPUS=64",
            "BRIDGE = yes # all\nCONFIG_X\nCONFIG_Y=",
            &[
                "kernel-config/net.config:7: bad line, expected CONFIG_NAME=VALUE or a comment, found \"BRIDGE = yes # all\"\n  \
             hint: did you mean \"CONFIG_BRIDGE=y\"?",
                "kernel-config/net.config:8: bad line, expected CONFIG_NAME=VALUE or a comment, found \"CONFIG_X\"",
                "kernel-config/net.config:9: bad line, expected CONFIG_NAME=VALUE or a comment, found \"CONFIG_Y=\"",
            ],
        ),
        ("kernel-config/net.config", "CONFIG_BRIDGE=m", "# only: source\nCONFIG_NET=m", &[]),
        (
            "kernel-config/net.config",
            "CONFIG_BRIDGE=m",
            "# only: sources\nCONFIG_BRIDGE=m",
            &[
                "kernel-config/net.config:3: \"# only:\", expected \"package\" or \"source\", found \"sources\"\n  hint: did you \
             mean \"source\"?",
            ],
        ),
        (
            "kernel-config/net.config",
            "# modules: veth\n",
            "# modules: veth\n\n",
            &[
                "kernel-config/net.config:4: \"# modules:\" with no option below, expected CONFIG_NAME=VALUE\n  hint: put it \
             right above the option, without a blank line",
            ],
        ),
    ]);
    let text = "\
# Head

# Why one
# and two
#
# modules: a  b
CONFIG_ONE=m
CONFIG_TWO=y
# Why three
CONFIG_THREE=\"x y\"

# CONFIG_FOUR is not set
CONFIG_FIVE=n\r
CONFIG_SIX=0x10
# modules: c
CONFIG_SEVEN=m";
    let fragment = parse_fragment("x", Path::new("x.config"), text).unwrap();
    let told: Vec<(&str, &OptionValue, usize, &str, String)> = fragment
        .options
        .iter()
        .map(|option| {
            (option.name.as_str(), &option.value, option.line, option.reason.as_str(), option.modules.join(","))
        })
        .collect();
    assert_eq!(
        told,
        [
            ("CONFIG_ONE", &OptionValue::Module, 7, "Why one and two", "a,b".into()),
            ("CONFIG_TWO", &OptionValue::BuiltIn, 8, "Why one and two", String::new()),
            ("CONFIG_THREE", &OptionValue::Exactly("\"x y\"".into()), 10, "Why three", String::new()),
            ("CONFIG_FOUR", &OptionValue::Unset, 12, "", String::new()),
            ("CONFIG_FIVE", &OptionValue::Unset, 13, "", String::new()),
            ("CONFIG_SIX", &OptionValue::Exactly("0x10".into()), 14, "", String::new()),
            ("CONFIG_SEVEN", &OptionValue::Module, 16, "", "c".into()),
        ]
    );
}
