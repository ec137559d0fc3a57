//! The beginning of a D-Bus connection (D-Bus Specification 0.43, "Authentication Protocol"): lines until `BEGIN`. Who may
//! connect is said by the socket's mode, so the only mechanism is EXTERNAL, and everyone who has come this far is let in.

use std::io::{self, BufRead, Write};

/// No line is longer.
const LINE_MAX: u64 = 1024;
/// And no client needs more of them.
const LINES: usize = 16;

/// Answers until the client begins.
///
/// # Errors
/// Of the connection, and if the client does not keep to the protocol.
pub(super) fn run(input: &mut impl BufRead, output: &mut impl Write) -> io::Result<()> {
    // It carries the client's credentials; the kernel knows them anyway.
    let mut nul = [1u8];
    input.read_exact(&mut nul)?;
    if nul != [0] {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "no NUL byte at the beginning"));
    }
    for _ in 0..LINES {
        let mut line = String::new();
        io::Read::take(&mut *input, LINE_MAX).read_line(&mut line)?;
        let mut words = line.split_whitespace();
        let answer = match (words.next(), words.next(), words.next()) {
            (Some("BEGIN"), ..) => return Ok(()),
            (Some("AUTH"), Some("EXTERNAL"), None) => "DATA",
            // 32 hexadecimal digits; the identity of this server is of no use to anybody.
            (Some("AUTH"), Some("EXTERNAL"), Some(_)) | (Some("DATA"), ..) => "OK 00000000000000000000000000000001",
            (Some("AUTH" | "CANCEL" | "ERROR"), ..) => "REJECTED EXTERNAL",
            (None, ..) => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => "ERROR",
        };
        output.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "it does not begin"))
}

#[cfg(test)]
mod tests {
    use super::run;

    fn talk(said: &str) -> (bool, String) {
        let mut answers = Vec::new();
        let is_in = run(&mut said.as_bytes(), &mut answers).is_ok();
        (is_in, String::from_utf8(answers).unwrap())
    }

    const OK: &str = "OK 00000000000000000000000000000001\r\n";

    /// As podman's library does: it asks for the mechanisms, names its user, and asks for file descriptors.
    #[test]
    fn lets_in() {
        let said = "\0AUTH\r\nAUTH EXTERNAL 30\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n";
        assert_eq!(talk(said), (true, format!("REJECTED EXTERNAL\r\n{OK}ERROR\r\n")));
        assert_eq!(talk("\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"), (true, format!("DATA\r\n{OK}")));
    }

    #[test]
    fn ends_with_who_does_not_keep_to_it() {
        assert_eq!(talk("AUTH\r\nBEGIN\r\n"), (false, String::new()));
        assert!(!talk("\0AUTH\r\n").0);
        assert!(!talk("").0);
        assert!(!talk(&format!("\0{}", "X\r\n".repeat(1000))).0);
        assert!(!talk(&format!("\0{}", "x".repeat(1 << 20))).0);
    }
}
