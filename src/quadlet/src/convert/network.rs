//! `.network`: `podman network create`.

use super::{Conversion, Step};
use crate::names::{Kind, known};
use crate::problem::Problem;

pub(super) fn convert(conversion: &mut Conversion<'_>) -> Result<(), Problem> {
    let name = known(Kind::Network, conversion.file_name, conversion.file).resource;
    let mut argv = conversion.podman()?;
    argv.extend(["network", "create", "--ignore"]);
    let booleans = [("DisableDNS", "--disable-dns"), ("Internal", "--internal"), ("IPv6", "--ipv6")];
    conversion.booleans(&mut argv, &booleans);
    conversion.strings(&mut argv, &[("Driver", "--driver"), ("IPAMDriver", "--ipam-driver")]);
    conversion.all_strings(&mut argv, &[("DNS", "--dns")]);
    let all = |key: &str| conversion.file.all("Network", key);
    let (subnets, gateways, ranges) = (all("Subnet"), all("Gateway"), all("IPRange"));
    for (key, what, values) in [("Gateway", "gateways", &gateways), ("IPRange", "ranges", &ranges)] {
        if subnets.is_empty() && !values.is_empty() {
            return Err(conversion.error(key, "cannot set gateway or range without subnet"));
        }
        if values.len() > subnets.len() {
            return Err(conversion.error(key, format!("cannot set more {what} than subnets")));
        }
    }
    for (index, subnet) in subnets.iter().enumerate() {
        argv.option("--subnet", &subnet.value);
        gateways.get(index).into_iter().for_each(|gateway| argv.option("--gateway", &gateway.value));
        ranges.get(index).into_iter().for_each(|range| argv.option("--ip-range", &range.value));
    }
    conversion.pairs(&mut argv, "Options", "--opt")?;
    conversion.pairs(&mut argv, "Label", "--label")?;
    conversion.podman_args(&mut argv)?;
    argv.push(name);
    conversion.command(Step::Start, argv);
    conversion.one_shot(true);
    Ok(())
}
