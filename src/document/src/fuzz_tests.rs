//! Readers of what comes from outside, fed with broken input: none may panic, hang or take memory without bounds.

use std::hint::black_box;

use fuzz::Fuzz;

use crate::{DOCUMENT, Document, Table, check, ignition, json, merge, network_config, parse, smbios, user_data, write};

const CLOUD: &str = include_str!("../testdata/user-data");
const NETWORK_1: &str = include_str!("../testdata/network-config-v1");
const NETWORK_2: &str = include_str!("../testdata/network-config-v2");
const IGNITION: &str = include_str!("../testdata/ignition.json");
const FULL: &str = include_str!("../testdata/full.toml");

/// What follows in the guest; what the check has passed must be writable and read the same again.
fn follow(mut table: Table) {
    check(&mut table, DOCUMENT);
    let again = parse(&write(&table)).0;
    assert_eq!(Document::of(&again), Document::of(&table));
    let mut merged = table.clone();
    merge(&mut merged, table, DOCUMENT);
    black_box(Document::of(&merged));
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn fuzz_document() {
    let tokens = ["[[files]]", "path = ", "\"\"\"", "[network]", "= {", "]]", "1e9", "2026-01-01", "\\u0000"];
    Fuzz::new("fuzz_document").seed(FULL).tokens(&tokens).iterations(600).run(|bytes| {
        let (table, problems) = parse(&text(bytes));
        black_box(problems.iter().map(ToString::to_string).collect::<Vec<_>>());
        follow(table);
    });
}

#[test]
fn fuzz_cloud_config() {
    let tokens = ["#cloud-config\n", "#!/bin/sh\n", "&a ", "*a", "<<: ", "- ", "|\n", "? ", "!!binary ", "users:", "~"];
    Fuzz::new("fuzz_cloud_config")
        .seed(CLOUD)
        .tokens(&tokens)
        .iterations(600)
        .run(|bytes| follow(user_data::read(bytes).table));
}

#[test]
fn fuzz_meta_data() {
    let seed = "instance-id: i-1\nlocal-hostname: box\npublic-keys:\n  - ssh-ed25519 AAAA\n";
    Fuzz::new("fuzz_meta_data")
        .seed(seed)
        .iterations(600)
        .run(|bytes| drop(black_box(user_data::read_meta_data(&text(bytes)))));
}

#[test]
fn fuzz_network_config() {
    let tokens = ["version: 1", "version: 2", "network:", "subnets:", "ethernets:", "netmask: ", "255.255.0.0", "::/0"];
    let fuzz = Fuzz::new("fuzz_network_config").seed(NETWORK_1).seed(NETWORK_2).tokens(&tokens);
    fuzz.iterations(600).run(|bytes| follow(network_config::read(&text(bytes)).0));
}

#[test]
fn fuzz_json() {
    let seed = "{\"Id\":\"a\",\"n\":[1,-2,3.5,null,true],\"o\":{\"x\":{}}}";
    let tokens = ["\\ud83d\\ude00", "\\u", "\\\"", "[[", "{\"", "\":", "1e9", "&a ", "*a", "<<"];
    Fuzz::new("fuzz_json")
        .seed(seed)
        .tokens(&tokens)
        .iterations(600)
        .run(|bytes| drop(black_box(json::parse(&text(bytes)))));
}

#[test]
fn fuzz_ignition() {
    let tokens = ["\"files\"", "data:;base64,", "data:,", "%2f", "\\ud83d\\ude00", "\\u", "null", "{}"];
    let fuzz = Fuzz::new("fuzz_ignition").seed(IGNITION).tokens(&tokens);
    fuzz.iterations(600).run(|bytes| follow(ignition::read(&text(bytes)).0));
}

#[test]
fn fuzz_smbios() {
    let mut table = vec![1, 6, 0, 1, 9, 9, b'a', 0, 0, 11, 5, 0, 2, 2];
    table.extend(b"org.mkdistro.config=a\0two\0\0\x04\x04\0\x03\0\0\x7f\x04\0\x04\0\0");
    Fuzz::new("fuzz_smbios").seed(table).iterations(600).run(|bytes| drop(black_box(smbios::oem_strings(bytes))));
}
