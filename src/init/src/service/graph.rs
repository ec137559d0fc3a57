//! Which service waits for which: names become indices; unknown names and cycles are reported and left out, because a
//! table with a mistake must still boot.

use contract::service::Service;

/// The edges of one service, as indices into the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Edges {
    /// Must be ready first.
    pub(crate) needs: Vec<usize>,
    /// Must be ready or given up first.
    pub(crate) after: Vec<usize>,
}

impl Edges {
    /// Both kinds.
    pub(crate) fn all(&self) -> impl Iterator<Item = usize> {
        self.needs.iter().chain(&self.after).copied()
    }
}

/// Edges of every service, and what was wrong with the names.
pub(crate) fn resolve(services: &[Service]) -> (Vec<Edges>, Vec<String>) {
    let mut problems = Vec::new();
    let mut graph: Vec<Edges> = Vec::with_capacity(services.len());
    for service in services {
        let mut find = |names: &[String]| {
            let mut found = Vec::new();
            for name in names {
                match services.iter().position(|other| other.name == *name) {
                    Some(index) => found.push(index),
                    None => problems.push(format!("service {}: no service {name} to wait for", service.name)),
                }
            }
            found
        };
        graph.push(Edges { needs: find(&service.needs), after: find(&service.after) });
    }
    while let Some((from, to)) = cycle_edge(&graph) {
        let name = |index: usize| services.get(index).map(|service| service.name.as_str()).unwrap_or_default();
        problems.push(format!("service {}: not waiting for {}, they wait for each other", name(from), name(to)));
        if let Some(edges) = graph.get_mut(from) {
            edges.needs.retain(|&other| other != to);
            edges.after.retain(|&other| other != to);
        }
    }
    (graph, problems)
}

/// An edge that closes a cycle, if there is one. Peels off services that wait for nothing until none is left.
fn cycle_edge(graph: &[Edges]) -> Option<(usize, usize)> {
    let mut done = vec![false; graph.len()];
    let is_done = |done: &[bool], index: usize| done.get(index).copied().unwrap_or(true);
    loop {
        let free: Vec<usize> = graph
            .iter()
            .enumerate()
            .filter(|(index, edges)| !is_done(&done, *index) && edges.all().all(|other| is_done(&done, other)))
            .map(|(index, _)| index)
            .collect();
        if free.is_empty() {
            break;
        }
        for index in free {
            if let Some(flag) = done.get_mut(index) {
                *flag = true;
            }
        }
    }
    // Every service left waits for another one left, so walking on from any of them comes back to one already seen.
    let mut at = done.iter().position(|done| !done)?;
    let mut seen = Vec::new();
    loop {
        seen.push(at);
        let next = graph.get(at)?.all().find(|&other| !is_done(&done, other))?;
        if seen.contains(&next) {
            return Some((at, next));
        }
        at = next;
    }
}
