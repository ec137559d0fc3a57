//! `.volume`: `podman volume create`.

use super::{Conversion, Step};
use crate::names::{Kind, known};
use crate::problem::Problem;

pub(super) fn convert(conversion: &mut Conversion<'_>) -> Result<(), Problem> {
    let name = known(Kind::Volume, conversion.file_name, conversion.file).resource;
    let mut argv = conversion.podman()?;
    argv.extend(["volume", "create", "--ignore"]);
    let driver = conversion.value("Driver");
    driver.into_iter().for_each(|driver| argv.option("--driver", driver));
    if driver == Some("image") {
        let missing = || conversion.error("Driver", "the key Image is mandatory when using the image driver");
        let image = conversion.value("Image").ok_or_else(missing)?;
        let image = conversion.image("Image", image)?;
        argv.option("--opt", format!("image={image}"));
    } else {
        let mut options = Vec::new();
        for (key, name) in [("User", "uid"), ("Group", "gid")] {
            if let Some(value) = conversion.value(key) {
                let wrong = || conversion.error(key, format!("{key}: not a number: {value}"));
                let id: u32 = if value == "root" { 0 } else { value.parse().map_err(|_| wrong())? };
                options.push(format!("{name}={id}"));
            }
        }
        if let Some(copy) = conversion.boolean("Copy") {
            argv.option("--opt", if copy { "copy" } else { "nocopy" });
        }
        let device = conversion.filled("Device");
        device.into_iter().for_each(|device| argv.option("--opt", format!("device={device}")));
        for key in ["Type", "Options"] {
            if conversion.filled(key).is_some() && device.is_none() {
                return Err(conversion.error(key, format!("key {key} can't be used without Device")));
            }
        }
        conversion.filled("Type").into_iter().for_each(|kind| argv.option("--opt", format!("type={kind}")));
        options.extend(conversion.filled("Options").map(str::to_owned));
        if !options.is_empty() {
            argv.option("--opt", format!("o={}", options.join(",")));
        }
    }
    conversion.pairs(&mut argv, "Label", "--label")?;
    conversion.podman_args(&mut argv)?;
    argv.push(name);
    conversion.command(Step::Start, argv);
    conversion.one_shot(true);
    Ok(())
}
