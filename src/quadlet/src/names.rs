//! What files are called, what their services are called, and what podman calls the thing that a service makes.

use std::collections::BTreeMap;

use crate::unit_file::UnitFile;

/// A kind of file, by its name's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A container.
    Container,
    /// A volume.
    Volume,
    /// A network.
    Network,
    /// A pod.
    Pod,
    /// An image that is pulled.
    Image,
    /// An image that is built.
    Build,
    /// Kubernetes YAML.
    Kube,
    /// A service as systemd knows it.
    Service,
    /// What starts another unit again and again.
    Timer,
}

impl Kind {
    const ALL: [(&'static str, &'static str, Self); 9] = [
        ("container", "Container", Self::Container),
        ("volume", "Volume", Self::Volume),
        ("network", "Network", Self::Network),
        ("pod", "Pod", Self::Pod),
        ("image", "Image", Self::Image),
        ("build", "Build", Self::Build),
        ("kube", "Kube", Self::Kube),
        ("service", "Service", Self::Service),
        ("timer", "Timer", Self::Timer),
    ];

    /// The kind of a file of this name.
    pub fn of(file_name: &str) -> Option<Self> {
        let (stem, end) = file_name.rsplit_once('.')?;
        let found = Self::ALL.iter().find(|(extension, ..)| *extension == end).filter(|_| !stem.is_empty());
        found.map(|(.., kind)| *kind)
    }

    /// Its own section.
    pub fn section(self) -> &'static str {
        Self::ALL.iter().find(|(.., kind)| *kind == self).map_or("", |(_, section, _)| section)
    }

    /// The name's end, without the dot.
    pub fn extension(self) -> &'static str {
        Self::ALL.iter().find(|(.., kind)| *kind == self).map_or("", |(extension, ..)| extension)
    }

    /// Whether podman's own generator reads it; the others are systemd's.
    pub fn is_podmans(self) -> bool {
        !matches!(self, Self::Service | Self::Timer)
    }

    /// What the name of its service has behind the file's.
    fn suffix(self) -> &'static str {
        match self {
            Self::Container | Self::Kube | Self::Service | Self::Timer => "",
            Self::Volume => "-volume",
            Self::Network => "-network",
            Self::Pod => "-pod",
            Self::Image => "-image",
            Self::Build => "-build",
        }
    }
}

/// A file's name without its end.
pub(crate) fn stem(file_name: &str) -> &str {
    file_name.rsplit_once('.').map_or(file_name, |(stem, _)| stem)
}

/// Prefix and instance of a template's name, `prefix@instance`.
pub(crate) fn template(stem: &str) -> Option<(&str, &str)> {
    stem.split_once('@')
}

/// Name of the service that a file becomes, without `.service`.
pub(crate) fn service(kind: Kind, file_name: &str, file: &UnitFile) -> String {
    match file.value(kind.section(), "ServiceName").filter(|_| kind.is_podmans()) {
        Some(name) => name.to_owned(),
        None => format!("{}{}", stem(file_name), kind.suffix()),
    }
}

/// What others need to know of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    /// Name of its service, without `.service`.
    pub(crate) service: String,
    /// What podman calls the thing; empty if it has no name that can be told before it runs.
    pub(crate) resource: String,
}

/// All files, by their names.
pub(crate) type Names = BTreeMap<String, Known>;

/// Name that a container is given; specifiers are still in it.
pub(crate) fn container(file_name: &str, file: &UnitFile) -> String {
    let default = if file_name.contains('@') { "systemd-%p_%i" } else { "systemd-%N" };
    file.filled("Container", "ContainerName").unwrap_or(default).to_owned()
}

/// What others need to know of this one.
pub(crate) fn known(kind: Kind, file_name: &str, file: &UnitFile) -> Known {
    let service = service(kind, file_name, file);
    let named = |key: &str| match file.filled(kind.section(), key) {
        Some(name) => name.to_owned(),
        None => format!("systemd-{}", stem(file_name)),
    };
    let resource = match kind {
        Kind::Container => {
            let name = container(file_name, file).replace("%N", &service);
            if name.contains('%') { String::new() } else { name }
        }
        Kind::Volume => named("VolumeName"),
        Kind::Network => named("NetworkName"),
        Kind::Pod => named("PodName"),
        Kind::Image => {
            let image = file.value("Image", "Image").unwrap_or_default();
            file.filled("Image", "ImageTag").unwrap_or(image).to_owned()
        }
        Kind::Build => {
            let tags = file.all("Build", "ImageTag");
            tags.first().map(|entry| entry.value.clone()).unwrap_or_default()
        }
        Kind::Kube | Kind::Service | Kind::Timer => String::new(),
    };
    Known { service, resource }
}

#[cfg(test)]
mod tests {
    use super::{Kind, UnitFile, known};

    #[test]
    fn names_services_and_resources() {
        for (file, text, service, resource) in [
            ("a.container", "", "a", "systemd-a"),
            ("a.container", "[Container]\nServiceName=s\n", "s", "systemd-s"),
            ("a@.container", "", "a@", ""),
            ("a.b.volume", "", "a.b-volume", "systemd-a.b"),
            ("a.network", "[Network]\nNetworkName=n", "a-network", "n"),
            ("a.pod", "", "a-pod", "systemd-a"),
            ("a.image", "[Image]\nImage=i\nImageTag=t", "a-image", "t"),
            ("a.build", "[Build]\nImageTag=t\nImageTag=u", "a-build", "t"),
            ("a.kube", "", "a", ""),
            ("a.timer", "[Timer]\nServiceName=x", "a", ""),
        ] {
            let kind = Kind::of(file).unwrap();
            let found = known(kind, file, &UnitFile::parse(file, text).unwrap());
            assert_eq!((found.service.as_str(), found.resource.as_str()), (service, resource), "{file} {text}");
        }
        for none in ["container", ".container", "a.txt", "a.container.d", ""] {
            assert_eq!(Kind::of(none), None, "{none}");
        }
    }
}
