//! Paths in the guest.

/// Settings of [`crate::settings`], in the initramfs and in the root.
pub const SETTINGS: &str = "/etc/distro/settings";
/// Service table of [`crate::service`], in the root.
pub const SERVICES: &str = "/etc/distro/services";
/// The SquashFS inside the initramfs. The archive does not hold its folder, so the kernel passes over it when it unpacks
/// (`init/initramfs.c`, `do_name`), and PID 1 mounts it where it lies in memory: the root is there once, not twice.
pub const ROOT_IMAGE: &str = "/retained/root.squashfs";
/// In the initramfs: size and sum of [`ROOT_IMAGE`], see [`crate::sum::RootSum`].
pub const ROOT_SUM: &str = "/etc/distro/root-sum";
/// Folder of the modules inside the initramfs, flat; [`BOOT_MODULES`] lists them in load order.
pub const BOOT_MODULE_DIR: &str = "/modules";
/// File names below [`BOOT_MODULE_DIR`], one a line, in load order.
pub const BOOT_MODULES: &str = "/modules/order";
/// The container images in the root: a store that podman reads. PID 1 mounts this folder of the SquashFS over itself: what an
/// image's upper layers hide is told by devices and attributes that the root's own overlay would take for its own.
pub const IMAGE_STORE: &str = "/usr/lib/containers/storage";
/// The container images of the boot medium, an empty store until [`MEDIUM_IMAGES`] is mounted there.
pub const MEDIUM_STORE: &str = "/usr/lib/containers/medium";
/// A SquashFS on the boot medium, relative to its root: the store of the images that are not in the root.
pub const MEDIUM_IMAGES: &str = "images.squashfs";
/// Modules that the root loads besides those that hardware asks for: one name a line.
pub const LOAD_MODULES: &str = "/etc/distro/modules";
/// PID 1 in the root (also what `switch_root` executes).
pub const INIT: &str = "/sbin/init";

/// Run-time state of the guest's own programs.
pub const RUN_DIR: &str = "/run/distro";
/// Exists where PID 1 runs in a container: its options, see [`crate::container::options`].
pub const CONTAINER: &str = "/run/distro/container";
/// The READY line of [`crate::ready`], as a file.
pub const READY: &str = "/run/distro/ready";
/// One file per service, its content is a [`crate::service::Status`].
pub const SERVICE_STATE_DIR: &str = "/run/distro/services";
/// Services besides those of the image, in the same format: PID 1 takes them over at [`crate::control::Verb::Reload`].
pub const ADDED_SERVICES: &str = "/run/distro/added-services";
/// One file per service of [`ADDED_SERVICES`] that `distroctl quadlet run` runs.
pub const QUADLET_DIR: &str = "/run/distro/quadlet";
/// What containers of Quadlet services say, a file for each, as long as they run.
pub const QUADLET_LOGS: &str = "/var/lib/containers/quadlet";
/// The timers that `distroctl timers run` runs.
pub const TIMERS: &str = "/run/distro/timers";
/// When they ran last, on the data disk.
pub const TIMER_STAMPS: &str = "/var/lib/boot2podman/timers";
/// Folders of Quadlet files (podman-systemd.unit(5)); of two files with the same name the first one counts. The second is on
/// the data disk.
pub const QUADLET_SOURCES: [&str; 4] = [
    "/run/containers/systemd",
    "/var/lib/boot2podman/etc/containers/systemd",
    "/etc/containers/systemd",
    "/usr/share/containers/systemd",
];
/// Where PID 1 takes requests, see [`crate::control`].
pub const CONTROL: &str = "/run/distro/control";
/// One socket for each service that says itself when it is ready.
pub const NOTIFY_DIR: &str = "/run/distro/notify";
/// One file per service: what it writes, until [`LOG_SERVICE`] has taken it over into [`LOG_RING`].
pub const SERVICE_LOG_DIR: &str = "/run/distro/log";
/// Segments of the ring of all messages: kernel, PID 1, services.
pub const LOG_RING: &str = "/run/distro/log/.ring";
/// Name of the service that fills the ring. It stops last, so that it hears the end of the others.
pub const LOG_SERVICE: &str = "log";
/// The ring's copy on the data disk.
pub const DATA_LOG: &str = "/var/lib/boot2podman/log";
/// Warnings that the user must see, one a line, of this boot.
pub const WARNINGS: &str = "/run/distro/warnings";
/// Fingerprints of the SSH host keys: `TYPE SHA256:…` lines.
pub const HOST_KEY_FINGERPRINTS: &str = "/run/distro/host-keys";
/// Settings that provisioning gives at run time: lines of [`crate::settings`], each weighs more than the image's.
pub const PROVISIONED_SETTINGS: &str = "/run/distro/settings";
/// Exists when modules for the hardware found at start and those of [`LOAD_MODULES`] are loaded. The service of PID 1
/// that does it is [`MODULES_SERVICE`]: others may name it in `needs` and `after`.
pub const MODULES_LOADED: &str = "/run/distro/modules-loaded";
/// Name of PID 1's own service that loads modules.
pub const MODULES_SERVICE: &str = "modules";
/// One file per network interface that has static settings.
pub const STATIC_NET_DIR: &str = "/run/distro/net-static";
/// One file per network interface that router advertisements have told of.
pub const ADVERTISED_NET_DIR: &str = "/run/distro/net-ra";
/// One file per network interface that has a lease.
pub const LEASE_DIR: &str = "/run/distro/net";
/// Name servers of all interfaces; `/etc/resolv.conf` of the image is a link to it.
pub const RESOLV_CONF: &str = "/run/distro/resolv.conf";
/// The firewall in force, as the document names it; empty if it could not be put in force.
pub const FIREWALL_STATE: &str = "/run/distro/firewall";
/// What the clock was last set by, one line.
pub const NTP_STATE: &str = "/run/distro/ntp";
/// What became of the data disk: `device PATH`, `device PATH read-only` or `none REASON`.
pub const DATA_STATE: &str = "/run/distro/data-disk";
/// Exists while the consoles ask for the key of the data disk: what they show otherwise leaves their keys alone.
pub const ASKING: &str = "/run/distro/asking";
/// The content of an encrypted data disk, when it is open.
pub const DATA_OPENED: &str = "/dev/mapper/data-disk";

/// The configuration document of the image, the lightest of its sources.
pub const IMAGE_CONFIG: &str = "/usr/lib/distro/config.toml";
/// That of the data disk.
pub const DATA_CONFIG: &str = "/var/lib/boot2podman/config.toml";
/// The document that is in force, put together from all sources; root's only.
pub const CONFIG: &str = "/run/distro/config.toml";
/// What was wrong with the sources or could not be applied, a line each.
pub const PROBLEMS: &str = "/run/distro/problems";
/// `NAME=VALUE` lines that PID 1 adds to the environment of every service it starts.
pub const ENVIRONMENT: &str = "/run/distro/environment";

/// Where the data disk is mounted.
pub const DATA_MOUNT: &str = "/mnt/data";
/// Folders that come from the data disk; on it they have the same paths.
pub const PERSISTED: [&str; 2] = ["/var/lib/containers", "/var/lib/boot2podman"];
/// SSH host keys, on the data disk if there is one.
pub const HOST_KEYS: &str = "/var/lib/boot2podman/etc/ssh";
/// The host key that sshd is started with, in dropbear's format.
pub const HOST_KEY_ED25519: &str = "/var/lib/boot2podman/etc/ssh/dropbear_ed25519_host_key";
/// The user's additional keys on the data disk.
pub const DATA_AUTHORIZED_KEYS: &str = "/var/lib/boot2podman/etc/ssh/authorized_keys";
/// Host name kept on the data disk.
pub const DATA_HOSTNAME: &str = "/var/lib/boot2podman/etc/hostname";
/// Folder of certificates to trust, `*.pem` and `*.crt`, on the data disk.
pub const DATA_CERTS: &str = "/var/lib/boot2podman/certs";
/// Random bytes from one boot for the next, on the data disk only.
pub const RANDOM_SEED: &str = "/var/lib/boot2podman/random-seed";
/// The user's keys from distro.toml.
pub const IMAGE_AUTHORIZED_KEYS: &str = "/etc/distro/authorized_keys";

/// Containers that stay down, by the user's hand or because they have ended: ids, one a line. Kept over reboots, so that
/// `unless-stopped` means what it says.
pub const CONTAINERS_AT_REST: &str = "/var/lib/boot2podman/containers/at-rest";
/// Containers that `distroctl stop-containers` has stopped: not the user's hand. Ids, one a line.
pub const CONTAINERS_HALTED: &str = "/run/distro/containers-halted";
/// Containers that somebody should look at, `NAME: WHAT`, one a line.
pub const CONTAINER_PROBLEMS: &str = "/run/distro/container-problems";

/// Where users' containers ask for their place in [`USER_CGROUPS`]: who connects is moved to his own group there.
pub const ROOTLESS: &str = "/run/distro/rootless";
/// One socket for each user, the API of his engine; `/run/user/UID/podman/podman.sock` leads there.
pub const USER_ENGINES: &str = "/run/distro/engines";
/// One folder for each user, named by uid: his containers, images and volumes.
pub const USER_STORES: &str = "/var/lib/containers/user";
/// One control group for each user, named by uid, which is his own.
pub const USER_CGROUPS: &str = "/sys/fs/cgroup/user";

/// The engine's REST API.
pub const PODMAN_SOCKET: &str = "/run/podman/podman.sock";
/// Where systemd listens without a bus, and podman looks for it: the service `units` answers there.
pub const UNITS_SOCKET: &str = "/run/systemd/private";
/// The same for Docker's clients.
pub const DOCKER_SOCKET: &str = "/run/docker.sock";

/// What the image was built from, as a project's folder: distro.toml, the recipes in use, lock, kernel fragments, overlay;
/// and [`BUILD_SETTINGS`]. `mkdistro verify` builds it again.
pub const RECIPE_DIR: &str = "/usr/share/mkdistro";
/// What the build was told besides, and the builder's version.
pub const BUILD_SETTINGS: &str = "/usr/share/mkdistro/build.toml";
