//! The table of services besides the image's, which root's programs leave for PID 1: taken whole or not at all.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use contract::control::is_service_name;
use contract::service::{Service, decode};

/// A longer table is none.
const LIMIT_BYTES: u64 = 256 << 10;
/// Nor is one of more services.
const SERVICES_MAX: usize = 256;

/// Reads the table; there are none if there is no file.
pub(crate) fn load(path: &Path) -> Result<Vec<Service>, String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LIMIT_BYTES + 1).read_to_string(&mut text));
    match read {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(format!("read {}: {error}", path.display())),
        Ok(_) => read_table(&text),
    }
}

fn read_table(text: &str) -> Result<Vec<Service>, String> {
    if text.len() as u64 > LIMIT_BYTES {
        return Err(format!("the table is longer than {LIMIT_BYTES} bytes"));
    }
    let (services, problems) = decode(text);
    if let Some(problem) = problems.first() {
        return Err(problem.to_string());
    }
    if services.len() > SERVICES_MAX {
        return Err(format!("more than {SERVICES_MAX} services"));
    }
    for (index, service) in services.iter().enumerate() {
        let name = &service.name;
        if !is_service_name(name) {
            return Err(format!("no service can be called {name:?}"));
        }
        if services.iter().take(index).any(|other| other.name == *name) {
            return Err(format!("service {name}: twice"));
        }
        let is_path = |path: &String| path.starts_with('/');
        if !service.command.first().is_some_and(is_path) || !service.stop_command.first().is_none_or(is_path) {
            return Err(format!("service {name}: a command must begin with /"));
        }
        if service.listen.is_some() || service.tty.is_some() || service.required {
            return Err(format!("service {name}: sockets, terminals and the rescue shell are the image's services'"));
        }
    }
    Ok(services)
}

#[cfg(test)]
mod tests {
    use super::{SERVICES_MAX, load, read_table};

    #[test]
    fn takes_a_table_whole_or_not_at_all() {
        let names = |text: &str| -> Result<Vec<String>, String> {
            read_table(text).map(|services| services.into_iter().map(|service| service.name).collect())
        };
        let good = "service a\narg /bin/a\nservice b@1\narg /bin/b\nmanual\n";
        assert_eq!(names(good).unwrap(), ["a", "b@1"]);
        for (more, expected) in [
            ("foo\n", "line 6: unknown key \"foo\""),
            ("service ../x\narg /x\n", "no service can be called \"../x\""),
            ("service \narg /x\n", "no service can be called \"\""),
            ("service a\narg /x\n", "service a: twice"),
            ("service c\n", "service c: a command must begin with /"),
            ("service c\narg x\n", "service c: a command must begin with /"),
            ("service c\narg /x\nstop-arg x\n", "service c: a command must begin with /"),
            (
                "service c\narg /x\ntty tty1\n",
                "service c: sockets, terminals and the rescue shell are the image's services'",
            ),
            (
                "service c\narg /x\nlisten 0600 0 /s\n",
                "service c: sockets, terminals and the rescue shell are the image's services'",
            ),
        ] {
            assert_eq!(names(&format!("{good}{more}")), Err(expected.into()), "{more}");
        }
        let many: String = (0..=SERVICES_MAX).map(|number| format!("service s{number}\narg /x\n")).collect();
        assert_eq!(names(&many), Err("more than 256 services".into()));
        assert!(names(&"# x\n".repeat(80_000)).is_err());
        assert_eq!(load("/nonexistent".as_ref()), Ok(Vec::new()));
        assert!(load("/proc".as_ref()).is_err());
    }

    #[test]
    fn fuzz_added() {
        let seed = "service a\narg /bin/a\nneed b\nready notify\nrestart on-failure\nservice b\narg /b\nmanual\n";
        let tokens = ["service ", "arg /", "stop-arg ", "limit-pids ", "restart-delay-ms ", "tty ", "listen "];
        fuzz::Fuzz::new("fuzz_added").seed(seed).tokens(&tokens).run(|bytes| {
            if let Ok(services) = read_table(&String::from_utf8_lossy(bytes)) {
                let (mut table, _) = crate::service::table::Table::new(Vec::new());
                assert!(table.set_added(services).is_ok());
                table.due(0);
            }
        });
    }
}
