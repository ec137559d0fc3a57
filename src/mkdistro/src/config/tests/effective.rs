//! What follows from a checked project.

use contract::service::{Listen, Place, Readiness, Restart};

use super::*;

#[test]
fn makes_settings_and_services() {
    let dir = project();
    let checked = load(dir.path()).unwrap();
    let settings = checked.settings();
    assert_eq!((settings.name.as_str(), settings.version.as_str()), ("boot2podman", "1.0"));
    assert_eq!(settings.consoles, ["ttyS0", "tty1", "tty0", "ttyS1"]);
    assert_eq!((settings.overlay_percent, settings.uid), (50, 1000));

    let services = checked.services();
    let names: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(names, ["console-ttyS0", "console-tty1", "mounts", "podman", "podman-user", "sshd"]);
    let (serial, screen, mounts, podman, user) = (&services[0], &services[1], &services[2], &services[3], &services[4]);
    assert_eq!((serial.command.join(" "), serial.uid, serial.home.as_str()), ("/bin/sh -l".into(), 1000, "/home/core"));
    assert_eq!(
        (serial.tty.as_deref(), serial.restart, &serial.ready),
        (Some("ttyS0"), Restart::Always, &Readiness::Started)
    );
    assert_eq!(serial.env, [("TERM".into(), "vt220".into())]);
    assert_eq!(screen.env, [("TERM".into(), "linux".into())]);
    assert_eq!((&mounts.ready, mounts.restart), (&Readiness::Exit, Restart::No));
    assert_eq!(podman.ready, Readiness::Socket("/run/podman/podman.sock".into()));
    let listen = Listen { path: "/run/podman/podman.sock".into(), mode: 0o660, gid: 1000 };
    assert_eq!((&podman.listen, &user.listen), (&Some(listen), &None));
    assert_eq!((podman.stop_signal, podman.stop_timeout_secs, podman.restart), (2, 20, Restart::OnFailure));
    assert_eq!((&podman.needs[..], &podman.after[..]), (&["mounts".to_string()][..], &["sshd".to_string()][..]));
    assert!(podman.required);
    // In a container there are no terminals of its own.
    let places = [serial.place, mounts.place, podman.place];
    assert_eq!(places, [Some(Place::Machine), None, Some(Place::Container)]);
    assert_eq!((podman.uid, podman.home.as_str(), user.uid, user.home.as_str()), (0, "/", 1000, "/home/core"));
    let table = contract::service::encode(&services);
    assert_eq!(contract::service::decode(&table), (services, vec![]));
}

#[test]
fn derives_values() {
    let dir = project();
    let mut checked = load(dir.path()).unwrap();
    assert_eq!(checked.distro.volume_id(), "BOOT2PODMAN");
    checked.distro.distro.name = "my-own-distribution-with-a-very-long-name".into();
    assert_eq!(checked.distro.volume_id(), "MY_OWN_DISTRIBUTION_WITH_A_VERY_");
    checked.distro.distro.volume_id = "GIVEN".into();
    assert_eq!(checked.distro.volume_id(), "GIVEN");
    checked.distro.distro.name = "n".into();
    assert_eq!(
        checked.expand("${user}:${uid} ${hostname} ${name}-${version} ${HOME} $user ${users} ${ ${user"),
        "core:1000 box n-1.0 ${HOME} $user ${users} ${ ${user"
    );
}
