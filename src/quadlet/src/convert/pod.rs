//! `.pod`: `podman pod create`, then `podman pod start`.

use super::{Conversion, Step};
use crate::names::{Kind, known};
use crate::problem::Problem;

pub(super) fn convert(conversion: &mut Conversion<'_>, starts: &[String]) -> Result<(), Problem> {
    let name = known(Kind::Pod, conversion.file_name, conversion.file).resource;
    for service in starts {
        conversion.out.add("Unit", "Wants", format!("{service}.service"));
        conversion.out.add("Unit", "Before", format!("{service}.service"));
    }
    let mut start = conversion.podman()?;
    start.extend(["pod", "start", "--pod-id-file=%t/%N.pod-id"]);
    let mut stop = conversion.podman()?;
    stop.extend(["pod", "stop", "--pod-id-file=%t/%N.pod-id", "--ignore", "--time=10"]);
    let mut remove = conversion.podman()?;
    remove.extend(["pod", "rm", "--pod-id-file=%t/%N.pod-id", "--ignore", "--force"]);

    let mut create = conversion.podman()?;
    create.extend(["pod", "create", "--infra-conmon-pidfile=%t/%N.pid", "--pod-id-file=%t/%N.pod-id"]);
    create.extend(["--exit-policy=stop", "--replace"]);
    conversion.user_mappings(&mut create, true)?;
    conversion.all_strings(&mut create, &[("PublishPort", "--publish")]);
    conversion.networks(&mut create)?;
    conversion.strings(&mut create, &[("IP", "--ip"), ("IP6", "--ip6"), ("ShmSize", "--shm-size")]);
    conversion.all_strings(
        &mut create,
        &[
            ("NetworkAlias", "--network-alias"),
            ("DNS", "--dns"),
            ("DNSOption", "--dns-option"),
            ("DNSSearch", "--dns-search"),
            ("AddHost", "--add-host"),
        ],
    );
    conversion.volumes(&mut create)?;
    create.option("--infra-name", format!("{name}-infra"));
    create.option("--name", name);
    conversion.podman_args(&mut create)?;

    conversion.command(Step::StartPre, create);
    conversion.command(Step::Start, start);
    conversion.command(Step::Stop, stop);
    conversion.command(Step::StopPost, remove);
    for (key, value) in [
        ("Environment", "PODMAN_SYSTEMD_UNIT=%n"),
        ("Type", "forking"),
        ("Restart", "on-failure"),
        ("PIDFile", "%t/%N.pid"),
    ] {
        conversion.out.set("Service", key, value);
    }
    Ok(())
}
