//! Which container waits for which: what podman itself knows of, and what Docker's compose wrote into labels. Compose files
//! run by `docker compose` (or by anything else that writes its labels) have their order only there.

use super::engine::Listed;

const PROJECT: &str = "com.docker.compose.project";
const SERVICE: &str = "com.docker.compose.service";
/// `SERVICE:CONDITION:RESTART`, separated by commas.
const DEPENDS_ON: &str = "com.docker.compose.depends_on";

/// For each container the indices of those that it needs. `known` gives the ids that podman knows of.
pub(super) fn needs(containers: &[Listed], known: impl Fn(usize) -> Vec<String>) -> Vec<Vec<usize>> {
    let of_compose = |container: &Listed| -> Vec<usize> {
        let Some((project, list)) = container.label(PROJECT).zip(container.label(DEPENDS_ON)) else {
            return Vec::new();
        };
        let services: Vec<&str> = list.split(',').filter_map(|entry| entry.trim().split(':').next()).collect();
        let is_needed = |other: &Listed| {
            other.label(PROJECT) == Some(project) && other.label(SERVICE).is_some_and(|name| services.contains(&name))
        };
        positions(containers, is_needed)
    };
    let of = |(at, container): (usize, &Listed)| {
        let ids = known(at);
        let mut needs = positions(containers, |other| ids.contains(&other.id));
        needs.extend(of_compose(container));
        needs.retain(|other| *other != at);
        needs.sort_unstable();
        needs.dedup();
        needs
    };
    containers.iter().enumerate().map(of).collect()
}

fn positions(containers: &[Listed], is_it: impl Fn(&Listed) -> bool) -> Vec<usize> {
    containers.iter().enumerate().filter(|(_, container)| is_it(container)).map(|(at, _)| at).collect()
}

/// All indices, each after those that it needs; of a circle whatever comes first.
pub(super) fn sorted(needs: &[Vec<usize>]) -> Vec<usize> {
    let mut order: Vec<usize> = Vec::with_capacity(needs.len());
    while order.len() < needs.len() {
        let left = || (0..needs.len()).filter(|at| !order.contains(at));
        let is_free = |at: &usize| needs.get(*at).is_none_or(|needs| needs.iter().all(|other| order.contains(other)));
        let Some(next) = left().find(is_free).or_else(|| left().next()) else { break };
        order.push(next);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::{Listed, needs, sorted};

    fn service(project: &str, name: &str, depends_on: &str) -> Listed {
        let label = |key: &str, value: &str| (format!("com.docker.compose.{key}"), value.to_string());
        Listed {
            id: name.into(),
            name: name.into(),
            labels: vec![label("project", project), label("service", name), label("depends_on", depends_on)],
            ..Listed::default()
        }
    }

    #[test]
    fn orders_by_podman_and_by_compose() {
        let containers = [
            service("p", "web", "api:service_started:false,db:service_healthy:true"),
            service("p", "api", "db:service_healthy:false"),
            service("p", "db", ""),
            service("q", "db", ""),
            Listed { id: "proxy".into(), ..Listed::default() },
        ];
        let known = |at: usize| if at == 4 { vec!["web".into(), "gone".into(), "proxy".into()] } else { Vec::new() };
        let needs = needs(&containers, known);
        assert_eq!(needs, [vec![1, 2], vec![2], vec![], vec![], vec![0]]);
        assert_eq!(sorted(&needs), [2, 1, 0, 3, 4]);
    }

    #[test]
    fn a_circle_ends() {
        assert_eq!(sorted(&[vec![1], vec![0], vec![]]), [2, 0, 1]);
        assert_eq!(sorted(&[]), [0; 0]);
    }
}
