//! Keys of podman 5.4's own sections, by podman-systemd.unit(5).

use crate::names::Kind;

const CONTAINER: &str = "AddCapability AddDevice AddHost Annotation AutoUpdate CgroupsMode ContainerName \
    ContainersConfModule DNS DNSOption DNSSearch DropCapability Entrypoint Environment EnvironmentFile EnvironmentHost \
    Exec ExposeHostPort GIDMap GlobalArgs Group GroupAdd HealthCmd HealthInterval HealthLogDestination \
    HealthMaxLogCount HealthMaxLogSize HealthOnFailure HealthRetries HealthStartPeriod HealthStartupCmd \
    HealthStartupInterval HealthStartupRetries HealthStartupSuccess HealthStartupTimeout HealthTimeout HostName IP IP6 \
    Image Label LogDriver LogOpt Mask Mount Network NetworkAlias NoNewPrivileges Notify PidsLimit Pod PodmanArgs \
    PublishPort Pull ReadOnly ReadOnlyTmpfs RemapGid RemapUid RemapUidSize RemapUsers Rootfs RunInit SeccompProfile \
    Secret SecurityLabelDisable SecurityLabelFileType SecurityLabelLevel SecurityLabelNested SecurityLabelType \
    ServiceName ShmSize StartWithPod StopSignal StopTimeout SubGIDMap SubUIDMap Sysctl Timezone Tmpfs UIDMap Ulimit \
    Unmask User UserNS VolatileTmp Volume WorkingDir";
const VOLUME: &str = "ContainersConfModule Copy Device Driver GlobalArgs Group Image Label Options PodmanArgs \
    ServiceName Type User VolumeName";
const NETWORK: &str = "ContainersConfModule DNS DisableDNS Driver Gateway GlobalArgs IPAMDriver IPRange IPv6 Internal \
    Label NetworkName Options PodmanArgs ServiceName Subnet";
const KUBE: &str = "AutoUpdate ConfigMap ContainersConfModule ExitCodePropagation GlobalArgs KubeDownForce LogDriver \
    LogOpt Network PodmanArgs PublishPort RemapGid RemapUid RemapUidSize RemapUsers ServiceName SetWorkingDirectory \
    UserNS Yaml";
const IMAGE: &str = "AllTags Arch AuthFile CertDir ContainersConfModule Creds DecryptionKey GlobalArgs Image ImageTag OS \
    PodmanArgs ServiceName TLSVerify Variant";
const BUILD: &str = "Annotation Arch AuthFile ContainersConfModule DNS DNSOption DNSSearch Environment File ForceRM \
    GlobalArgs GroupAdd ImageTag Label Network PodmanArgs Pull Secret ServiceName SetWorkingDirectory TLSVerify Target \
    Variant Volume";
const POD: &str = "AddHost ContainersConfModule DNS DNSOption DNSSearch GIDMap GlobalArgs IP IP6 Network NetworkAlias \
    PodName PodmanArgs PublishPort RemapGid RemapUid RemapUidSize RemapUsers ServiceName ShmSize SubGIDMap SubUIDMap \
    UIDMap UserNS Volume";
/// `[Quadlet]`.
const QUADLET: &str = "DefaultDependencies";
/// `[Timer]`, systemd.timer(5).
const TIMER: &str = "OnActiveSec OnBootSec OnStartupSec OnUnitActiveSec OnUnitInactiveSec OnCalendar AccuracySec \
    RandomizedDelaySec Persistent Unit";

/// `[Unit]` of all kinds: what has a meaning here, and what has none but does no harm to leave out.
const UNIT: &str = "After Before Requires Requisite Wants BindsTo PartOf Description Documentation SourcePath \
    RequiresMountsFor WantsMountsFor DefaultDependencies CollectMode";
/// `[Service]`, likewise.
const SERVICE: &str = "Type Restart RestartSec TimeoutStartSec TimeoutStopSec TimeoutSec Environment WorkingDirectory \
    ExecStart ExecStartPre ExecStartPost ExecStop ExecStopPost RemainAfterExit MemoryMax TasksMax CPUQuota LimitNOFILE \
    SyslogIdentifier KillMode Delegate NotifyAccess PIDFile StandardOutput StandardError SendSIGHUP GuessMainPID";
/// `[Install]`, likewise.
const INSTALL: &str = "WantedBy RequiredBy UpheldBy DefaultInstance Also";

/// The keys of a section in a file of this kind; `None` if the section is none of ours.
pub(crate) fn of_section(kind: Kind, section: &str) -> Option<&'static str> {
    match section {
        "Unit" => Some(UNIT),
        "Install" => Some(INSTALL),
        "Quadlet" if kind.is_podmans() => Some(QUADLET),
        "Service" if kind != Kind::Timer => Some(SERVICE),
        _ if section != kind.section() => None,
        _ => match kind {
            Kind::Container => Some(CONTAINER),
            Kind::Volume => Some(VOLUME),
            Kind::Network => Some(NETWORK),
            Kind::Kube => Some(KUBE),
            Kind::Image => Some(IMAGE),
            Kind::Build => Some(BUILD),
            Kind::Pod => Some(POD),
            Kind::Timer => Some(TIMER),
            Kind::Service => Some(SERVICE),
        },
    }
}

/// The key that was probably meant: one letter is another one, missing, too many, or of another case.
pub(crate) fn nearest(keys: &'static str, wrong: &str) -> Option<&'static str> {
    keys.split_whitespace().find(|key| is_near(key.as_bytes(), wrong.as_bytes()))
}

fn is_near(key: &[u8], wrong: &[u8]) -> bool {
    let same = key.iter().zip(wrong).take_while(|(a, b)| a == b).count();
    let end = |skip_key: usize, skip_wrong: usize| {
        let (Some(key), Some(wrong)) = (key.get(same + skip_key..), wrong.get(same + skip_wrong..)) else {
            return false;
        };
        key == wrong
    };
    key.eq_ignore_ascii_case(wrong)
        || end(0, 1)
        || end(1, 0)
        || end(1, 1)
        || (key.get(same) == wrong.get(same + 1) && key.get(same + 1) == wrong.get(same) && end(2, 2))
}

#[cfg(test)]
mod tests {
    use super::{Kind, nearest, of_section};

    #[test]
    fn knows_what_was_meant() {
        let keys = of_section(Kind::Container, "Container").unwrap();
        for (wrong, expected) in [
            ("Images", Some("Image")),
            ("image", Some("Image")),
            ("ReadOnyl", Some("ReadOnly")),
            ("PublishPorts", Some("PublishPort")),
            ("Netwrk", Some("Network")),
            ("Memory", None),
            ("", None),
        ] {
            assert_eq!(nearest(keys, wrong), expected, "{wrong}");
        }
        assert!(of_section(Kind::Container, "Pod").is_none() && of_section(Kind::Timer, "Service").is_none());
    }
}
