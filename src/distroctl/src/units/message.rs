//! D-Bus messages, as far as a server without properties, variants and file descriptors needs them (D-Bus Specification 0.43,
//! "Type System" and "Message Protocol"). Little-endian only: clients write in their machine's order, and this is x86-64.

/// A message is refused that says to be longer; the specification allows 128 MiB.
const LIMIT_BYTES: usize = 64 << 10;
/// Bytes before the array of header fields ends can be known: the fixed part and the array's length.
const FIXED_BYTES: usize = 16;
const LITTLE_ENDIAN: u8 = b'l';
const VERSION: u8 = 1;

/// `NO_REPLY_EXPECTED`.
const NO_REPLY: u8 = 1;

/// Header fields ("Header Fields").
mod field {
    pub(super) const PATH: u8 = 1;
    pub(super) const INTERFACE: u8 = 2;
    pub(super) const MEMBER: u8 = 3;
    pub(super) const ERROR_NAME: u8 = 4;
    pub(super) const REPLY_SERIAL: u8 = 5;
    pub(super) const SIGNATURE: u8 = 8;
}

/// Kinds of messages.
mod kind {
    pub(super) const CALL: u8 = 1;
    pub(super) const RETURN: u8 = 2;
    pub(super) const ERROR: u8 = 3;
    pub(super) const SIGNAL: u8 = 4;
}

/// What a client wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) serial: u32,
    pub(super) wants_reply: bool,
    /// Empty if it names none.
    pub(super) interface: String,
    pub(super) member: String,
    /// The arguments, if all are strings; otherwise none.
    pub(super) arguments: Vec<String>,
}

/// A value in a body.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Number(u32),
    Text(&'a str),
    Path(&'a str),
}

/// What the bytes so far are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// Not yet a message.
    Incomplete,
    /// A message of this many bytes; only calls are of interest.
    Message(Option<Call>, usize),
    /// Nothing that can follow makes a message of it.
    Malformed(&'static str),
}

/// Reads the message at the beginning of `bytes`.
pub(super) fn read(bytes: &[u8]) -> Read {
    let Some(fixed) = bytes.first_chunk::<FIXED_BYTES>() else { return Read::Incomplete };
    let word =
        |at: usize| fixed.get(at..at + 4).map_or(0, |four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]));
    if fixed[0] != LITTLE_ENDIAN || fixed[3] != VERSION {
        return Read::Malformed("not a little-endian message of version 1");
    }
    let (Ok(body), Ok(fields)) = (usize::try_from(word(4)), usize::try_from(word(12))) else {
        return Read::Malformed("too long");
    };
    if body > LIMIT_BYTES || fields > LIMIT_BYTES {
        return Read::Malformed("longer than 64 KiB");
    }
    let header = (FIXED_BYTES + fields).next_multiple_of(8);
    let (Some(its_fields), Some(its_body)) =
        (bytes.get(FIXED_BYTES..FIXED_BYTES + fields), bytes.get(header..header + body))
    else {
        return Read::Incomplete;
    };
    let length = header + body;
    if fixed[1] != kind::CALL {
        return Read::Message(None, length);
    }
    let mut call = Call { serial: word(8), wants_reply: fixed[2] & NO_REPLY == 0, ..Call::default() };
    let Some(signature) = read_fields(its_fields, &mut call) else { return Read::Malformed("a broken header") };
    if signature.bytes().all(|kind| kind == b's') {
        let mut body = Cursor { bytes: its_body, at: 0 };
        let Some(arguments) = signature.bytes().map(|_| body.text()).collect() else {
            return Read::Malformed("a broken body");
        };
        call.arguments = arguments;
    }
    Read::Message(Some(call), length)
}

/// An array of structures of a byte and a variant; the signature of the body.
fn read_fields(bytes: &[u8], call: &mut Call) -> Option<String> {
    let mut cursor = Cursor { bytes, at: 0 };
    let mut signature = String::new();
    while cursor.at < bytes.len() {
        cursor.align(8);
        let code = cursor.byte()?;
        match cursor.signature()?.as_str() {
            "s" | "o" => {
                let text = cursor.text()?;
                match code {
                    field::INTERFACE => call.interface = text,
                    field::MEMBER => call.member = text,
                    _ => {}
                }
            }
            "g" => {
                let text = cursor.signature()?;
                if code == field::SIGNATURE {
                    signature = text;
                }
            }
            "u" => {
                cursor.number()?;
            }
            // The specification has fields of no other type.
            _ => return None,
        }
    }
    Some(signature)
}

struct Cursor<'a> {
    bytes: &'a [u8],
    /// From the beginning of something that is itself aligned to 8.
    at: usize,
}

impl Cursor<'_> {
    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn number(&mut self) -> Option<u32> {
        self.align(4);
        let number = self.bytes.get(self.at..)?.first_chunk()?;
        self.at += 4;
        Some(u32::from_le_bytes(*number))
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.number()?).ok()?;
        self.terminated(length)
    }

    fn signature(&mut self) -> Option<String> {
        let length = usize::from(self.byte()?);
        self.terminated(length)
    }

    fn terminated(&mut self, length: usize) -> Option<String> {
        let end = self.at.checked_add(length)?;
        let text = std::str::from_utf8(self.bytes.get(self.at..end)?).ok()?;
        (*self.bytes.get(end)? == 0).then_some(())?;
        self.at = end + 1;
        Some(text.into())
    }
}

/// The answer to a call.
pub(super) fn reply(serial: u32, call: u32, body: &[Value<'_>]) -> Vec<u8> {
    write(kind::RETURN, serial, &[(field::REPLY_SERIAL, Value::Number(call))], body)
}

/// The answer to a call that cannot be done; `name` is an error's, like an interface's.
pub(super) fn error(serial: u32, call: u32, name: &str, sentence: &str) -> Vec<u8> {
    let fields = [(field::ERROR_NAME, Value::Text(name)), (field::REPLY_SERIAL, Value::Number(call))];
    write(kind::ERROR, serial, &fields, &[Value::Text(sentence)])
}

/// What nobody has asked for.
pub(super) fn signal(serial: u32, path: &str, interface: &str, member: &str, body: &[Value<'_>]) -> Vec<u8> {
    let fields = [
        (field::PATH, Value::Path(path)),
        (field::INTERFACE, Value::Text(interface)),
        (field::MEMBER, Value::Text(member)),
    ];
    write(kind::SIGNAL, serial, &fields, body)
}

fn write(kind: u8, serial: u32, fields: &[(u8, Value<'_>)], body: &[Value<'_>]) -> Vec<u8> {
    let mut content = Vec::new();
    body.iter().for_each(|value| put(&mut content, *value));
    let mut message = vec![LITTLE_ENDIAN, kind, NO_REPLY, VERSION];
    put(&mut message, length_of(&content));
    put(&mut message, Value::Number(serial));
    // Of the array, below.
    put(&mut message, Value::Number(0));
    for (code, value) in fields {
        align(&mut message, 8);
        message.push(*code);
        put_signature(&mut message, &[*value]);
        put(&mut message, *value);
    }
    if !body.is_empty() {
        align(&mut message, 8);
        message.push(field::SIGNATURE);
        message.extend_from_slice(b"\x01g\0");
        put_signature(&mut message, body);
    }
    if let (Value::Number(length), Some(place)) =
        (length_of(message.get(FIXED_BYTES..).unwrap_or_default()), message.get_mut(12..FIXED_BYTES))
    {
        place.copy_from_slice(&length.to_le_bytes());
    }
    align(&mut message, 8);
    message.extend(content);
    message
}

fn length_of(bytes: &[u8]) -> Value<'static> {
    Value::Number(u32::try_from(bytes.len()).unwrap_or(u32::MAX))
}

fn align(message: &mut Vec<u8>, to: usize) {
    message.resize(message.len().next_multiple_of(to), 0);
}

fn put(message: &mut Vec<u8>, value: Value<'_>) {
    align(message, 4);
    match value {
        Value::Number(number) => message.extend(number.to_le_bytes()),
        Value::Text(text) | Value::Path(text) => {
            put(message, length_of(text.as_bytes()));
            message.extend(text.as_bytes());
            message.push(0);
        }
    }
}

fn put_signature(message: &mut Vec<u8>, values: &[Value<'_>]) {
    message.push(u8::try_from(values.len()).unwrap_or(u8::MAX));
    message.extend(values.iter().map(|value| match value {
        Value::Number(_) => b'u',
        Value::Text(_) => b's',
        Value::Path(_) => b'o',
    }));
    message.push(0);
}

#[cfg(test)]
mod tests {
    use super::{Call, Read, Value, error, read, reply, signal, write};

    fn call(serial: u32, interface: &str, member: &str, arguments: &[Value<'_>]) -> Vec<u8> {
        let mut message = signal(serial, "/org/freedesktop/systemd1", interface, member, arguments);
        message[1] = super::kind::CALL;
        message[2] = 0;
        message
    }

    /// As dbus-send(1) writes it: `--dest=a.b /c a.b.D string:e`.
    const KNOWN: &[u8] = b"l\x01\0\x01\x06\0\0\0\x02\0\0\0\x47\0\0\0\
        \x01\x01o\0\x02\0\0\0/c\0\0\0\0\0\0\
        \x06\x01s\0\x03\0\0\0a.b\0\0\0\0\0\
        \x02\x01s\0\x03\0\0\0a.b\0\0\0\0\0\
        \x03\x01s\0\x01\0\0\0D\0\0\0\0\0\0\0\
        \x08\x01g\0\x01s\0\0\
        \x01\0\0\0e\0";

    #[test]
    fn reads_a_call() {
        let mut bytes = KNOWN.to_vec();
        let wanted = Call {
            serial: 2,
            wants_reply: true,
            interface: "a.b".into(),
            member: "D".into(),
            arguments: vec!["e".into()],
        };
        assert_eq!(read(&bytes), Read::Message(Some(wanted), bytes.len()));
        for length in 0..bytes.len() {
            assert_eq!(read(&bytes[..length]), Read::Incomplete, "{length}");
        }
        bytes[0] = b'B';
        assert!(matches!(read(&bytes), Read::Malformed(_)));
        bytes[0] = b'l';
        bytes[7] = 1;
        assert_eq!(read(&bytes), Read::Malformed("longer than 64 KiB"));
    }

    #[test]
    fn what_is_written_can_be_read() {
        let arguments = [Value::Text("web.service"), Value::Text("replace")];
        let mut bytes = call(7, "org.freedesktop.systemd1.Manager", "RestartUnit", &arguments);
        let length = bytes.len();
        bytes.extend(b"more");
        let Read::Message(Some(call), read) = read(&bytes) else { panic!("{bytes:?}") };
        assert_eq!((call.serial, call.wants_reply, read), (7, true, length));
        assert_eq!(
            (call.interface.as_str(), call.member.as_str()),
            ("org.freedesktop.systemd1.Manager", "RestartUnit")
        );
        assert_eq!(call.arguments, ["web.service", "replace"]);
    }

    /// The bytes of an answer with a path, by hand from the specification.
    #[test]
    fn answers_are_as_specified() {
        let wanted = b"l\x02\x01\x01\x07\0\0\0\x05\0\0\0\x0f\0\0\0\
            \x05\x01u\0\x09\0\0\0\x08\x01g\0\x01o\0\0\
            \x02\0\0\0/j\0";
        assert_eq!(reply(5, 9, &[Value::Path("/j")]), wanted);
        assert_eq!(reply(5, 9, &[]), b"l\x02\x01\x01\0\0\0\0\x05\0\0\0\x08\0\0\0\x05\x01u\0\x09\0\0\0");
        let bytes = error(1, 2, "a.B", "no");
        assert_eq!(bytes[1], super::kind::ERROR);
        assert_eq!(read(&bytes), Read::Message(None, bytes.len()));
    }

    #[test]
    fn arguments_of_other_types_are_left_out() {
        let bytes = call(1, "i", "M", &[Value::Number(3), Value::Text("x")]);
        let Read::Message(Some(call), _) = read(&bytes) else { panic!("{bytes:?}") };
        assert!(call.arguments.is_empty());
        assert_eq!(write(super::kind::CALL, 1, &[], &[])[12..16], [0; 4]);
    }

    #[test]
    fn fuzz_dbus_message() {
        let seed = call(7, "org.freedesktop.systemd1.Manager", "RestartUnit", &[Value::Text("a"), Value::Text("b")]);
        fuzz::Fuzz::new("fuzz_dbus_message").seed(seed).seed(KNOWN.to_vec()).run(|input| {
            if let Read::Message(_, length) = read(input) {
                assert!(length <= input.len());
            }
        });
    }
}
