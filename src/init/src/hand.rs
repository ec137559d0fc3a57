//! Services that are stopped and started by hand, while the others run.

use contract::control::{Request, Verb};
use contract::service::State;

use crate::console;
use crate::service::ending;
use crate::service::stop::{Stop, StopAction};
use crate::service::table::Table;

/// One on its way down.
#[derive(Debug)]
struct Stopping {
    index: usize,
    stop: Stop,
    command: Option<i32>,
    /// It is to start again afterwards.
    again: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Hand {
    stopping: Vec<Stopping>,
}

impl Hand {
    /// Does what a request asks for, or begins to.
    pub(crate) fn request(&mut self, table: &mut Table, request: Request<'_>, now_ms: u64) -> Result<(), String> {
        let is_it = |index: usize, name: &str| name == request.service && !table.is_leaving(index);
        let found = (0..).zip(table.units()).find(|(index, unit)| is_it(*index, &unit.service.name));
        let Some((index, unit)) = found else { return Err(format!("no such service: {}", request.service)) };
        console::step(format_args!("{} {} by hand", request.verb.as_str(), request.service));
        let is_running = unit.pid.is_some();
        if let Some(stopping) = self.stopping.iter_mut().find(|stopping| stopping.index == index) {
            stopping.again = request.verb != Verb::Stop;
            return Ok(());
        }
        match request.verb {
            Verb::Reload => return Err("reload is for all services".into()),
            Verb::Start if is_running => {}
            Verb::Start => table.release(index),
            Verb::Stop if unit.state == State::Stopped => table.hold_stopped(index),
            Verb::Stop | Verb::Restart => {
                let stop = Stop::one(unit, now_ms);
                table.hold(index);
                self.stopping.push(Stopping { index, stop, command: None, again: request.verb == Verb::Restart });
            }
        }
        Ok(())
    }

    /// Stops those that are no longer wanted.
    pub(crate) fn stop_leaving(&mut self, table: &mut Table, leaving: &[usize], now_ms: u64) {
        for &index in leaving {
            let Some(unit) = table.unit(index) else { continue };
            console::step(format_args!("{} is no longer wanted", unit.service.name));
            if let Some(stopping) = self.stopping.iter_mut().find(|stopping| stopping.index == index) {
                stopping.again = false;
                continue;
            }
            let stop = Stop::one(unit, now_ms);
            table.hold(index);
            self.stopping.push(Stopping { index, stop, command: None, again: false });
        }
    }

    /// Goes on with what is due; gives those that have changed, with whether they start again.
    pub(crate) fn tend(&mut self, table: &mut Table, now_ms: u64) -> Vec<(usize, bool)> {
        let mut done = Vec::new();
        self.stopping.retain_mut(|stopping| {
            loop {
                let actions = stopping.stop.due(now_ms);
                if actions.is_empty() {
                    break;
                }
                let Some(unit) = table.unit(stopping.index) else { return false };
                for action in actions {
                    match action {
                        StopAction::Command(at) => {
                            stopping.command = ending::command(&unit.service);
                            if stopping.command.is_none() {
                                stopping.stop.command_ended(at);
                            }
                        }
                        StopAction::Signal(_) => ending::signal(unit),
                        StopAction::Kill(_) => ending::kill(unit),
                    }
                }
            }
            if !stopping.stop.is_done() {
                return true;
            }
            table.stopped(stopping.index);
            // A process that hangs in the kernel is still there; it cannot be started a second time.
            let again = stopping.again && table.unit(stopping.index).is_some_and(|unit| unit.pid.is_none());
            if again {
                table.release(stopping.index);
            }
            done.push((stopping.index, again));
            false
        });
        done
    }

    /// A process has ended; true if it was a stop command.
    pub(crate) fn command_ended(&mut self, pid: i32) -> bool {
        let Some(stopping) = self.stopping.iter_mut().find(|stopping| stopping.command == Some(pid)) else {
            return false;
        };
        stopping.command = None;
        stopping.stop.command_ended(0);
        true
    }

    /// The process of a service has ended; true if it is being stopped by hand.
    pub(crate) fn process_ended(&mut self, index: usize) -> bool {
        let Some(stopping) = self.stopping.iter_mut().find(|stopping| stopping.index == index) else { return false };
        stopping.stop.process_ended(0);
        true
    }

    /// When [`Hand::tend`] has something to do.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        self.stopping.iter().filter_map(|stopping| stopping.stop.next_ms()).min()
    }
}

#[cfg(test)]
mod tests {
    use contract::control::{Request, Verb};
    use contract::service::{Exit, Service, State};

    use super::Hand;
    use crate::service::table::{Due, Table};

    fn one() -> (Hand, Table) {
        let service = Service::new("a", vec!["/bin/true".into()]);
        (Hand::default(), Table::new(vec![service]).0)
    }

    fn ask(hand: &mut Hand, table: &mut Table, verb: Verb) -> Result<(), String> {
        hand.request(table, Request { verb, service: "a" }, 0)
    }

    #[test]
    fn stops_what_does_not_run_and_starts_it_again() {
        let (mut hand, mut table) = one();
        let unknown = Request { verb: Verb::Stop, service: "b" };
        assert_eq!(hand.request(&mut table, unknown, 0), Err("no such service: b".into()));
        table.started(0, 1, 0);
        table.ended(1, Exit::Code(1), 1);
        assert_eq!(ask(&mut hand, &mut table, Verb::Stop), Ok(()));
        assert_eq!(hand.tend(&mut table, 2), [(0, false)]);
        assert_eq!((table.units()[0].state, table.due(1_000_000)), (State::Stopped, vec![]));
        assert_eq!(ask(&mut hand, &mut table, Verb::Start), Ok(()));
        assert_eq!(table.due(3), [Due::Start(0)]);
    }

    #[test]
    fn a_restart_ends_with_a_start() {
        let (mut hand, mut table) = one();
        table.started(0, 1, 0);
        table.ended(1, Exit::Code(1), 1);
        assert_eq!(ask(&mut hand, &mut table, Verb::Restart), Ok(()));
        // The last wish counts.
        assert_eq!(ask(&mut hand, &mut table, Verb::Stop), Ok(()));
        assert_eq!(ask(&mut hand, &mut table, Verb::Restart), Ok(()));
        assert_eq!(hand.tend(&mut table, 2), [(0, true)]);
        assert_eq!(table.due(2), [Due::Start(0)]);
        assert!(!hand.command_ended(7) && !hand.process_ended(0));
    }
}
