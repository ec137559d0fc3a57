//! Wrong values of recipes.

use super::*;

#[test]
fn wrong_values_of_recipes() {
    let file = "packages/podman.toml";
    run(&[
        (
            file,
            "[\"podman\"]",
            "[\"Podman\"]",
            &[
                "packages/podman.toml:3: packages: bad value, expected a Debian package: lower-case letters, digits and any of \
             \"+-.\", found \"Podman\"",
            ],
        ),
        (
            file,
            "packages = [\"podman\"]",
            "",
            &["packages/podman.toml:4: files: no package to take files from, expected packages = [\"NAME\"]"],
        ),
        (
            file,
            "\"/usr/bin/podman\", \"",
            "\"usr/bin/podman\", \"/usr/../x\", \"/a[\", \"",
            &[
                "packages/podman.toml:4: files: bad value, expected an absolute path or pattern without \"..\", \".\" and \
             \"//\", found \"usr/bin/podman\"\n  hint: did you mean \"/usr/bin/podman\"?",
                "packages/podman.toml:4: files: bad value, expected an absolute path or pattern without \"..\", \".\" and \
             \"//\", found \"/usr/../x\"",
                "packages/podman.toml:4: files: bad value, expected an absolute path or pattern without \"..\", \".\" and \
             \"//\", found \"/a[\"",
            ],
        ),
        (
            file,
            "\"libnss_files.so.2\"",
            "\"/lib/libnss_files.so.2\"",
            &["packages/podman.toml:6: libraries: bad value, expected a soname such as \"libnss_files.so.2\", found \
             \"/lib/libnss_files.so.2\""],
        ),
        (
            file,
            "\"/usr/bin/docker\" =",
            "\"usr/bin/docker\" =",
            &[
                "packages/podman.toml:9: links.\"usr/bin/docker\": bad key, expected an absolute path without \"..\", \".\" and \
             \"//\", found \"usr/bin/docker\"\n  hint: did you mean \"/usr/bin/docker\"?",
            ],
        ),
        (
            file,
            "\"0755\"",
            "\"0799\"",
            &[
                "packages/podman.toml:12: modes.\"/usr/bin/podman\": bad value, expected three or four octal digits such as \
             \"0755\", found \"0799\"",
            ],
        ),
        (
            file,
            "\"0755\"",
            "755",
            &[
                "packages/podman.toml:12: modes.\"/usr/bin/podman\": wrong type, expected a string, found the integer 755",
            ],
        ),
        (
            file,
            "[links]",
            "applets = { program = \"/bin/x\", folder = \"bin\" }\n[links]",
            &[
                "packages/podman.toml:8: applets.folder: bad value, expected an absolute path without \"..\", \".\" and \"//\", \
             found \"bin\"\n  hint: did you mean \"/bin\"?",
                "packages/podman.toml:8: applets.program: bad value, expected one of the recipe's files, found \"/bin/x\"\n  \
             hint: add it to files",
            ],
        ),
        (file, "[links]", "applets = { program = \"/usr/lib/podman/a/b\", folder = \"/bin\" }\n[links]", &[]),
        (
            file,
            "\"podman\"\ncommand",
            "\"Podman\"\ncommand",
            &[
                "packages/podman.toml:22: service.name: bad value, expected lower-case letters, digits and \"-\", a letter \
             first, at most 63, found \"Podman\"\n  hint: did you mean \"podman\"?",
            ],
        ),
        (
            file,
            "[\"/usr/bin/podman\"]",
            "[\"podman\"]",
            &[
                "packages/podman.toml:40: service.command: bad value, expected the absolute path of a program first, found \
             \"podman\"\n  hint: write where it is in the image, as /usr/bin/NAME",
            ],
        ),
        (
            file,
            "[\"/usr/bin/podman\"]",
            "[]",
            &["packages/podman.toml:40: service.command: bad value, expected at least one element, found none"],
        ),
        (
            file,
            "TMPDIR",
            "\"TMP DIR\"",
            &[
                "packages/podman.toml:24: service.env.\"TMP DIR\": bad key, expected letters, digits and \"_\", no digit first, \
             found \"TMP DIR\"",
            ],
        ),
        (
            file,
            "\"socket /run",
            "\"sokcet /run",
            &[
                "packages/podman.toml:27: service.ready: bad value, expected \"started\", \"exit\", \"notify\", \"socket PATH\" or \"file \
             PATH\", found \"sokcet /run/podman/podman.sock\"\n  hint: did you mean \"socket /run/podman/podman.sock\"?",
            ],
        ),
        (
            file,
            "listen = \"/run/podman/podman.sock\"\nlisten-mode = \"0660\"",
            "listen = \"run/podman.sock\"\nlisten-mode = \"rw\"",
            &[
                "packages/podman.toml:28: service.listen: bad value, expected an absolute path without \"..\", \".\" and \
             \"//\", at most 107 bytes, found \"run/podman.sock\"\n  hint: did you mean \"/run/podman.sock\"?",
                "packages/podman.toml:29: service.listen-mode: bad value, expected three or four octal digits such as \
             \"0755\", found \"rw\"",
            ],
        ),
        (
            file,
            "listen = \"/run/podman/podman.sock\"\n",
            "",
            &[
                "packages/podman.toml:28: service.listen-mode: no socket it could be for, expected listen = \"/PATH\"",
                "packages/podman.toml:29: service.listen-user: no socket it could be for, expected listen = \"/PATH\"",
            ],
        ),
        (
            file,
            "\"on-failure\"",
            "\"onfailure\"",
            &[
                "packages/podman.toml:31: service.restart: bad value, expected \"always\", \"on-failure\" or \"no\", found \
             \"onfailure\"\n  hint: did you mean \"on-failure\"?",
            ],
        ),
        (
            file,
            "\"INT\"",
            "\"SIGTERM\"",
            &[
                "packages/podman.toml:33: service.stop-signal: bad value, expected one of HUP, INT, QUIT, KILL, USR1, USR2, \
             TERM, WINCH, PWR, found \"SIGTERM\"\n  hint: did you mean \"TERM\"?",
            ],
        ),
        (
            file,
            "required = true",
            "required = \"yes\"",
            &[
                "packages/podman.toml:35: service.required: wrong type, expected true or false, found the string \"yes\"",
            ],
        ),
        (
            file,
            "where = \"container\"",
            "where = \"machines\"",
            &[
                "packages/podman.toml:36: service.where: bad value, expected \"machine\" or \"container\", found \"machines\"\n  \
             hint: did you mean \"machine\"?",
            ],
        ),
        (
            "packages/base.toml",
            "restart = \"no\"\n",
            "",
            &[
                "packages/base.toml:4: service.restart: bad value, expected \"no\" or \"on-failure\" for a service with ready = \
             \"exit\", found \"always\"\n  hint: write restart = \"no\"",
            ],
        ),
        (
            file,
            "schema = 1",
            "schema = 7\nfoo = 1",
            &[
                "packages/podman.toml:1: schema: made for a newer mkdistro, expected 1, found 7\n  hint: use a newer mkdistro",
            ],
        ),
    ]);
}
