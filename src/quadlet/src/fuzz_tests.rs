//! The readers, fed with broken files: none may panic, hang or take memory without bounds.

use std::hint::black_box;

use fuzz::Fuzz;

use crate::{Calendar, Host, Manager, Source, World, load, words};

const CONTAINER: &str = "[Unit]\nAfter=db.service\nRequires=db.service\n[Container]\nImage=x.image\nExec=sh -c \"a \\\n b\"\n\
    Network=n.network:ip=10.0.0.2\nVolume=v.volume:/v:Z\nVolume=./x:/x\nPod=p.pod\nMount=type=bind,source=/a,dst=/b\n\
    Environment=A=1 'B=2 3'\nAddDevice=-/dev/x:/dev/y\nRemapUsers=auto\nRemapUid=0:1:2\n[Service]\nRestart=always\n\
    RestartSec=1min 5s\nMemoryMax=1G\nExecStartPre=-/bin/echo %n ${A}\n[Install]\nWantedBy=default.target\n";

fn sources(text: &str) -> Vec<Source> {
    let names =
        ["a.container", "n.network", "v.volume", "p.pod", "x.image", "b.build", "k.kube", "s.service", "t@.container"];
    let mut sources: Vec<Source> = names
        .iter()
        .map(|name| Source { path: format!("/etc/containers/systemd/{name}"), name: (*name).into(), text: text.into() })
        .collect();
    let drop_in = "a.container.d/10-x.conf";
    sources.push(Source { path: format!("/e/{drop_in}"), name: drop_in.into(), text: text.into() });
    sources
}

#[test]
fn fuzz_quadlet() {
    let tokens = [
        "[Pod]\n",
        "[Volume]\n",
        "[Network]\n",
        "[Image]\n",
        "[Build]\n",
        "[Kube]\n",
        "\\\n",
        "=\n",
        ".service",
        ".network",
        "%",
        "${",
        "\\x",
        "WantedBy=",
        "Subnet=",
        "Gateway=",
        "Yaml=",
        "ImageTag=",
        "DefaultInstance=a",
        "\"",
        "ServiceName=",
    ];
    Fuzz::new("fuzz_quadlet").seed(CONTAINER).tokens(&tokens).iterations(600).run(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        let world = World { manager: Manager::Init, exists: &|path| path.len() % 2 == 0 };
        let loaded = load(&sources(&text), world);
        black_box(loaded.problems.iter().map(ToString::to_string).collect::<Vec<_>>());
        for unit in &loaded.units {
            for command in &unit.commands {
                let shown = words::join(&command.argv);
                assert_eq!(words::split(&shown, words::Rule::Escapes).as_ref(), Ok(&command.argv), "{shown}");
            }
        }
        black_box(crate::plans(&loaded, &Host::default(), &[]));
    });
}

#[test]
fn fuzz_calendar() {
    let tokens = ["Mon", "..", ",", "/", "~", "*", "-", ":", " UTC", "daily", "2026", "31"];
    let fuzz =
        Fuzz::new("fuzz_calendar").seed("Mon..Fri *-*-* 10:00").seed("2026-*~1/7 */2:0..30/5:01 UTC").seed("5min 20s");
    fuzz.tokens(&tokens).iterations(5000).run(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        black_box(crate::time_span::milliseconds(&text).ok());
        if let Ok(calendar) = Calendar::parse(&text) {
            let mut at = 1_795_000_000;
            for _ in 0..3 {
                let Some(next) = calendar.next(at, &|at| if at % 2 == 0 { 3600 } else { -7200 }) else { break };
                assert!(next > at, "{text}: {next} after {at}");
                at = next;
            }
        }
    });
}
