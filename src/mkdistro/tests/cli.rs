//! The program as a user calls it: stdout, stderr and exit status, byte for byte. None of it needs a network.
#![expect(clippy::unwrap_used, reason = "in a test's own functions too, a panic is the verdict")]

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

const HELP: &str = "\
Builds bootable, RAM-resident micro Linux distributions that run containers

Usage: mkdistro [OPTIONS] <COMMAND>

Commands:
  add          Add Debian packages or built-in recipes to the distribution
  build        Build the distribution: distro.toml → out.iso
  burn         Write an ISO or raw disk to a USB stick or card, and check it
  cache        Show what the cache holds, or empty it
  completions  Print a shell's completion script
  diff         Show how two images differ: packages, kernel, files, sizes
  doctor       Say what this machine lacks, and the command that brings it
  flavours     List the flavours of distro.toml: what each of them adds up to
  inspect      Show what is in an image, initramfs, SquashFS, package or lock
  kernel       Check, show and weigh the kernel
  keygen       Make a key pair that signs images
  licenses     List the licences of what is in the image
  lint         Check the root for what should not be in an image
  lock         Resolve recipes to exact packages: writes packages/lock.toml
  man          Write the man pages
  matrix       Build and boot every suite with every flavour; table the versions
               that run
  new          Start a project in a new folder
  outdated     List locked packages that the suites have in newer versions
  remove       Take recipes out of the distribution
  report       Show what the image consists of and what everything costs
  run          Boot the distribution under QEMU, with its console in this
               terminal
  sbom         Write the bill of materials: every file, its package and licence
  serve        Serve a folder over HTTP, for machines that boot from the network
  shell        A command line inside the root, without booting it
  sources      Fetch the exact sources of what is in the image
  validate     Check what a running image is told, before it boots
  verify       Build an image again from the recipe inside of it, and compare
  help         Print this message or the help of the given subcommand(s)

Options:
  -q, --quiet    Print warnings and errors only
  -v, --verbose  Print every step
  -h, --help     Print help
  -V, --version  Print version

Exit codes:
  0 done
  1 failed
  2 wrong usage
  3 distro.toml, a recipe, a kernel fragment or the overlay is wrong
  4 a file could not be downloaded
  5 a signature, hash or size is wrong
  6 the lock does not fit
  7 the output could not be written
";

#[test]
fn a_new_project_needs_nothing_else() {
    let dir = TempDir::new().unwrap();
    let stdout = "box/.gitignore\nbox/distro.toml\nbox/overlay/etc/motd\n";
    let stderr = "next: cd box && mkdistro build && mkdistro run\n";
    assert_eq!(run(dir.path(), &["new", "box"]), (0, stdout.into(), stderr.into()));
    assert_eq!(run(dir.path(), &["--quiet", "new", "quiet-box"]).2, "");
    let stderr = "error: making the project folder box: it exists and is not empty\n\
                  hint: choose another name; nothing is ever overwritten\n";
    fails(&dir, &["new", "box"], 7, stderr);
    // With the lock that is built in it is complete; only the packages are missing.
    let cache = dir.path().join("cache");
    let arguments = ["build", "--offline", "--project", "box", "--cache", cache.to_str().unwrap()];
    let (status, stdout, stderr) = run(dir.path(), &arguments);
    assert_eq!((status, stdout.as_str()), (4, ""), "{stderr}");
    assert!(stderr.starts_with("wrote packages/lock.toml: "), "{stderr}");
    assert!(stderr.contains(" packages, the versions built into this mkdistro\n"), "{stderr}");
    assert!(stderr.contains("error: not in the cache, and --offline was given: "), "{stderr}");
    assert_eq!(run(dir.path(), &["lock", "--check", "--project", "box"]), (0, String::new(), String::new()));
}

#[test]
fn templates_are_listed() {
    let (status, stdout, stderr) = run(TempDir::new().unwrap().path(), &["new", "--list"]);
    assert_eq!((status, stderr.as_str()), (0, ""));
    let names: Vec<&str> = stdout.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, ["podman", "docker", "web", "minimal"]);
}

/// A project that is right but for its lock, which it has none of.
fn project() -> TempDir {
    let dir = TempDir::new().unwrap();
    write(
        dir.path(),
        "distro.toml",
        "schema = 1\n\n[distro]\nname = \"toy\"\nversion = \"1\"\n\n[root]\nrecipes = [\"shell\"]\n\n[kernel]\nconfig = []\n",
    );
    write(dir.path(), "packages/debian-archive-keyring.asc", "keys\n");
    write(
        dir.path(),
        "packages/shell.toml",
        "schema = 1\nsummary = \"A shell\"\npackages = [\"busybox-static\"]\nfiles = [\"/usr/bin/busybox\"]\n",
    );
    dir
}

fn write(dir: &Path, file: &str, text: &str) {
    let path = dir.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Runs mkdistro in a folder, with nothing of the caller's environment.
fn run(dir: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mkdistro"));
    let output = command.args(arguments).current_dir(dir).env_clear().output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Expects a failure that prints nothing to stdout and changes nothing in the folder.
fn fails(dir: &TempDir, arguments: &[&str], status: i32, stderr: &str) {
    let before = names(dir.path());
    assert_eq!(run(dir.path(), arguments), (status, String::new(), stderr.to_string()), "{arguments:?}");
    assert_eq!(names(dir.path()), before, "{arguments:?}");
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn without_arguments_it_shows_the_help_as_an_error() {
    fails(&TempDir::new().unwrap(), &[], 2, HELP);
}

#[test]
fn help_and_version_are_data() {
    let dir = TempDir::new().unwrap();
    assert_eq!(run(dir.path(), &["--help"]), (0, HELP.into(), String::new()));
    let version = format!("mkdistro {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(run(dir.path(), &["--version"]), (0, version, String::new()));
}

#[test]
fn wrong_usage() {
    let dir = TempDir::new().unwrap();
    for (arguments, stderr) in [
        (
            &["bake"][..],
            "error: unrecognized subcommand 'bake'\n\nUsage: mkdistro [OPTIONS] <COMMAND>\n\n\
             For more information, try '--help'.\n",
        ),
        (
            &["biuld"],
            "error: unrecognized subcommand 'biuld'\n\n  tip: a similar subcommand exists: 'build'\n\n\
             Usage: mkdistro [OPTIONS] <COMMAND>\n\nFor more information, try '--help'.\n",
        ),
        (
            &["build", "--ofline"],
            "error: unexpected argument '--ofline' found\n\n  tip: a similar argument exists: '--offline'\n\n\
             Usage: mkdistro build --offline\n\nFor more information, try '--help'.\n",
        ),
        (
            &["lock", "--check", "--update"],
            "error: the argument '--check' cannot be used with '--update [<PACKAGE>...]'\n\nUsage: mkdistro lock --check\n\n\
             For more information, try '--help'.\n",
        ),
    ] {
        fails(&dir, arguments, 2, stderr);
    }
}

#[test]
fn outside_of_a_project() {
    let dir = TempDir::new().unwrap();
    let stderr = "error: the project has a problem\n\
                  distro.toml: missing file\n  hint: run it in a project's folder, or name that folder with --project\n";
    for arguments in [
        &["build"][..],
        &["build", "--quiet"],
        &["build", "-v"],
        &["lock"],
        &["lock", "--check"],
        &["sbom"],
        &["licenses"],
        &["sources"],
    ] {
        fails(&dir, arguments, 3, stderr);
    }
    fails(&dir, &["build", "--project", "no/where"], 3, stderr);
}

#[test]
fn every_mistake_of_a_project_at_once() {
    let dir = project();
    write(
        dir.path(),
        "distro.toml",
        "schema = 1\n\n[distro]\nname = \"toy\"\nversion = \"1\"\nhostnam = \"box\"\n\n\
         [root]\nrecipes = [\"shel\"]\ncompression = \"zstd:23\"\n\n[kernel]\nconfig = []\n",
    );
    let stderr = "error: the project has 3 problems\n\
                  distro.toml:6: distro.hostnam: unknown key\n  hint: did you mean \"hostname\"?\n\
                  distro.toml:9: root.recipes: unknown recipe, expected a file of packages/ without .toml, found \
                  \"shel\"\n  hint: did you mean \"shell\"?\n\
                  distro.toml:10: root.compression: bad value, expected \"xz\" or \"zstd:LEVEL\" with a level from 1 to 22, \
                  found \"zstd:23\"\n  hint: did you mean \"zstd:17\"?\n";
    fails(&dir, &["build"], 3, stderr);
}

#[test]
fn flavours_are_listed_and_chosen() {
    let dir = project();
    let text = fs::read_to_string(dir.path().join("distro.toml")).unwrap();
    let flavours =
        "[flavour.big]\nsummary = \"With more\"\nroot.add-recipes = [\"shell\"]\n[flavour.usual]\ndefault = true\n";
    write(dir.path(), "distro.toml", &format!("{text}{flavours}"));
    let stderr = "error: the project has a problem\n\
                  distro.toml:14: flavour.big.root.add-recipes: \"shell\" is given twice\n  hint: remove one\n";
    // Also when another one is built.
    fails(&dir, &["build", "--flavour", "usual"], 3, stderr);
    write(dir.path(), "distro.toml", &format!("{text}{}", flavours.replace("add-recipes", "recipes")));
    let listed = "* usual  shell\n  big    With more: shell\n";
    assert_eq!(run(dir.path(), &["flavours"]), (0, listed.into(), String::new()));
    let json = "[{\"name\":\"usual\",\"summary\":\"\",\"default\":true,\"recipes\":[\"shell\"]},\
                {\"name\":\"big\",\"summary\":\"With more\",\"default\":false,\"recipes\":[\"shell\"]}]\n";
    assert_eq!(run(dir.path(), &["flavours", "--json"]), (0, json.into(), String::new()));
    let stderr = "error: the project has a problem\ndistro.toml: no flavour \"bigg\"\n  hint: did you mean \"big\"?\n";
    fails(&dir, &["build", "--flavour", "bigg"], 3, stderr);
    write(dir.path(), "distro.toml", &text);
    assert_eq!(run(dir.path(), &["flavours"]), (0, "* -  shell\n".into(), String::new()));
}

#[test]
fn without_a_lock() {
    let dir = project();
    let stderr = "error: reading packages/lock.toml: No such file or directory (os error 2)\nhint: \"mkdistro lock\" writes it\n";
    fails(&dir, &["lock", "--check"], 6, stderr);
    fails(&dir, &["build", "--offline"], 6, stderr);
    let elsewhere = TempDir::new().unwrap();
    fails(&elsewhere, &["lock", "--check", "--project", dir.path().to_str().unwrap()], 6, stderr);
}

#[test]
fn with_a_lock_that_does_not_fit() {
    let dir = project();
    write(dir.path(), "packages/lock.toml", "schema = 1\n");
    let (status, stdout, stderr) = run(dir.path(), &["lock", "--check"]);
    assert_eq!((status, stdout.as_str()), (6, ""));
    assert!(stderr.starts_with("error: reading packages/lock.toml: "), "{stderr}");
    assert!(stderr.ends_with("\nhint: the file was edited or damaged; \"mkdistro lock\" writes it anew\n"), "{stderr}");
}

#[test]
fn run_without_an_iso_or_a_project() {
    let stderr = "error: none.iso does not exist\nhint: \"mkdistro build\" makes one\n";
    fails(&TempDir::new().unwrap(), &["run", "none.iso"], 1, stderr);
    let (status, stdout, stderr) = run(TempDir::new().unwrap().path(), &["run"]);
    assert_eq!((status, stdout.as_str()), (3, ""));
    assert!(stderr.contains("\ndistro.toml: missing file\n"), "{stderr}");
}

#[test]
fn the_cache_is_shown_and_emptied() {
    let dir = TempDir::new().unwrap();
    write(dir.path(), "cache/blocks/ab/abcd", "0123456789");
    write(dir.path(), "cache/sha256/cd/cdef", "01234");
    let listed = "    0.0 MB       1 files  sha256    downloads\n    0.0 MB       1 files  blocks    compressed blocks\n\
                  cache holds 0.0 MB\n";
    assert_eq!(run(dir.path(), &["cache", "--cache", "cache"]), (0, listed.into(), String::new()));
    let freed = "    0.0 MB       1 files  blocks    compressed blocks\ncache freed 0.0 MB\n";
    assert_eq!(run(dir.path(), &["cache", "clean", "--cache", "cache"]), (0, freed.into(), String::new()));
    let json = "[{\"name\":\"sha256\",\"what\":\"downloads\",\"files\":1,\"bytes\":5}]\n";
    assert_eq!(run(dir.path(), &["cache", "--json", "--cache", "cache"]), (0, json.into(), String::new()));
    assert_eq!(run(dir.path(), &["cache", "clean", "--all", "--cache", "cache"]).0, 0);
    assert_eq!(names(&dir.path().join("cache")), [""; 0]);
}

#[test]
fn inspects_and_compares_locks() {
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packages/lock.toml");
    let dir = TempDir::new().unwrap();
    let (status, stdout, stderr) = run(dir.path(), &["inspect", lock, "--json"]);
    assert_eq!((status, stderr.as_str()), (0, ""));
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&json["format"], &json["parts"][0]["name"]), (&"lock".into(), &"lock".into()));
    assert_eq!(run(dir.path(), &["diff", lock, lock]), (0, "identical\n".into(), String::new()));
    let text = fs::read_to_string(lock).unwrap();
    let line = text.lines().find(|line| line.starts_with("version = ")).unwrap();
    write(dir.path(), "new.toml", &text.replacen(line, "version = \"9:9\"", 1));
    let old = line.split('"').nth(1).unwrap();
    let (_, stdout, _) = run(dir.path(), &["diff", lock, "new.toml"]);
    assert!(stdout.starts_with(&format!("packages:\n  ~ aardvark-dns {old} → 9:9\n")), "{stdout}");
}

#[test]
fn unknown_files_are_named() {
    let dir = TempDir::new().unwrap();
    write(dir.path(), "x", "text");
    fails(&dir, &["inspect", "x"], 1, "error: x: its format is not known\n");
    fails(&dir, &["inspect", "none"], 1, "error: reading none\n  caused by: No such file or directory (os error 2)\n");
    fails(&dir, &["verify", "x"], 1, "error: verifying x\n  caused by: its format is not known\n");
    let stderr = "error: comparing x with x\n  caused by: the format of the first file is not known\n";
    fails(&dir, &["diff", "x", "x"], 1, stderr);
}
