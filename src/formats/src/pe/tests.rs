use super::*;

/// A program with two sections, room for three more headers, and symbols after the last section.
fn stub() -> Bytes {
    let mut file = vec![0; 0x400];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &0x80_u32.to_le_bytes());
    put(0x80, b"PE\0\0\x64\x86\x02\0");
    put(0x80 + 4 + 8, &0x800_u32.to_le_bytes());
    put(0x80 + 4 + 16, &240_u16.to_le_bytes());
    let optional = 0x98;
    put(optional, &0x20b_u16.to_le_bytes());
    for (offset, number) in [(8, 0x200_u32), (32, 0x1000), (36, 0x200), (56, 0x3000), (60, 0x400), (108, 16)] {
        put(optional + offset, &number.to_le_bytes());
    }
    for (index, (name, fields)) in
        [(b".text\0\0\0", [0x1f0_u32, 0x1000, 0x200, 0x400]), (b".sbat\0\0\0", [5, 0x2000, 0x200, 0x600])]
            .into_iter()
            .enumerate()
    {
        let at = optional + 240 + 40 * index;
        put(at, name);
        fields.iter().enumerate().for_each(|(field, number)| put(at + 8 + 4 * field, &number.to_le_bytes()));
    }
    file.extend([0x90; 0x200]);
    file.extend(b"sbat1");
    file.resize(0x800, 0);
    file.extend(b"symbols");
    file.into()
}

fn written(program: &Program) -> Bytes {
    let mut out = Vec::new();
    program.write(&mut out).unwrap();
    out.into()
}

fn example() -> Program {
    Program::append(
        &stub(),
        &[(".cmdline", "quiet".into()), (".linux", vec![7; 3000].into()), (".empty", Bytes::new())],
    )
    .unwrap()
}

#[test]
fn sections_are_appended_and_read_back() {
    let file = written(&example());
    let found = sections(&file).unwrap();
    let shown: Vec<_> =
        found.iter().map(|section| (section.name.as_str(), section.offset, section.content.len())).collect();
    assert_eq!(
        shown,
        [
            (".text", 0x400, 0x1f0),
            (".sbat", 0x600, 5),
            (".cmdline", 0x800, 5),
            (".linux", 0x1000, 3000),
            (".empty", 0x2000, 0),
        ]
    );
    assert_eq!((&found[1].content[..], &found[2].content[..]), (&b"sbat1"[..], &b"quiet"[..]));
    assert_eq!(file.len(), 0x2000);
    assert!(has_section(&file, ".linux") && has_section(&file, ".cmdline"));
    assert!(!has_section(&file, ".linu") && !has_section(&file, ".cmdlines") && !has_section(&file[..0x100], ".linux"));
    let field = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    assert_eq!((field(0x84 + 8), field(0x98 + 8), field(0x98 + 56)), (0, 0x200 + 2048 + 4096, 0x6000));
    let addresses: Vec<u32> = (0..5).map(|index| field(0x98 + 240 + 40 * index + 12)).collect();
    assert_eq!(addresses, [0x1000, 0x2000, 0x3000, 0x4000, 0x5000]);
    assert_eq!(signatures(&file).unwrap(), None);
}

#[test]
fn more_headers_move_the_sections() {
    let names: Vec<String> = (0..14).map(|number| format!(".s{number}")).collect();
    let more: Vec<(&str, Bytes)> = names.iter().map(|name| (name.as_str(), Bytes::from(name.repeat(10)))).collect();
    let file = written(&Program::append(&stub(), &more).unwrap());
    let found = sections(&file).unwrap();
    assert_eq!((found[0].offset, found[1].content.as_ref()), (0x600, &b"sbat1"[..]));
    assert_eq!(found[15].content, ".s13".repeat(10));
    assert!(found[2..].iter().all(|section| section.offset % SECTION_ALIGNMENT == 0));

    let many: Vec<(&str, Bytes)> = vec![(".x", Bytes::new()); 93];
    let error = Program::append(&stub(), &many).unwrap_err();
    assert_eq!(error.to_string(), "there is no room for 93 more section headers");
    let error = Program::append(&stub(), &[(".toolong8", Bytes::new())]).unwrap_err();
    assert_eq!(error.to_string(), "the name .toolong8 is longer than 8 bytes");
}

#[test]
fn a_signature_covers_all_but_itself() {
    let mut program = example();
    let before: Vec<u8> = program.signed_bytes().flatten().copied().collect();
    program.sign(&[0x30; 21]).unwrap();
    let file = written(&program);
    assert_eq!(signatures(&file).unwrap(), Some((0x2000, 32)));
    assert_eq!(file[0x2000..0x2008], [29, 0, 0, 0, 0, 2, 2, 0]);
    assert_eq!(signed_data(&file).unwrap(), Some(&[0x30; 21][..]));
    assert!(signed_data(&file[..0x2010]).is_err());
    let after: Vec<u8> = program.signed_bytes().flatten().copied().collect();
    assert!(before == after);
    assert_eq!(before.len(), 0x2000 - 4 - 8);
    // Appending to it drops the signature; the same sections as in one go.
    assert!(written(&Program::append(&file, &[]).unwrap()) == written(&example()));
}

#[test]
fn checksums_are_those_of_other_tools() {
    let file = written(&example());
    let at = 0x98 + 64;
    let mut sum = 0_u64;
    for (index, word) in file.chunks(2).enumerate() {
        if !(at..at + 4).contains(&(index * 2)) {
            sum += u64::from(u16::from_le_bytes([word[0], word[1]]));
            sum = (sum & 0xffff) + (sum >> 16);
        }
    }
    let expected = u32::try_from(sum).unwrap() + file.len() as u32;
    assert_eq!(file[at..at + 4], expected.to_le_bytes());
}

#[test]
fn damaged_programs_are_errors() {
    let file = stub();
    for length in 0..0x800 {
        assert!(Program::append(&file.slice(..length), &[]).is_err(), "{length:#x}");
    }
    for (at, byte, expected) in [
        (0, b'Z', "reading the DOS header at byte 0: expected \"MZ\", found \"ZZ\""),
        (0x98, 0x0c, "reading the optional header: expected PE32+ (0x20b), found 0x20c"),
        (0x98 + 108, 4, "it has 4 data directories, none for signatures"),
        (0x86, 97, "it has 97 sections, expected at most 96"),
        (0x98 + 240 + 40 + 21, 7, "section 1 is at byte 0x700 of the file, expected 0x600"),
    ] {
        let mut bad = file.to_vec();
        bad[at] = byte;
        assert_eq!(Program::append(&bad.into(), &[]).unwrap_err().to_string(), expected);
    }
}
