//! Services that come and go while PID 1 runs. A place in the table is never moved, since everything else goes by its index:
//! one that is free is used again.

use contract::service::Service;

use crate::container;

use super::{Edges, Origin, Table, Unit, resolve};

/// What [`Table::set_added`] has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// New ones.
    pub(crate) new: Vec<usize>,
    /// Those that must be stopped, then [`Table::remove`]d.
    pub(crate) leaving: Vec<usize>,
    /// What is wrong with whom they wait for.
    pub(crate) problems: Vec<String>,
}

impl Table {
    /// Makes these the services besides the image's. What has changed of one that runs counts from its next start.
    pub(crate) fn set_added(&mut self, mut services: Vec<Service>) -> Result<Changes, String> {
        container::forget(&mut services, &self.left_out);
        let is_images =
            |name: &str| self.units.iter().any(|unit| unit.origin == Origin::Image && unit.service.name == name);
        if let Some(service) = services.iter().find(|service| is_images(&service.name)) {
            return Err(format!("the image has a service {} already", service.name));
        }
        let mut changes = Changes::default();
        for (index, unit) in self.units.iter_mut().enumerate() {
            let stays = || services.iter().any(|service| service.name == unit.service.name);
            if unit.origin == Origin::Added && !stays() {
                unit.origin = Origin::Leaving;
                changes.leaving.push(index);
            }
        }
        for service in services {
            match self.units.iter_mut().find(|unit| unit.service.name == service.name) {
                Some(unit) => {
                    unit.backoff.set_least(service.restart_delay_ms);
                    unit.service = service;
                    unit.origin = Origin::Added;
                }
                None => changes.new.push(self.place(service)),
            }
        }
        let stays = |unit: &Unit| matches!(unit.origin, Origin::Image | Origin::Added);
        let named = self.units.iter().map(|unit| if stays(unit) { unit.service.clone() } else { nobody() });
        let (graph, problems) = resolve(&named.collect::<Vec<_>>());
        self.units.iter_mut().zip(graph).for_each(|(unit, edges)| unit.edges = edges);
        changes.problems = problems.iter().filter(|problem| !self.problems.contains(problem)).cloned().collect();
        self.problems = problems;
        Ok(changes)
    }

    fn place(&mut self, service: Service) -> usize {
        let mut unit = Unit::new(service, Edges::default());
        unit.origin = Origin::Added;
        match self.units.iter_mut().enumerate().find(|(_, unit)| unit.origin == Origin::Nobody) {
            Some((index, free)) => {
                *free = unit;
                index
            }
            None => {
                self.units.push(unit);
                self.units.len().saturating_sub(1)
            }
        }
    }

    /// Whether it is no longer wanted.
    pub(crate) fn is_leaving(&self, index: usize) -> bool {
        self.units.get(index).is_some_and(|unit| unit.origin == Origin::Leaving)
    }

    /// Frees the place of one that is leaving; its name is what is given. `None` while its process is still there.
    pub(crate) fn remove(&mut self, index: usize) -> Option<String> {
        let unit = self.units.get_mut(index).filter(|unit| unit.origin == Origin::Leaving && unit.pid.is_none())?;
        let free = Unit { origin: Origin::Nobody, ..Unit::new(nobody(), Edges::default()) };
        Some(std::mem::replace(unit, free).service.name)
    }
}

/// In a free place: it never starts, and nobody can name it.
fn nobody() -> Service {
    Service { manual: true, ..Service::new("", Vec::new()) }
}

#[cfg(test)]
mod tests {
    use contract::service::{Exit, Service, State};

    use super::{Changes, Table};
    use crate::service::table::Due;

    fn service(name: &str, needs: &[&str]) -> Service {
        let needs = needs.iter().map(ToString::to_string).collect();
        Service { needs, ..Service::new(name, vec!["/bin/true".into()]) }
    }

    fn names(table: &Table) -> Vec<&str> {
        table.units().iter().map(|unit| unit.service.name.as_str()).collect()
    }

    #[test]
    fn services_come_and_go_and_places_stay() {
        let (mut table, _) = Table::new(vec![service("image", &[])]);
        table.started(0, 1, 0);
        let changes = table.set_added(vec![service("a", &["image"]), service("b", &["a"])]).unwrap();
        assert_eq!(changes, Changes { new: vec![1, 2], ..Changes::default() });
        assert_eq!(table.due(0), [Due::Start(1)]);
        table.started(1, 2, 0);
        assert_eq!(table.due(0), [Due::Start(2)]);
        table.started(2, 3, 0);
        // b goes, c comes; a runs on with what has been changed.
        let mut changed = service("a", &[]);
        changed.stop_timeout_secs = 77;
        let changes = table.set_added(vec![changed, service("c", &["a"])]).unwrap();
        assert_eq!(changes, Changes { new: vec![3], leaving: vec![2], ..Changes::default() });
        assert_eq!((table.units()[1].pid, table.units()[1].service.stop_timeout_secs), (Some(2), 77));
        assert_eq!((table.is_leaving(2), table.remove(2)), (true, None));
        table.hold(2);
        table.ended(3, Exit::Code(0), 1);
        table.stopped(2);
        assert_eq!(table.remove(2).as_deref(), Some("b"));
        assert_eq!((table.remove(2), table.remove(1), names(&table)), (None, None, vec!["image", "a", "", "c"]));
        // The free place is used again.
        let changes = table.set_added(vec![service("a", &[]), service("c", &[]), service("d", &[])]).unwrap();
        assert_eq!((changes.new, table.units().len()), (vec![2], 4));
        assert_eq!(table.units()[2].state, State::Waiting);
    }

    #[test]
    fn nobody_waits_for_what_does_not_run_here() {
        let (mut table, _) = Table::new(Vec::new());
        table.leave_out(vec!["network".into()]);
        let changes = table.set_added(vec![service("a", &["network"])]).unwrap();
        assert_eq!((changes.problems, table.due(0)), (vec![], vec![Due::Start(0)]));
    }

    #[test]
    fn one_that_comes_back_while_it_leaves_stays() {
        let (mut table, _) = Table::new(Vec::new());
        table.set_added(vec![service("a", &[])]).unwrap();
        table.started(0, 1, 0);
        assert_eq!(table.set_added(Vec::new()).unwrap().leaving, [0]);
        assert_eq!(table.set_added(vec![service("a", &[])]).unwrap(), Changes::default());
        assert!(!table.is_leaving(0) && table.remove(0).is_none());
    }

    #[test]
    fn the_images_services_are_not_touched_and_problems_are_said_once() {
        let (mut table, problems) = Table::new(vec![service("image", &["none"])]);
        assert_eq!(problems.len(), 1);
        assert!(table.set_added(vec![service("new", &[]), service("image", &[])]).is_err());
        assert_eq!(names(&table), ["image"]);
        let added = || vec![service("a", &["b"]), service("b", &["a"]), service("c", &["nobody"])];
        assert_eq!(table.set_added(added()).unwrap().problems.len(), 2);
        assert_eq!(table.set_added(added()).unwrap().problems.len(), 0);
    }

    #[test]
    fn a_manual_one_waits_until_it_is_asked() {
        let (mut table, _) = Table::new(Vec::new());
        let manual = Service { manual: true, ..service("a", &[]) };
        table.set_added(vec![manual, service("b", &["a"])]).unwrap();
        assert_eq!((table.due(0), table.units()[0].state), (vec![], State::Stopped));
        table.release(0);
        assert_eq!(table.due(0), [Due::Start(0)]);
        table.started(0, 9, 0);
        assert_eq!(table.due(0), [Due::Start(1)]);
    }
}
