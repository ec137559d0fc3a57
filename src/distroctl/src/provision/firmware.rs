//! What a hypervisor passes by its firmware: QEMU's fw_cfg files and SMBIOS strings.

use std::path::{Path, PathBuf};

use super::Root;
use crate::{container, file, modules};

/// The kernel's view of fw_cfg (`Documentation/ABI/testing/sysfs-firmware-qemu_fw_cfg`).
const FW_CFG: &str = "/sys/firmware/qemu_fw_cfg/by_name";
/// The SMBIOS structure table (`Documentation/ABI/testing/sysfs-firmware-dmi-tables`).
const SMBIOS: &str = "/sys/firmware/dmi/tables/DMI";

/// Path of a fw_cfg file's content. The module may not be there yet when hardware is still being recognized.
/// In a container there is none: what the kernel shows is the host's.
pub(crate) fn fw_cfg(root: &Root, name: &str) -> PathBuf {
    if root.is_system() && container::is_one() {
        return root.path("/run/distro/no-fw-cfg").join(name);
    }
    let qemu = || {
        file::first_line("/sys/class/dmi/id/sys_vendor") == "QEMU"
            || Path::new("/sys/bus/acpi/devices/QEMU0002:00").exists()
    };
    if root.is_system() && !Path::new(FW_CFG).exists() && qemu() {
        modules::load("qemu_fw_cfg");
    }
    root.path(FW_CFG).join(name).join("raw")
}

/// The OEM strings; in a container they are the host's.
pub(super) fn oem_strings(root: &Root) -> Vec<String> {
    if root.is_system() && container::is_one() {
        return Vec::new();
    }
    document::smbios::oem_strings(&root.read(SMBIOS).unwrap_or_default())
}
