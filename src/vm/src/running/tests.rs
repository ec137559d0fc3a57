//! Real machines with a guest of one sector: a boot record that prints a text on COM1, echoes what is typed and ends
//! QEMU with status 1 on `q`.

use super::*;
use crate::Accelerator;
use crate::machine::{Boot, Bus, Disk, DiskFormat};

const LIMIT: Duration = Duration::from_secs(120);
const TEXT_AT: usize = 64;

/// 16-bit code at 0000:7C00, COM1 at 0x3F8 (data) and 0x3FD (line status: bit 0 received, bit 5 sender empty).
#[rustfmt::skip]
const CODE: [u8; 63] = [
    0x31, 0xc0, 0x8e, 0xd8, 0xfc,       // xor ax, ax; mov ds, ax; cld
    0xbe, 0x40, 0x7c,                   // mov si, text
    0xac, 0x84, 0xc0, 0x74, 0x05,       // next: lodsb; test al, al; jz echo
    0xe8, 0x1e, 0x00, 0xeb, 0xf6,       // call put; jmp next
    0xba, 0xfd, 0x03, 0xec,             // echo: mov dx, 0x3fd; in al, dx
    0xa8, 0x01, 0x74, 0xf8,             // test al, 1; jz echo
    0xba, 0xf8, 0x03, 0xec,             // mov dx, 0x3f8; in al, dx
    0x3c, b'q', 0x74, 0x05,             // cmp al, 'q'; je exit
    0xe8, 0x09, 0x00, 0xeb, 0xeb,       // call put; jmp echo
    0xb0, 0x00, 0xba, 0xf4, 0x00, 0xee, 0xf4, // exit: mov al, 0; mov dx, 0xf4; out dx, al; hlt
    0x88, 0xc4, 0xba, 0xfd, 0x03,       // put: mov ah, al; mov dx, 0x3fd
    0xec, 0xa8, 0x20, 0x74, 0xfb,       // wait: in al, dx; test al, 0x20; jz wait
    0xba, 0xf8, 0x03, 0x88, 0xe0, 0xee, 0xc3, // mov dx, 0x3f8; mov al, ah; out dx, al; ret
];

fn started(folder: &Path, text: &str) -> Vm {
    let mut sector = [0; 512];
    sector[..CODE.len()].copy_from_slice(&CODE);
    sector[TEXT_AT..TEXT_AT + text.len()].copy_from_slice(text.as_bytes());
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    let path = folder.join("disk");
    std::fs::write(&path, [&sector[..], &[0; 1 << 20]].concat()).unwrap();
    let disk = Disk { path, format: DiskFormat::Raw, bus: Bus::Ide };
    let mut machine = Machine::new(Accelerator::best(), Boot::Disk(disk));
    machine.memory_mib = 16;
    machine.cpus = 1;
    machine.network = Network::None;
    machine.extra = vec!["-device".into(), "isa-debug-exit,iobase=0xf4,iosize=4".into()];
    Vm::start(machine, "core", &folder.join("log")).unwrap()
}

fn exactly(text: &'static str) -> impl FnMut(&str) -> Option<()> {
    move |line| (line == text).then_some(())
}

#[test]
fn console_qmp_and_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let vm = started(folder.path(), "hello\r\n");
    vm.wait_for_line("hello", LIMIT, exactly("hello")).unwrap();
    assert_eq!(vm.qmp().status().unwrap(), "running");
    vm.send_serial("echo\n").unwrap();
    vm.wait_for_line("the echo", LIMIT, exactly("echo")).unwrap();

    let screen = folder.path().join("screen.ppm");
    vm.qmp().screendump(&screen).unwrap();
    assert!(std::fs::read(&screen).unwrap().starts_with(b"P6"));

    vm.begin_boot();
    vm.qmp().system_reset().unwrap();
    vm.wait_for_line("hello again", LIMIT, exactly("hello")).unwrap();
    assert!(vm.ssh("true").unwrap_err().to_string().contains("without user-mode network"));

    vm.send_serial("q").unwrap();
    assert_eq!(vm.wait_exit(LIMIT).unwrap().code(), Some(1));
    assert_eq!(std::fs::read_to_string(vm.log()).unwrap(), "hello\r\necho\nhello\r\n");
}

#[test]
fn a_panic_and_the_power_cut() {
    let folder = tempfile::tempdir().unwrap();
    let vm = started(folder.path(), "Kernel panic: no\r\n");
    let begin = Instant::now();
    let error = vm.wait_for_line("nothing", LIMIT, |_| None::<()>).unwrap_err().to_string();
    assert!(begin.elapsed() < LIMIT);
    assert!(error.starts_with("waiting for nothing: the guest's kernel panicked: Kernel panic: no\nqemu: "), "{error}");
    assert!(error.contains(" -smp 1 ") && error.ends_with("\n  | Kernel panic: no"), "{error}");
    vm.kill().unwrap();
    assert_eq!(in_words(vm.wait_exit(LIMIT).unwrap()), "killed by signal 9");
}

#[test]
fn silence_has_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let vm = started(folder.path(), "");
    let error = vm.wait_for_line("a line", Duration::from_millis(10), |_| None::<()>).unwrap_err().to_string();
    assert!(error.starts_with("waiting for a line: not seen in 0 s\n"), "{error}");
    vm.qmp().quit().unwrap();
    assert_eq!(vm.wait_exit(LIMIT).unwrap().code(), Some(0));
}

#[test]
fn qemu_refuses_the_machine() {
    let folder = tempfile::tempdir().unwrap();
    let mut machine = Machine::new(Accelerator::Tcg, Boot::Cdrom("/no/such.iso".into()));
    machine.network = Network::None;
    let error = format!("{:#}", Vm::start(machine, "core", &folder.path().join("log")).err().unwrap());
    assert!(error.contains("QEMU: exit status 1") && error.contains("/no/such.iso"), "{error}");
    assert!(error.contains("No such file"), "{error}");
}

#[test]
fn the_screen_s_memory_as_text() {
    let memory: Vec<u8> = "init: a\u{fe}b ~\0".bytes().flat_map(|character| [character, 0x07]).collect();
    assert_eq!(screen_characters(&memory), "init: a  b ~ ");
}
