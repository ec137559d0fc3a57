//! `.build`: `podman build`.

use super::source::clean;
use super::{Conversion, Step};
use crate::problem::Problem;
use crate::words::Rule;

pub(super) fn convert(conversion: &mut Conversion<'_>) -> Result<(), Problem> {
    if conversion.file.all("Build", "ImageTag").is_empty() {
        return Err(conversion.error("ImageTag", "no ImageTag key specified"));
    }
    let mut argv = conversion.podman()?;
    argv.push("build");
    // podman takes its value only behind an equals sign.
    conversion.filled("Pull").into_iter().for_each(|pull| argv.push(format!("--pull={pull}")));
    let strings = [("Arch", "--arch"), ("AuthFile", "--authfile"), ("Target", "--target"), ("Variant", "--variant")];
    conversion.strings(&mut argv, &strings);
    conversion.booleans(&mut argv, &[("TLSVerify", "--tls-verify"), ("ForceRM", "--force-rm")]);
    conversion.all_strings(
        &mut argv,
        &[
            ("DNS", "--dns"),
            ("DNSOption", "--dns-option"),
            ("DNSSearch", "--dns-search"),
            ("GroupAdd", "--group-add"),
            ("ImageTag", "--tag"),
        ],
    );
    for (key, flag) in [("Annotation", "--annotation"), ("Environment", "--env"), ("Label", "--label")] {
        conversion.pairs(&mut argv, key, flag)?;
    }
    conversion.networks(&mut argv)?;
    conversion.each_word(&mut argv, "Secret", "--secret", Rule::Escapes)?;
    conversion.volumes(&mut argv)?;
    let context = context(conversion)?;
    let file = conversion.filled("File");
    let folder = conversion.out.filled("Service", "WorkingDirectory").map(str::to_owned);
    if folder.is_none() && file.is_none() && context.is_none() {
        return Err(conversion.error("File", "neither SetWorkingDirectory, nor File key specified"));
    }
    file.into_iter().for_each(|file| argv.option("--file", file));
    conversion.podman_args(&mut argv)?;
    let is_relative = file.is_none_or(|file| !file.starts_with('/') && !is_url(file));
    match (context, folder) {
        (Some(context), _) => argv.push(context),
        (None, Some(folder)) if is_relative => argv.push(folder),
        (None, None) if is_relative => {
            return Err(
                conversion.error("File", "relative path in File key requires SetWorkingDirectory key to be set")
            );
        }
        _ => {}
    }
    conversion.command(Step::Start, argv);
    conversion.one_shot(false);
    Ok(())
}

fn is_url(text: &str) -> bool {
    ["http://", "https://", "git://"].iter().any(|scheme| text.starts_with(scheme)) || text.contains("github.com/")
}

/// What `SetWorkingDirectory=` names as the context; or it sets the working directory.
fn context(conversion: &mut Conversion<'_>) -> Result<Option<String>, Problem> {
    let Some(value) = conversion.filled("SetWorkingDirectory") else { return Ok(None) };
    let has_folder = conversion.file.filled("Service", "WorkingDirectory").is_some();
    match value.to_lowercase().as_str() {
        "yaml" => {
            let text = format!("SetWorkingDirectory={value} is only supported in .kube files");
            Err(conversion.error("SetWorkingDirectory", text))
        }
        "file" => {
            let file = conversion.value("File").ok_or_else(|| conversion.error("File", "no File key specified"))?;
            conversion.work_beside(file);
            Ok(None)
        }
        "unit" => {
            conversion.work_beside(&conversion.path());
            Ok(None)
        }
        _ if value.starts_with('/') || is_url(value) => Ok(Some(value.to_owned())),
        _ if has_folder => Ok(None),
        _ => {
            conversion.work_beside(&conversion.path());
            Ok(Some(value.to_owned()))
        }
    }
}

impl Conversion<'_> {
    /// The folder of a file becomes the working directory, unless there is one.
    pub(super) fn work_beside(&mut self, file: &str) {
        if self.file.filled("Service", "WorkingDirectory").is_some() {
            return;
        }
        let file = self.absolute(file);
        let folder = file.rsplit_once('/').map_or("/", |(folder, _)| folder);
        let folder = if folder.starts_with('%') { folder.to_owned() } else { clean(folder) };
        self.out.add("Service", "WorkingDirectory", folder);
    }
}
