//! Requests to PID 1: one packet to the `SOCK_SEQPACKET` socket at [`crate::paths::CONTROL`], one packet back.
//!
//! A request is `VERB NAME`: `start`, `stop` or `restart` and a service's name, at most [`REQUEST_MAX`] bytes of ASCII. The
//! answer is `ok`, or `error` and a sentence. It comes when PID 1 has taken the request, not when it is done: what becomes of
//! the service stands in its file of [`crate::paths::SERVICE_STATE_DIR`].
//!
//! Packets, not a stream: a request is there whole or not at all, so PID 1 keeps nothing of half a request.

/// A longer packet is no request.
pub const REQUEST_MAX: usize = 80;
/// No answer is longer.
pub const ANSWER_MAX: usize = 160;
/// The answer to a request that was taken.
pub const OK: &str = "ok";

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Start it, or try again at once if it waits or has failed.
    Start,
    /// Stop it; it stays so until it is started.
    Stop,
    /// Stop it and start it again.
    Restart,
}

impl Verb {
    /// The word in a request and on a command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
        }
    }

    /// The verb of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Start, Self::Stop, Self::Restart].into_iter().find(|verb| verb.as_str() == word)
    }
}

/// A request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// What is to be done.
    pub verb: Verb,
    /// With this service.
    pub service: &'a str,
}

impl<'a> Request<'a> {
    /// The packet.
    pub fn encode(&self) -> String {
        format!("{} {}", self.verb.as_str(), self.service)
    }

    /// Reads a packet; `None` if it is no request. Whether there is such a service is another question.
    pub fn decode(packet: &'a [u8]) -> Option<Self> {
        if packet.len() > REQUEST_MAX {
            return None;
        }
        let (verb, service) = std::str::from_utf8(packet).ok()?.split_once(' ')?;
        let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let is_name = !service.is_empty() && service.bytes().all(in_name) && !service.starts_with('.');
        is_name.then_some(Self { verb: Verb::from_word(verb)?, service })
    }
}

#[cfg(test)]
mod tests {
    use super::{REQUEST_MAX, Request, Verb};

    #[test]
    fn reads_what_it_writes() {
        for verb in [Verb::Start, Verb::Stop, Verb::Restart] {
            let request = Request { verb, service: "console-ttyS0" };
            assert_eq!(Request::decode(request.encode().as_bytes()), Some(request));
        }
        for wrong in [
            &b""[..],
            b"start",
            b"start ",
            b" start a",
            b"start  a",
            b"start a b",
            b"start a\n",
            b"start ../a",
            b"start .a",
            b"START a",
            b"kill a",
            b"start \xff",
            b"start a\0",
            &[b'a'; REQUEST_MAX + 1],
        ] {
            assert_eq!(Request::decode(wrong), None, "{}", wrong.escape_ascii());
        }
    }
}
