use contract::service::{Exit, Listen, Readiness, Restart, Service, State};

use super::graph::resolve;
use super::stop::{Stop, StopAction};
use super::table::{Due, Outcome, Table};

fn service(name: &str, needs: &[&str], after: &[&str]) -> Service {
    let mut service = Service::new(name, vec!["/bin/true".into()]);
    service.needs = needs.iter().map(ToString::to_string).collect();
    service.after = after.iter().map(ToString::to_string).collect();
    service
}

fn one_shot(name: &str, restart: Restart) -> Service {
    let mut service = service(name, &[], &[]);
    service.ready = Readiness::Exit;
    service.restart = restart;
    service
}

fn table(services: Vec<Service>) -> Table {
    let (table, problems) = Table::new(services);
    assert_eq!(problems, Vec::<String>::new());
    table
}

fn state(table: &Table, index: usize) -> State {
    table.units()[index].state
}

#[test]
fn unknown_names_and_cycles_are_left_out() {
    let services = [
        service("a", &["b"], &["nobody"]),
        service("b", &["c"], &[]),
        service("c", &[], &["a"]),
        service("d", &["d"], &[]),
    ];
    let (graph, problems) = resolve(&services);
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert_eq!(problems[0], "service a: no service nobody to wait for");
    let edges: usize = graph.iter().map(|edges| edges.all().count()).sum();
    assert_eq!(edges, 2);
    assert_eq!(graph[3].all().count(), 0);
}

#[test]
fn bad_entries_are_reported() {
    let (table, problems) = Table::new(vec![
        service("a", &[], &[]),
        service("a", &[], &[]),
        Service::new("b", vec![]),
        service("x/y", &[], &[]),
    ]);
    assert_eq!(table.units().len(), 1);
    assert_eq!(problems.len(), 3);
}

#[test]
fn starts_as_dependencies_allow() {
    let mut socket = service("socket", &[], &[]);
    socket.ready = Readiness::Socket("/x".into());
    let services =
        vec![service("user", &["socket"], &[]), socket, service("late", &[], &["once"]), one_shot("once", Restart::No)];
    let mut table = table(services);
    assert_eq!(table.due(0), [Due::Start(1), Due::Start(3)]);
    table.started(1, 10, 0);
    table.started(3, 11, 0);
    assert_eq!(table.due(0), []);
    assert_eq!(table.probed(50).map(|(index, _, ran_ms)| (index, ran_ms)).collect::<Vec<_>>(), [(1, 50)]);
    table.ready(1);
    assert_eq!(table.due(60), [Due::Start(0)]);
    table.started(0, 12, 60);
    assert_eq!(state(&table, 0), State::Ready);
    // `after` is content with a failure for good.
    assert_eq!(table.ended(11, Exit::Code(1), 70), Some((3, Outcome::Failed)));
    assert_eq!(table.due(70), [Due::Start(2)]);
    assert_eq!(table.ended(99, Exit::Code(0), 80), None);
}

#[test]
fn a_socket_that_init_made_says_nothing_about_readiness() {
    let mut own = service("own", &[], &[]);
    own.listen = Some(Listen { path: "/run/x".into(), mode: 0o660, gid: 1 });
    own.ready = Readiness::Socket("/run/x".into());
    let mut other = own.clone();
    other.name = "other".into();
    other.ready = Readiness::Socket("/run/y".into());
    let mut table = table(vec![own, other]);
    for index in 0..2 {
        table.started(index, 10 + index as i32, 0);
    }
    assert_eq!([state(&table, 0), state(&table, 1)], [State::Ready, State::Starting]);
}

#[test]
fn a_failure_for_good_blocks_those_that_need_it() {
    let services = vec![one_shot("once", Restart::No), service("b", &["once"], &[]), service("c", &["b"], &[])];
    let mut table = table(services);
    assert_eq!(table.due(0), [Due::Start(0)]);
    assert_eq!(table.not_started(0, false, 0), Outcome::Failed);
    // c's turn comes in the same round, for b failed before it was looked at.
    assert_eq!(table.due(0), [Due::Blocked(1, 0), Due::Blocked(2, 1)]);
    assert_eq!(table.due(0), []);
    assert_eq!(table.next_ms(), None);
}

#[test]
fn restarts_follow_the_policy() {
    let mut always = service("always", &[], &[]);
    always.restart = Restart::Always;
    let mut on_failure = service("on-failure", &[], &[]);
    on_failure.restart = Restart::OnFailure;
    let mut table = table(vec![always, on_failure]);
    for index in 0..2 {
        table.started(index, 10 + index as i32, 0);
    }
    assert_eq!(table.ended(10, Exit::Code(0), 5), Some((0, Outcome::Retry(100))));
    assert_eq!(table.ended(11, Exit::Code(0), 5), Some((1, Outcome::Stopped)));
    assert_eq!(table.next_ms(), Some(105));
    assert_eq!(table.due(104), []);
    assert_eq!(table.due(105), [Due::Start(0)]);
    table.started(0, 12, 105);
    assert_eq!(table.units()[0].restarts, 1);
    assert_eq!(table.ended(12, Exit::Signal(9), 106), Some((0, Outcome::Retry(200))));
    assert_eq!(state(&table, 0), State::Backoff);
    assert_eq!(table.units()[0].status().exit, Some(Exit::Signal(9)));
}

#[test]
fn a_one_shot_succeeds_once_and_is_tried_a_few_times() {
    let mut table = table(vec![one_shot("a", Restart::Always), one_shot("b", Restart::OnFailure)]);
    table.started(0, 1, 0);
    assert_eq!(table.ended(1, Exit::Code(0), 9), Some((0, Outcome::Done)));
    assert_eq!(state(&table, 0), State::Ready);
    let mut outcomes = Vec::new();
    for pid in 2..7 {
        table.started(1, pid, 10);
        outcomes.push(table.ended(pid, Exit::Code(3), 11).unwrap().1);
    }
    let retry = Outcome::Retry;
    assert_eq!(outcomes, [retry(100), retry(200), retry(400), retry(800), Outcome::Failed]);
}

#[test]
fn a_crash_loop_does_not_hold_up_those_after_it() {
    let mut looping = service("looping", &[], &[]);
    looping.ready = Readiness::File("/x".into());
    let mut table = table(vec![looping, service("after", &[], &["looping"]), service("needs", &["looping"], &[])]);
    let mut now = 0;
    for pid in 1..=5 {
        assert_eq!(table.due(now), [Due::Start(0)], "{pid}");
        table.started(0, pid, now);
        table.ended(pid, Exit::Code(1), now);
        now = table.next_ms().unwrap();
    }
    assert_eq!(table.due(now - 1), [Due::Start(1)]);
}

#[test]
fn slow_services_are_reported_once() {
    let mut slow = service("slow", &[], &[]);
    slow.ready = Readiness::File("/x".into());
    let mut table = table(vec![slow]);
    table.started(0, 1, 0);
    assert_eq!(table.next_ms(), Some(60_000));
    assert_eq!(table.due(60_000), [Due::Slow(0)]);
    assert_eq!(table.due(60_001), []);
    assert_eq!(table.next_ms(), None);
}

/// Chain `c` needs `b` needs `a`; `x` stands alone.
fn running_chain() -> Table {
    let mut b = service("b", &["a"], &[]);
    b.stop_command = vec!["/bin/stop".into()];
    let mut table = table(vec![service("a", &[], &[]), b, service("c", &["b"], &[]), service("x", &[], &[])]);
    for index in 0..4 {
        table.started(index, 10 + index as i32, 0);
    }
    table
}

#[test]
fn stops_in_reverse_order() {
    let table = running_chain();
    let mut stop = Stop::new(table.units(), 0, 60_000);
    assert_eq!(stop.due(0), [StopAction::Signal(2), StopAction::Signal(3)]);
    assert_eq!(stop.due(0), []);
    stop.process_ended(3);
    stop.process_ended(2);
    assert_eq!(stop.due(1), [StopAction::Kill(2), StopAction::Kill(3)]);
    assert_eq!(stop.due(1), [StopAction::Command(1)]);
    stop.command_ended(1);
    assert_eq!(stop.due(2), [StopAction::Signal(1)]);
    stop.process_ended(1);
    assert_eq!(stop.due(3), [StopAction::Kill(1)]);
    assert_eq!(stop.due(3), [StopAction::Signal(0)]);
    stop.process_ended(0);
    assert_eq!(stop.due(4), [StopAction::Kill(0)]);
    assert!(stop.is_done());
    assert_eq!(stop.next_ms(), None);
}

#[test]
fn kills_what_does_not_stop() {
    let table = running_chain();
    let mut stop = Stop::new(table.units(), 0, 60_000);
    stop.due(0);
    assert_eq!(stop.next_ms(), Some(10_000));
    stop.process_ended(3);
    assert_eq!(stop.due(10_000), [StopAction::Kill(2), StopAction::Kill(3)]);
    // Hangs in the kernel: left behind after two seconds more.
    assert_eq!(stop.due(11_999), []);
    assert_eq!(stop.due(12_000), [], "c is gone only now");
    assert_eq!(stop.due(12_000), [StopAction::Command(1)]);
    assert_eq!(stop.due(22_000), [StopAction::Signal(1)], "the command had its time");
}

#[test]
fn the_limit_and_a_second_signal_end_everything() {
    let table = running_chain();
    let all = [0, 1, 2, 3].map(StopAction::Kill);
    let mut stop = Stop::new(table.units(), 0, 5_000);
    stop.due(0);
    assert_eq!(stop.next_ms(), Some(5_000));
    assert_eq!(stop.due(5_000), all);
    assert_eq!(stop.next_ms(), Some(7_000));
    stop.due(7_000);
    assert!(stop.is_done());
    let mut stop = Stop::new(table.units(), 0, 60_000);
    stop.due(0);
    stop.hurry(100);
    assert_eq!(stop.due(100), all);
}

#[test]
fn a_finished_one_shot_runs_its_stop_command() {
    let mut once = one_shot("once", Restart::No);
    once.stop_command = vec!["/bin/stop".into()];
    let mut table = table(vec![once, one_shot("plain", Restart::No)]);
    for index in 0..2 {
        table.started(index, 1 + index as i32, 0);
        table.ended(1 + index as i32, Exit::Code(0), 1);
    }
    let mut stop = Stop::new(table.units(), 0, 60_000);
    assert_eq!(stop.due(0), [StopAction::Command(0)]);
    stop.command_ended(0);
    assert_eq!(stop.due(1), [StopAction::Kill(0)]);
    assert!(stop.is_done());
}

#[test]
fn what_has_run_gets_its_stop_command_without_a_process() {
    let mut services = vec![
        service("backoff", &[], &[]),
        one_shot("failed", Restart::No),
        service("blocked", &["failed"], &[]),
        service("missing", &[], &[]),
        service("waiting", &["backoff"], &[]),
    ];
    services.iter_mut().for_each(|service| service.stop_command = vec!["/bin/stop".into()]);
    services[0].ready = Readiness::File("/x".into());
    let mut table = table(services);
    for index in 0..2 {
        table.started(index, 1 + index as i32, 0);
        table.ended(1 + index as i32, Exit::Code(1), 1);
    }
    table.not_started(3, false, 1);
    assert_eq!(table.due(1), [Due::Blocked(2, 1)]);
    let states = [0, 1, 2, 3, 4].map(|index| state(&table, index));
    assert_eq!(states, [State::Backoff, State::Failed, State::Failed, State::Failed, State::Waiting]);
    let mut stop = Stop::new(table.units(), 0, 60_000);
    assert_eq!(stop.due(0), [StopAction::Command(0), StopAction::Command(1)]);
    stop.command_ended(0);
    stop.command_ended(1);
    assert_eq!(stop.due(1), [StopAction::Kill(0), StopAction::Kill(1)]);
    assert!(stop.is_done());
}

#[test]
fn one_stopped_by_hand_stays_so_until_it_is_started() {
    let mut table = table(vec![service("a", &[], &[]), service("b", &["a"], &[]), service("c", &[], &["a"])]);
    table.started(0, 10, 0);
    table.hold(0);
    assert_eq!(state(&table, 0), State::Stopping);
    assert_eq!(table.ended(10, Exit::Code(1), 5), Some((0, Outcome::Stopped)));
    assert_eq!(state(&table, 0), State::Stopping);
    table.stopped(0);
    // What needs it waits; what comes after it does not.
    assert_eq!((state(&table, 0), table.due(6)), (State::Stopped, vec![Due::Start(2)]));
    table.started(2, 11, 6);
    assert_eq!((table.due(100_000), table.next_ms()), (vec![], None));
    table.release(0);
    assert_eq!(table.due(100_001), [Due::Start(0)]);
    table.started(0, 12, 100_001);
    assert_eq!(table.due(100_002), [Due::Start(1)]);
    assert_eq!(table.units()[0].restarts, 0, "its end was wanted");
    table.release(0);
    assert_eq!(state(&table, 0), State::Ready, "it runs already");
}

#[test]
fn starting_one_that_has_failed_wakes_those_it_held_up() {
    let mut table = table(vec![one_shot("a", Restart::No), service("b", &["a"], &[])]);
    table.started(0, 1, 0);
    table.ended(1, Exit::Code(1), 1);
    assert_eq!(table.due(1), [Due::Blocked(1, 0)]);
    table.release(0);
    assert_eq!([state(&table, 0), state(&table, 1)], [State::Waiting, State::Waiting]);
    assert_eq!(table.due(2), [Due::Start(0)]);
    table.started(0, 2, 2);
    table.ended(2, Exit::Code(0), 3);
    assert_eq!(table.due(4), [Due::Start(1)]);
}

#[test]
fn one_that_says_itself_when_it_is_ready_is_not_asked() {
    let mut own = service("own", &[], &[]);
    own.ready = Readiness::Notify;
    let mut table = table(vec![own, service("b", &["own"], &[])]);
    table.started(0, 1, 0);
    assert_eq!((state(&table, 0), table.probed(1).count(), table.due(1)), (State::Starting, 0, vec![]));
    table.ready(0);
    assert_eq!(table.due(2), [Due::Start(1)]);
}

#[test]
fn stops_a_single_service() {
    let table = running_chain();
    let mut stop = Stop::one(&table.units()[1], 0);
    assert_eq!(stop.due(0), [StopAction::Command(0)]);
    stop.command_ended(0);
    assert_eq!(stop.due(1), [StopAction::Signal(0)]);
    assert_eq!(stop.next_ms(), Some(10_001));
    assert_eq!(stop.due(10_001), [StopAction::Kill(0)]);
    stop.process_ended(0);
    stop.due(10_002);
    assert!(stop.is_done());
}

#[test]
fn messages_are_taken_until_the_last_service_has_ended() {
    let mut table = table(vec![service("log", &[], &[]), service("a", &[], &[]), service("b", &[], &["a"])]);
    for index in 0..3 {
        table.started(index, 10 + index as i32, 0);
    }
    let mut stop = Stop::new(table.units(), 0, 60_000);
    assert_eq!(stop.due(0), [StopAction::Signal(2)]);
    stop.process_ended(2);
    stop.due(1);
    assert_eq!(stop.due(1), [StopAction::Signal(1)]);
    stop.process_ended(1);
    assert_eq!(stop.due(2), [StopAction::Kill(1)]);
    assert_eq!(stop.due(2), [StopAction::Signal(0)]);
}
