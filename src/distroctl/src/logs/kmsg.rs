//! Records of `/dev/kmsg` (kernel `Documentation/ABI/testing/dev-kmsg`): `PRIORITY,SEQUENCE,MICROSECONDS,FLAGS[,…];TEXT`, then
//! lines that begin with a space and belong to the record's device. One read gives one record.
//!
//! PID 1 and this program write there too: then the text begins with the name of who wrote it.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;

use super::line::INFO;

/// No record is longer (`PRINTK_MESSAGE_MAX` of `kernel/printk/printk.c`, 2048, and its prefix and device).
const RECORD_MAX: usize = 8192;
const DEBUG: u8 = 7;

/// A record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) severity: u8,
    /// Of the kernel's own clock.
    pub(super) clock_us: u64,
    pub(super) source: &'a str,
    pub(super) text: &'a str,
}

/// Reads one; `None` if it is none.
pub(super) fn parse(record: &str) -> Option<Record<'_>> {
    let (head, rest) = record.split_once(';')?;
    let mut fields = head.split(',');
    let priority: u32 = fields.next()?.parse().ok()?;
    let clock_us = fields.nth(1)?.parse().ok()?;
    let text = rest.lines().next().unwrap_or_default();
    let severity = (priority & 7) as u8;
    if priority >> 3 == 0 {
        return Some(Record { severity, clock_us, source: "kernel", text });
    }
    // PID 1's are of the lowest severity so that the kernel does not print them a second time.
    let severity = if severity == DEBUG { INFO } else { severity };
    let (source, text) = sender(text).unwrap_or(("user", text));
    Some(Record { severity, clock_us, source, text })
}

fn sender(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.split_once(": ")?;
    let is_name =
        (1..=32).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    is_name.then_some((name, rest))
}

/// The open device.
pub(super) struct Kmsg {
    file: File,
    buffer: Vec<u8>,
}

impl Kmsg {
    /// From the first record that the kernel still has, or from now on.
    pub(super) fn open(from_now: bool) -> io::Result<Self> {
        let mut file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg")?;
        if from_now {
            file.seek(SeekFrom::End(0))?;
        }
        Ok(Self { file, buffer: vec![0; RECORD_MAX] })
    }

    /// Gives what has come since, at most `count` records; false if there may be more.
    pub(super) fn read(&mut self, count: usize, mut each: impl FnMut(&Record<'_>)) -> bool {
        for _ in 0..count {
            match rustix::io::read(&self.file, &mut self.buffer) {
                Ok(length) if length > 0 => {
                    let text = String::from_utf8_lossy(self.buffer.get(..length).unwrap_or_default());
                    parse(&text).iter().for_each(&mut each);
                }
                // Records were overwritten before they were read; the next read gives the oldest left.
                Err(rustix::io::Errno::PIPE) => {
                    let text = "messages were lost: there were too many at once";
                    each(&Record { severity: 4, clock_us: u64::MAX, source: "kernel", text });
                }
                Err(rustix::io::Errno::INTR) => {}
                _ => return true,
            }
        }
        false
    }
}

impl AsFd for Kmsg {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::{Record, parse};

    #[test]
    fn reads_records() {
        let record = |severity, clock_us, source, text| Some(Record { severity, clock_us, source, text });
        assert_eq!(
            parse(
                "7,160,424069,-;pci_root PNP0A03:00: host bridge window (ignored)\n SUBSYSTEM=acpi\n DEVICE=+acpi:1\n"
            ),
            record(7, 424_069, "kernel", "pci_root PNP0A03:00: host bridge window (ignored)")
        );
        assert_eq!(
            parse("31,2300,5140900,-,caller=T1;init: sshd: ended\n"),
            record(6, 5_140_900, "init", "sshd: ended")
        );
        assert_eq!(parse("30,1,7,c;distroctl: warning: x"), record(6, 7, "distroctl", "warning: x"));
        assert_eq!(parse("13,1,7,-;a b: c\n"), record(5, 7, "user", "a b: c"));
        assert_eq!(parse("6,1,7,-;"), record(6, 7, "kernel", ""));
        for wrong in ["", "6", "6,1,7", "x,1,7,-;t", "6,1,x,-;t", ";t", "6;t"] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn rubbish_is_no_record() {
        fuzz::Fuzz::new("kmsg")
            .seed("7,160,424069,-;pci_root PNP0A03:00: x\n SUBSYSTEM=acpi\n")
            .seed("31,2300,5140900,-,caller=T1;init: sshd: ended\n")
            .tokens(&[";", ",", ": ", "\n "])
            .run(|input| {
                let text = String::from_utf8_lossy(input);
                if let Some(record) = parse(&text) {
                    assert!(record.severity <= 7 && !record.source.contains(' ') && !record.text.contains('\n'));
                }
            });
    }
}
