//! Loop devices (`linux/loop.h`, Linux 5.8 and later): the structure and the numbers of the ioctls that put a part of a file or
//! device behind one. PID 1 does so with the root in the initramfs, `distroctl images` with what lies on the medium. Byte
//! order is the machine's own.

/// ioctl of a loop device: takes a [`LoopConfig`].
pub const LOOP_CONFIGURE: u32 = 0x4c0a;
/// ioctl of `/dev/loop-control`, without an argument: the number of a device that is free.
pub const LOOP_CTL_GET_FREE: u32 = 0x4c82;

const LO_FLAGS_READ_ONLY: u32 = 1;
/// It goes away with its last user.
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// `struct loop_config`: 304 bytes; the `struct loop_info64` in it, 232 bytes, begins with `device`.
#[repr(C)]
#[derive(Debug)]
pub struct LoopConfig {
    fd: u32,
    /// 0: the kernel's choice.
    block_size: u32,
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    names_key_and_init: [u8; 176],
    reserved: [u64; 8],
}

impl LoopConfig {
    /// `size` bytes from `offset` of what descriptor `fd` has open, read-only, until the device's last user closes it. A
    /// `block_size` of 0 is the kernel's choice; a device ends at its last whole block.
    pub fn read_only_part(fd: u32, offset: u64, size: u64, block_size: u32) -> Self {
        Self {
            fd,
            block_size,
            device: 0,
            inode: 0,
            rdevice: 0,
            offset,
            size_limit: size,
            number: 0,
            encrypt_type: 0,
            encrypt_key_size: 0,
            flags: LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR,
            names_key_and_init: [0; 176],
            reserved: [0; 8],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::LoopConfig;
    use std::mem::{offset_of, size_of};

    #[test]
    fn has_the_kernels_layout() {
        assert_eq!(size_of::<LoopConfig>(), 304);
        assert_eq!(offset_of!(LoopConfig, device), 8);
        assert_eq!(offset_of!(LoopConfig, offset), 8 + 24);
        assert_eq!(offset_of!(LoopConfig, flags), 8 + 52);
        assert_eq!(offset_of!(LoopConfig, reserved), 8 + 232);
    }
}
