//! Plans of small sets of files.

use contract::service::{Readiness, Restart};

use super::{Main, Plan, Plans, plans};
use crate::{Host, Manager, Source, Step, World, load};

fn make(files: &[(&str, &str)]) -> Plans {
    let sources: Vec<Source> = files
        .iter()
        .map(|(name, text)| Source { path: format!("/q/{name}"), name: (*name).into(), text: (*text).into() })
        .collect();
    let loaded = load(&sources, World { manager: Manager::Init, exists: &|_| false });
    let known = ["data-disk", "provision", "podman-setup", "podman", "network"].map(str::to_owned);
    plans(&loaded, &Host { name: "box".into(), ..Host::default() }, &known)
}

fn plan<'a>(plans: &'a Plans, name: &str) -> &'a Plan {
    plans.plans.iter().find(|plan| plan.service.name == name).unwrap_or_else(|| panic!("{name}: {:?}", plans.problems))
}

fn said(plans: &Plans) -> Vec<String> {
    plans.problems.iter().map(ToString::to_string).collect()
}

fn line(plan: &Plan, step: Step) -> String {
    let found = plan.commands.iter().filter(|command| command.step == step);
    found.map(|command| command.argv.join(" ")).collect::<Vec<_>>().join("; ")
}

#[test]
fn a_container_with_all_that_belongs_to_it() {
    let made = make(&[
        (
            "web.container",
            "[Unit]\nAfter=db.service\nRequires=db.service\n[Container]\nImage=localhost/a\nNetwork=lan.network\n\
             Volume=data.volume:/d\nExec=sh -c 'echo $$HOME ${WHO}' %N\n[Service]\nRestart=always\nRestartSec=2s\n\
             Environment=WHO=me\nExecStartPre=-/bin/x $WHO\nMemoryMax=64M\nCPUQuota=150%\nTimeoutStopSec=1min\n[Install]\n\
             WantedBy=multi-user.target\n",
        ),
        ("db.container", "[Container]\nImage=localhost/a\n"),
        ("lan.network", "[Network]\nSubnet=10.9.0.0/24\n"),
        ("data.volume", "[Volume]\n"),
        ("idle.container", "[Container]\nImage=x\n"),
    ]);
    assert_eq!(said(&made), Vec::<String>::new());
    let web = plan(&made, "web");
    assert_eq!(
        line(web, Step::Start),
        "/usr/bin/podman run --name systemd-web --cidfile=/run/web.cid --replace --rm --conmon-pidfile=/run/web.conmon \
         --log-driver k8s-file --log-opt path=/var/lib/containers/quadlet/web.log --cgroup-parent=/system/web --network systemd-lan --sdnotify=conmon -d -v \
         systemd-data:/d localhost/a sh -c echo $HOME me web"
    );
    assert_eq!(line(web, Step::StartPre), "/bin/x me");
    assert_eq!(line(web, Step::Stop), "/usr/bin/podman rm -v -f -i --cidfile=/run/web.cid");
    assert_eq!(web.main, Main::PidFile("/run/web.conmon".into()));
    let service = &web.service;
    assert_eq!(service.command, ["/usr/bin/distroctl", "quadlet", "run", "web"]);
    assert_eq!(service.needs, ["data-volume", "db", "lan-network"]);
    assert_eq!(service.after, ["data-disk", "network", "podman", "podman-setup", "provision"]);
    assert_eq!(
        (service.ready.clone(), service.restart, service.restart_delay_ms),
        (Readiness::Notify, Restart::Always, 2000)
    );
    assert_eq!((service.stop_timeout_secs, service.manual), (60, false));
    assert_eq!((service.limits.memory_mib, service.limits.cpu_percent), (Some(64), Some(150)));
    assert_eq!(web.env, [("WHO".into(), "me".into()), ("PODMAN_SYSTEMD_UNIT".into(), "web.service".into())]);
    assert_eq!(web.starts, ["data-volume", "db", "lan-network"]);
    // What is needed at boot starts at boot; who is not wanted by anybody does not.
    assert!(!plan(&made, "db").service.manual && !plan(&made, "lan-network").service.manual);
    assert!(plan(&made, "idle").service.manual);
    let network = plan(&made, "lan-network");
    assert_eq!((network.main.clone(), network.service.ready.clone()), (Main::Once, Readiness::Exit));
    for plan in &made.plans {
        assert_eq!(Plan::decode(plan.service.clone(), &plan.encode()).as_ref(), Ok(plan));
    }
}

#[test]
fn a_pod_starts_its_containers_and_takes_them_along() {
    let made = make(&[
        ("p.pod", "[Pod]\nPublishPort=80:80\n[Install]\nWantedBy=default.target\n"),
        ("a.container", "[Container]\nImage=x\nPod=p.pod\n"),
        ("b.container", "[Container]\nImage=x\nPod=p.pod\nStartWithPod=no\n"),
    ]);
    assert_eq!(said(&made), Vec::<String>::new());
    let pod = plan(&made, "p-pod");
    assert_eq!((pod.main.clone(), pod.says_ready), (Main::PidFile("/run/p-pod.pid".into()), true));
    assert_eq!((pod.starts.clone(), pod.service.restart), (vec!["a".to_owned()], Restart::OnFailure));
    let (a, b) = (plan(&made, "a"), plan(&made, "b"));
    assert_eq!((a.service.needs.clone(), a.stops_with.clone()), (vec!["p-pod".to_owned()], vec!["p-pod".to_owned()]));
    assert_eq!((a.service.manual, b.service.manual), (false, true));
    assert!(
        !line(a, Step::Start).contains("cgroup") && line(a, Step::Start).contains("--pod-id-file /run/p-pod.pod-id")
    );
}

#[test]
fn names_what_is_not_supported_and_what_is_wrong() {
    let made = make(&[
        ("a.container", "[Unit]\nStartLimitBurst=3\n[Container]\nImage=x\nImages=y\n[Service]\nRestart=on-success\n"),
        ("b.container", "[Unit]\nRequires=none.service\n[Container]\nImage=x\n"),
        ("c.container", "[Unit]\nBindsTo=b.service\n[Container]\nImage=x\n"),
        ("podman.container", "[Container]\nImage=x\n"),
        ("d.container", "[Container]\nImage=x\nVolume=v.volume:/v\n"),
        ("e.container", "[Container]\nImage=x\nExec=%y\n"),
        ("f.container", "[Container]\nImage=x\n[Service]\nTimeoutStopSec=soon\n"),
        ("g.container", "rubbish\n"),
    ]);
    let expected = [
        "/q/a.container:2: warning: unsupported key StartLimitBurst in section [Unit]",
        "/q/a.container:5: warning: unsupported key Images in section [Container]; did you mean Image?",
        "/q/a.container:7: warning: Restart=on-success is not supported, taken as no",
        "/q/b.container:2: error: requires none.service, which there is not",
        "/q/c.container:2: error: requires b.service, which there is not",
        "/q/d.container:3: error: requested Quadlet source v.volume was not found",
        "/q/e.container: error: there is no specifier %y",
        "/q/f.container:4: error: TimeoutStopSec: no length of time: \"soon\"",
        "/q/g.container:1: error: neither a section nor KEY=VALUE: rubbish",
        "/q/podman.container: error: the image has a service podman already; choose another ServiceName=",
    ];
    assert_eq!(said(&made), expected);
    let names: Vec<&str> = made.plans.iter().map(|plan| plan.service.name.as_str()).collect();
    assert_eq!(names, ["a"]);
}

#[test]
fn services_of_systemd_are_read_too() {
    let made = make(&[(
        "job.service",
        "[Unit]\nAfter=network-online.target\n[Service]\nType=oneshot\nExecStart=/bin/echo one\nExecStart=-/bin/echo two\n",
    )]);
    assert_eq!(said(&made), Vec::<String>::new());
    let job = plan(&made, "job");
    assert_eq!((job.main.clone(), job.service.manual), (Main::Once, true));
    assert_eq!(job.service.after, ["data-disk", "network", "provision"]);
    assert_eq!(line(job, Step::Start), "/bin/echo one; /bin/echo two");
    assert_eq!(said(&make(&[("s.service", "[Service]\n")])), ["/q/s.service: error: no ExecStart="]);
}
