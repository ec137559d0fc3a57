//! Compressed blocks for the SquashFS writer.

use formats::squashfs::BlockCache;

use super::{Key, Kind, Store};

impl BlockCache for Store {
    fn get(&self, key: &Key) -> Option<Vec<u8>> {
        self.read(Kind::Block, key)
    }

    fn put(&self, key: &Key, value: &[u8]) {
        // A store that fails costs time only.
        let _ = self.keep(Kind::Block, key, |out| out.write_all(value));
    }
}
