use std::time::{Duration, Instant};

use super::super::boot::{Boot, Failure, Step};
use super::super::engine::Listed;
use super::id;

fn container(c: char, state: &str, labels: &[(&str, &str)]) -> Listed {
    let labels = labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    Listed { id: id(c), name: c.into(), state: state.into(), labels }
}

fn start(c: char) -> Option<Step> {
    Some(Step::Start { id: id(c), name: c.into() })
}

#[test]
fn starts_by_policy_and_order() {
    let now = Instant::now();
    let mut boot = Boot::default();
    assert_eq!(boot.next_step(now), Some(Step::List));
    assert_eq!((boot.next_step(now), boot.next()), (None, None));
    boot.not_listed(now);
    assert_eq!(boot.next_step(now), None);
    let now = boot.next().unwrap();
    assert_eq!(boot.next_step(now), Some(Step::List));
    let (project, service) = (("com.docker.compose.project", "p"), "com.docker.compose.service");
    let always = vec![
        container(
            'a',
            "exited",
            &[project, (service, "web"), ("com.docker.compose.depends_on", "db:service_started:true")],
        ),
        container('b', "created", &[]),
        container('c', "running", &[]),
        container('d', "exited", &[("PODMAN_SYSTEMD_UNIT", "d.service")]),
    ];
    let unless_stopped = vec![
        container('e', "exited", &[project, (service, "db")]),
        container('f', "exited", &[]),
        container('g', "created", &[]),
    ];
    assert_eq!(boot.listed(always, unless_stopped, |rest| rest == id('f') || rest == id('b')), 3);
    assert_eq!(boot.next_step(now), start('b'));
    assert_eq!(boot.next_step(now), None, "one at a time");
    boot.started();
    assert_eq!(boot.next_step(now), start('e'));
    boot.started();
    assert_eq!(boot.next_step(now), start('a'));
    boot.started();
    assert_eq!((boot.next_step(now), boot.next()), (None, None));
}

#[test]
fn tries_again_and_gives_up() {
    let mut now = Instant::now();
    let mut boot = Boot::default();
    boot.next_step(now);
    boot.listed(vec![container('a', "exited", &[])], Vec::new(), |_| false);
    for delay in [3, 15, 60] {
        assert_eq!(boot.next_step(now), start('a'));
        assert_eq!(boot.failed(now), Failure::Again);
        assert_eq!(boot.next(), Some(now + Duration::from_secs(delay)));
        assert_eq!(boot.next_step(now), None);
        now += Duration::from_secs(delay);
    }
    assert_eq!(boot.next_step(now), start('a'));
    assert_eq!(boot.failed(now), Failure::Final);
    assert_eq!((boot.next_step(now), boot.next()), (None, None));
    assert_eq!(Boot::done().next_step(now), None);
}

#[test]
fn leaves_alone_what_somebody_has_started() {
    let now = Instant::now();
    let mut boot = Boot::default();
    boot.next_step(now);
    boot.listed(vec![container('a', "exited", &[]), container('b', "exited", &[])], Vec::new(), |_| false);
    boot.drop_wanted(&id('a'));
    assert_eq!(boot.next_step(now), start('b'));
    boot.failed(now);
    boot.drop_wanted(&id('b'));
    assert_eq!(boot.next(), None);
}
