//! `.container`: `podman run`.

use contract::paths::QUADLET_LOGS;

use super::{Conversion, Manager, Step};
use crate::argv::Argv;
use crate::names;
use crate::problem::Problem;
use crate::words::Rule;

pub(super) fn convert(conversion: &mut Conversion<'_>) -> Result<(), Problem> {
    let image = match (conversion.filled("Image"), conversion.filled("Rootfs")) {
        (None, None) => return Err(conversion.error("Image", "no Image or Rootfs key specified")),
        (Some(_), Some(_)) => {
            return Err(conversion.error("Rootfs", "the Image And Rootfs keys conflict can not be specified together"));
        }
        (Some(image), None) => Some(conversion.image("Image", image)?),
        (None, Some(_)) => None,
    };
    let notifies = conversion.running()?;
    let mut remove = conversion.podman()?;
    remove.extend(["rm", "-v", "-f", "-i", "--cidfile=%t/%N.cid"]);
    conversion.command(Step::Stop, remove.clone());
    // What a monitor that was killed has left.
    conversion.attempt(Step::StopPost, remove);
    conversion.out.add("Service", "Delegate", "yes");

    let mut argv = conversion.podman()?;
    argv.push("run");
    argv.option("--name", names::container(conversion.file_name, conversion.file));
    argv.extend(["--cidfile=%t/%N.cid", "--replace", "--rm"]);
    conversion.logging(&mut argv)?;
    supervision(conversion, &mut argv, notifies)?;
    options(conversion, &mut argv)?;
    if notifies {
        argv.push(match conversion.value("Notify") {
            Some(value) if value.eq_ignore_ascii_case("healthy") => "--sdnotify=healthy",
            _ if conversion.boolean("Notify") == Some(true) => "--sdnotify=container",
            _ => "--sdnotify=conmon",
        });
        argv.push("-d");
    }
    security(conversion, &mut argv)?;
    contents(conversion, &mut argv)?;
    conversion.health(&mut argv);
    pod(conversion, &mut argv)?;
    conversion.podman_args(&mut argv)?;
    match image {
        Some(image) => argv.push(image),
        None => argv.option("--rootfs", conversion.filled("Rootfs").unwrap_or_default()),
    }
    if let Some(exec) = conversion.file.last("Container", "Exec") {
        argv.extend(exec.words(Rule::Escapes)?);
    }
    conversion.command(Step::Start, argv);
    Ok(())
}

/// Cgroup, output and monitor. A pod's containers are in the pod's cgroup.
fn supervision(conversion: &Conversion<'_>, argv: &mut Argv, is_detached: bool) -> Result<(), Problem> {
    let init = conversion.world.manager == Manager::Init;
    if init {
        argv.push("--conmon-pidfile=%t/%N.conmon");
        let has_path = conversion.words("LogOpt", Rule::Plain)?.iter().any(|option| option.starts_with("path="));
        match conversion.value("LogDriver") {
            // At a known place, from where the runner copies it to the service's log while "podman logs" has it, too.
            None if is_detached && !has_path => {
                argv.option("--log-driver", "k8s-file");
                argv.option("--log-opt", format!("path={QUADLET_LOGS}/%N.log"));
            }
            // podman waits for its end, after which there is nothing to ask it for.
            None if !is_detached => argv.option("--log-driver", "passthrough"),
            _ => {}
        }
    }
    match conversion.filled("CgroupsMode") {
        Some(mode) => argv.option("--cgroups", mode),
        None if !init => argv.push("--cgroups=split"),
        None if conversion.filled("Pod").is_none() => argv.push("--cgroup-parent=/system/%N"),
        None => {}
    }
    Ok(())
}

fn options(conversion: &mut Conversion<'_>, argv: &mut Argv) -> Result<(), Problem> {
    conversion.strings(
        argv,
        &[
            ("Timezone", "--tz"),
            ("PidsLimit", "--pids-limit"),
            ("ShmSize", "--shm-size"),
            ("Entrypoint", "--entrypoint"),
            ("WorkingDir", "--workdir"),
            ("IP", "--ip"),
            ("IP6", "--ip6"),
            ("HostName", "--hostname"),
            ("StopSignal", "--stop-signal"),
            ("StopTimeout", "--stop-timeout"),
            ("Pull", "--pull"),
        ],
    );
    conversion.all_strings(
        argv,
        &[
            ("NetworkAlias", "--network-alias"),
            ("Ulimit", "--ulimit"),
            ("DNS", "--dns"),
            ("DNSOption", "--dns-option"),
            ("DNSSearch", "--dns-search"),
            ("GroupAdd", "--group-add"),
            ("AddHost", "--add-host"),
            ("Tmpfs", "--tmpfs"),
        ],
    );
    let keys = [("RunInit", "--init"), ("EnvironmentHost", "--env-host"), ("ReadOnlyTmpfs", "--read-only-tmpfs")];
    conversion.booleans(argv, &keys);
    conversion.networks(argv)
}

fn security(conversion: &Conversion<'_>, argv: &mut Argv) -> Result<(), Problem> {
    let is_set = |key: &str| conversion.boolean(key) == Some(true);
    if is_set("NoNewPrivileges") {
        argv.push("--security-opt=no-new-privileges");
    }
    for (key, option) in [("SecurityLabelDisable", "label=disable"), ("SecurityLabelNested", "label=nested")] {
        if is_set(key) {
            argv.option("--security-opt", option);
        }
    }
    for (key, option) in
        [("SecurityLabelType", "type"), ("SecurityLabelFileType", "filetype"), ("SecurityLabelLevel", "level")]
    {
        if let Some(value) = conversion.filled(key) {
            argv.option("--security-opt", format!("label={option}:{value}"));
        }
    }
    for device in conversion.words("AddDevice", Rule::Plain)? {
        let wanted = device.strip_prefix('-');
        let path = wanted.and_then(|device| device.split(':').next());
        if path.is_none_or(|path| (conversion.world.exists)(path)) {
            argv.option("--device", wanted.unwrap_or(&device));
        }
    }
    if let Some(profile) = conversion.value("SeccompProfile") {
        argv.option("--security-opt", format!("seccomp={profile}"));
    }
    for (key, flag) in [("DropCapability", "--cap-drop"), ("AddCapability", "--cap-add")] {
        for capability in conversion.words(key, Rule::Plain)? {
            argv.option(flag, capability.to_lowercase());
        }
    }
    conversion.each_word(argv, "Sysctl", "--sysctl", Rule::Plain)?;
    conversion.booleans(argv, &[("ReadOnly", "--read-only")]);
    if is_set("VolatileTmp") && !is_set("ReadOnly") {
        argv.option("--tmpfs", "/tmp:rw,size=512M,mode=1777");
    }
    conversion.user(argv)?;
    conversion.user_mappings(argv, true)
}

fn contents(conversion: &mut Conversion<'_>, argv: &mut Argv) -> Result<(), Problem> {
    conversion.volumes(argv)?;
    if let Some(update) = conversion.filled("AutoUpdate") {
        argv.option("--label", format!("io.containers.autoupdate={update}"));
    }
    for entry in conversion.file.all("Container", "ExposeHostPort") {
        let port = entry.value.trim();
        if !is_port_range(port) {
            return Err(Problem::error(&entry.place, format!("invalid port format '{port}'")));
        }
        argv.option("--expose", port);
    }
    conversion.all_strings(argv, &[("PublishPort", "--publish")]);
    for (key, flag) in [("Environment", "--env"), ("Label", "--label"), ("Annotation", "--annotation")] {
        conversion.pairs(argv, key, flag)?;
    }
    for (key, option) in [("Mask", "mask"), ("Unmask", "unmask")] {
        for path in conversion.words(key, Rule::Escapes)? {
            argv.option("--security-opt", format!("{option}={path}"));
        }
    }
    for file in conversion.words("EnvironmentFile", Rule::Escapes)? {
        argv.option("--env-file", conversion.absolute(&file));
    }
    conversion.each_word(argv, "Secret", "--secret", Rule::Escapes)?;
    for mount in conversion.words("Mount", Rule::Escapes)? {
        let mount = conversion.mount(&mount)?;
        argv.option("--mount", mount);
    }
    Ok(())
}

/// `N`, `N-M`, each with `/tcp` or `/udp`.
fn is_port_range(text: &str) -> bool {
    let ports = text.strip_suffix("/udp").or_else(|| text.strip_suffix("/tcp")).unwrap_or(text);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    is_number(first) && is_number(last)
}

fn pod(conversion: &mut Conversion<'_>, argv: &mut Argv) -> Result<(), Problem> {
    let Some(pod) = conversion.filled("Pod") else { return Ok(()) };
    if !pod.ends_with(".pod") {
        return Err(conversion.error("Pod", format!("pod {pod} is not Quadlet based")));
    }
    let missing = || conversion.error("Pod", format!("quadlet pod unit {pod} does not exist"));
    let service = conversion.names.get(pod).ok_or_else(missing)?.service.clone();
    argv.option("--pod-id-file", format!("%t/{service}.pod-id"));
    conversion.out.add("Unit", "BindsTo", format!("{service}.service"));
    conversion.out.add("Unit", "After", format!("{service}.service"));
    Ok(())
}
