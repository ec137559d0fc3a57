//! OVF descriptor of one small machine with one disk: what VirtualBox and VMware make of an OVA.
//!
//! Version 1.1 (its name space is that of 1.0), which both import; VMware takes no 2.0. Whatever is named exists in both and
//! in QEMU, where it is tested: BIOS, an IDE disk, an E1000 card. An LSI Logic adapter is in both, too, but QEMU has none, and
//! of SATA older VirtualBoxes and VMwares each only know their own name. The serial port may be left out by who has none
//! (VirtualBox' import).
//!
//! Reference: DMTF DSP0243 "Open Virtualization Format Specification" 1.1.0, schema DSP8023; the elements of an `Item` come in
//! alphabetical order (CIM_ResourceAllocationSettingData).

/// What the descriptor says.
#[derive(Debug, Clone)]
pub struct Appliance<'a> {
    /// Name of the machine, and of the archive's members: letters, digits, `-`.
    pub name: &'a str,
    /// Version of the product, which people see when they import it.
    pub version: &'a str,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Size of the disk in bytes.
    pub disk_bytes: u64,
}

/// An `Item` of the virtual hardware: its attributes, and its elements in the schema's order.
type Item<'a> = (&'a str, &'a [(&'a str, &'a str)]);

/// The descriptor; `href` and `size_bytes` are those of the VMDK.
pub(super) fn descriptor(appliance: &Appliance, href: &str, size_bytes: u64) -> String {
    let (name, version) = (escaped(appliance.name), escaped(appliance.version));
    let memory = appliance.memory_mib.to_string();
    let memory_name = format!("{memory} MB of memory");
    let items: [Item; 6] = [
        (
            "",
            &[
                ("AllocationUnits", "hertz * 10^6"),
                ("Caption", "1 virtual CPU"),
                ("Description", "Number of virtual CPUs"),
                ("ElementName", "1 virtual CPU"),
                ("InstanceID", "1"),
                ("ResourceType", "3"),
                ("VirtualQuantity", "1"),
            ],
        ),
        (
            "",
            &[
                ("AllocationUnits", "byte * 2^20"),
                ("Caption", &memory_name),
                ("Description", "Memory size"),
                ("ElementName", &memory_name),
                ("InstanceID", "2"),
                ("ResourceType", "4"),
                ("VirtualQuantity", &memory),
            ],
        ),
        (
            "",
            &[
                ("Address", "0"),
                ("Caption", "ideController0"),
                ("Description", "IDE controller"),
                ("ElementName", "ideController0"),
                ("InstanceID", "3"),
                ("ResourceSubType", "PIIX4"),
                ("ResourceType", "5"),
            ],
        ),
        (
            "",
            &[
                ("AddressOnParent", "0"),
                ("Caption", "disk1"),
                ("Description", "Disk"),
                ("ElementName", "disk1"),
                ("HostResource", "ovf:/disk/vmdisk1"),
                ("InstanceID", "4"),
                ("Parent", "3"),
                ("ResourceType", "17"),
            ],
        ),
        (
            "",
            &[
                ("AddressOnParent", "0"),
                ("AutomaticAllocation", "true"),
                ("Caption", "ethernet0"),
                ("Connection", "NAT"),
                ("Description", "E1000 network card"),
                ("ElementName", "ethernet0"),
                ("InstanceID", "5"),
                ("ResourceSubType", "E1000"),
                ("ResourceType", "10"),
            ],
        ),
        (
            " ovf:required=\"false\"",
            &[
                ("AutomaticAllocation", "false"),
                ("Caption", "serial0"),
                ("Description", "Serial port, a console"),
                ("ElementName", "serial0"),
                ("InstanceID", "6"),
                ("ResourceType", "21"),
            ],
        ),
    ];
    let items: String = items.iter().map(encoded).collect();
    let capacity = appliance.disk_bytes;
    format!(
        r##"<?xml version="1.0" encoding="UTF-8"?>
<Envelope ovf:version="1.0" xml:lang="en-US"
    xmlns="http://schemas.dmtf.org/ovf/envelope/1"
    xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
    xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
    xmlns:vmw="http://www.vmware.com/schema/ovf"
    xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData">
  <References>
    <File ovf:href="{href}" ovf:id="file1" ovf:size="{size_bytes}"/>
  </References>
  <DiskSection>
    <Info>Virtual disks</Info>
    <Disk ovf:capacity="{capacity}" ovf:diskId="vmdisk1" ovf:fileRef="file1" ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
  </DiskSection>
  <NetworkSection>
    <Info>Networks</Info>
    <Network ovf:name="NAT">
      <Description>A network with DHCP</Description>
    </Network>
  </NetworkSection>
  <VirtualSystem ovf:id="{name}">
    <Info>A virtual machine</Info>
    <Name>{name}</Name>
    <OperatingSystemSection ovf:id="101" vmw:osType="other3xLinux64Guest">
      <Info>The operating system</Info>
      <Description>Linux_64</Description>
    </OperatingSystemSection>
    <VirtualHardwareSection>
      <Info>Virtual hardware</Info>
      <System>
        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>{name}</vssd:VirtualSystemIdentifier>
        <vssd:VirtualSystemType>vmx-10</vssd:VirtualSystemType>
      </System>
{items}    </VirtualHardwareSection>
    <ProductSection>
      <Info>The product</Info>
      <Product>{name}</Product>
      <Version>{version}</Version>
    </ProductSection>
  </VirtualSystem>
</Envelope>
"##
    )
}

fn encoded((attributes, elements): &Item) -> String {
    let mut text = format!("      <Item{attributes}>\n");
    for (name, value) in *elements {
        text.push_str(&format!("        <rasd:{name}>{}</rasd:{name}>\n", escaped(value)));
    }
    text + "      </Item>\n"
}

/// As text or attribute of XML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
