//! Requests to PID 1: one packet to the `SOCK_SEQPACKET` socket at [`crate::paths::CONTROL`], one packet back.
//!
//! A request is `VERB NAME`: `start`, `stop` or `restart` and a service's name, at most [`REQUEST_MAX`] bytes of ASCII; or
//! `reload` alone: the services of [`crate::paths::ADDED_SERVICES`] are those that there are besides the image's. The
//! answer is `ok`, or `error` and a sentence. It comes when PID 1 has taken the request, not when it is done: what becomes of
//! the service stands in its file of [`crate::paths::SERVICE_STATE_DIR`].
//!
//! Packets, not a stream: a request is there whole or not at all, so PID 1 keeps nothing of half a request.

/// A longer packet is no request.
pub const REQUEST_MAX: usize = 80;
/// No service has a longer name.
pub const SERVICE_NAME_MAX: usize = 64;
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
    /// Read the added services again. New ones start, those that are gone are stopped, changes count from the next start.
    Reload,
}

impl Verb {
    /// The word in a request and on a command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Reload => "reload",
        }
    }

    /// The verb of a word that wants a service's name.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Start, Self::Stop, Self::Restart].into_iter().find(|verb| verb.as_str() == word)
    }
}

/// A request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// What is to be done.
    pub verb: Verb,
    /// With this service; empty for [`Verb::Reload`].
    pub service: &'a str,
}

impl<'a> Request<'a> {
    /// The packet.
    pub fn encode(&self) -> String {
        format!("{} {}", self.verb.as_str(), self.service).trim_end().into()
    }

    /// Reads a packet; `None` if it is no request. Whether there is such a service is another question.
    pub fn decode(packet: &'a [u8]) -> Option<Self> {
        if packet.len() > REQUEST_MAX {
            return None;
        }
        if packet == Verb::Reload.as_str().as_bytes() {
            return Some(Self { verb: Verb::Reload, service: "" });
        }
        let (verb, service) = std::str::from_utf8(packet).ok()?.split_once(' ')?;
        is_service_name(service).then_some(Self { verb: Verb::from_word(verb)?, service })
    }
}

/// Whether a service can have this name: it is a file's name, too.
pub fn is_service_name(name: &str) -> bool {
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
    (1..=SERVICE_NAME_MAX).contains(&name.len()) && name.bytes().all(in_name) && !name.starts_with('.')
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
        let reload = Request { verb: Verb::Reload, service: "" };
        assert_eq!((reload.encode().as_str(), Request::decode(b"reload")), ("reload", Some(reload)));
        for wrong in [
            &b""[..],
            b"reload ",
            b"reload a",
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
