//! `.kube`: `podman kube play`.

use super::{Conversion, Manager, Step};
use crate::problem::Problem;
use crate::words::Rule;

pub(super) fn convert(conversion: &mut Conversion<'_>) -> Result<(), Problem> {
    let yaml = conversion.filled("Yaml").ok_or_else(|| conversion.error("Yaml", "no Yaml key specified"))?;
    let yaml = conversion.absolute(yaml);
    conversion.running()?;
    let mut argv = conversion.podman()?;
    argv.extend(["kube", "play", "--replace", "--service-container=true"]);
    if let Some(propagation) = conversion.filled("ExitCodePropagation") {
        argv.push(format!("--service-exit-code-propagation={propagation}"));
    }
    conversion.logging(&mut argv)?;
    conversion.user_mappings(&mut argv, false)?;
    conversion.networks(&mut argv)?;
    for update in conversion.words("AutoUpdate", Rule::Plain)? {
        let annotation = "--annotation=io.containers.autoupdate";
        argv.push(match update.split_once('/') {
            Some((container, policy)) => format!("{annotation}/{container}={policy}"),
            None => format!("{annotation}={update}"),
        });
    }
    for map in conversion.words("ConfigMap", Rule::Plain)? {
        argv.option("--configmap", conversion.absolute(&map));
    }
    conversion.all_strings(&mut argv, &[("PublishPort", "--publish")]);
    conversion.podman_args(&mut argv)?;
    argv.push(yaml.clone());
    conversion.command(Step::Start, argv);
    let mut down = conversion.podman()?;
    down.extend(["kube", "down"]);
    conversion.booleans(&mut down, &[("KubeDownForce", "--force")]);
    down.push(yaml);
    if conversion.world.manager == Manager::Init {
        // systemd would end the pod's first process instead, PID 1 knows only the runner.
        conversion.command(Step::Stop, down.clone());
        conversion.attempt(Step::StopPost, down);
    } else {
        conversion.command(Step::StopPost, down);
    }
    match conversion.filled("SetWorkingDirectory").map(str::to_lowercase).as_deref() {
        None => {}
        Some("yaml") => conversion.work_beside(conversion.filled("Yaml").unwrap_or_default()),
        Some("unit") => conversion.work_beside(&conversion.path()),
        Some(other) => {
            let text = format!("unsupported value for WorkingDirectory: {other}");
            return Err(conversion.error("SetWorkingDirectory", text));
        }
    }
    Ok(())
}
