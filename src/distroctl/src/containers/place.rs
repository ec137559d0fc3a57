//! Where an engine keeps what is read here, as containers.conf and storage.conf of the image have it.

use std::path::PathBuf;

use contract::paths;

use crate::rootless;

/// Of root's engine, or of a user's.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Its API.
    pub(super) socket: String,
    /// Its log of events.
    pub(super) events: PathBuf,
    /// One folder for each container that ran since the boot, `healthcheck.log` in it.
    pub(super) runs: PathBuf,
    /// The list of all containers.
    pub(super) stored: PathBuf,
    pub(super) at_rest: PathBuf,
    pub(super) halted: PathBuf,
    pub(super) problems: PathBuf,
}

impl Place {
    /// That of whoever runs this.
    pub(super) fn own() -> Self {
        match rustix::process::geteuid().as_raw() {
            0 => Self::of_root(),
            uid => Self::of_user(uid),
        }
    }

    fn of_root() -> Self {
        Self {
            socket: paths::PODMAN_SOCKET.into(),
            events: "/run/libpod/events/events.log".into(),
            runs: "/run/containers/storage/overlay-containers".into(),
            stored: "/var/lib/containers/storage/overlay-containers/containers.json".into(),
            at_rest: paths::CONTAINERS_AT_REST.into(),
            halted: paths::CONTAINERS_HALTED.into(),
            problems: paths::CONTAINER_PROBLEMS.into(),
        }
    }

    /// Podman's own folders for users, but for the store.
    pub(super) fn of_user(uid: u32) -> Self {
        let (run, store) = (PathBuf::from(rootless::run_folder(uid)), PathBuf::from(rootless::store(uid)));
        Self {
            socket: rootless::socket(uid),
            events: run.join("libpod/tmp/events/events.log"),
            runs: run.join("containers/overlay-containers"),
            stored: store.join("storage/overlay-containers/containers.json"),
            at_rest: store.join("at-rest"),
            halted: run.join("containers-halted"),
            problems: run.join("container-problems"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn users_have_places_of_their_own() {
        let (ann, bob) = (Place::of_user(1001), Place::of_user(1002));
        assert_eq!(ann.socket, "/run/distro/engines/1001.sock");
        assert_eq!(ann.at_rest, std::path::Path::new("/var/lib/containers/user/1001/at-rest"));
        assert_ne!(ann.events, bob.events);
    }
}
