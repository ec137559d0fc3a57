//! The kernel's uevents: `ACTION@PATH`, then `KEY=value` words, each ended by a zero byte (kernel
//! `Documentation/ABI/testing/sysfs-uevent`, `lib/kobject_uevent.c`).

/// Longest message the kernel makes: `UEVENT_BUFFER_SIZE` and the path before it.
pub(crate) const MESSAGE_BYTES: usize = 8192;

/// The value of a key.
fn field<'a>(message: &'a [u8], key: &str) -> Option<&'a str> {
    let words = message.split(|&byte| byte == 0).filter_map(|word| std::str::from_utf8(word).ok());
    words.filter_map(|word| word.split_once('=')).find(|(name, _)| *name == key).map(|(_, value)| value)
}

/// The modalias of a device that has appeared.
pub(crate) fn added_modalias(message: &[u8]) -> Option<&str> {
    let action = field(message, "ACTION")?;
    (action == "add").then(|| field(message, "MODALIAS")).flatten()
}

/// The node, below `/dev`, of a device that has appeared.
pub(crate) fn added_node(message: &[u8]) -> Option<&str> {
    let action = field(message, "ACTION")?;
    (action == "add").then(|| field(message, "DEVNAME")).flatten()
}

#[cfg(test)]
mod tests {
    use super::{added_modalias, added_node};

    #[test]
    fn reads_messages() {
        let add = b"add@/devices/x\0ACTION=add\0DEVPATH=/devices/x\0MODALIAS=pci:v1\0SEQNUM=7\0";
        assert_eq!(added_modalias(add), Some("pci:v1"));
        let cut = add.get(..20).unwrap_or_default();
        assert_eq!(added_modalias(cut), None);
        assert_eq!(added_modalias(b"remove@/x\0ACTION=remove\0MODALIAS=pci:v1\0"), None);
        assert_eq!(added_modalias(b"\xff\0\0=\0"), None);
        assert_eq!(added_modalias(b""), None);
        let tun = b"add@/devices/virtual/misc/tun\0ACTION=add\0MAJOR=10\0MINOR=200\0DEVNAME=net/tun\0";
        assert_eq!(added_node(tun), Some("net/tun"));
        assert_eq!(added_node(add), None);
        assert_eq!(added_node(b"remove@/x\0ACTION=remove\0DEVNAME=fuse\0"), None);
    }
}
