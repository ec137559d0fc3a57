//! What is merged for a kernel built from source, and whether it stuck: Kconfig drops an option silently when something it
//! depends on is missing.

use std::collections::BTreeSet;

use super::expression::Tristate;
use super::kconfig::{Definition, Kconfig};
use crate::config::{Checked, Fragment, KernelOption, KernelSource, OptionValue};
use crate::kernel::config::{KernelConfig, is_met};
use crate::nearest;

/// The lines that count for a kernel built from source, with their fragments.
fn requested(checked: &Checked) -> impl Iterator<Item = (&Fragment, &KernelOption)> {
    checked.fragments.iter().flat_map(|fragment| {
        let options = fragment.options.iter().filter(|option| option.applies_to(KernelSource::Source));
        options.map(move |option| (fragment, option))
    })
}

/// The configuration that is merged onto `allnoconfig`: each option once, and built in where a fragment allows a module.
pub(super) fn merged(checked: &Checked) -> String {
    let mut seen = BTreeSet::new();
    let mut text = String::new();
    for (_, option) in requested(checked) {
        if seen.insert(&option.name) {
            text.push_str(&wanted(option).line_text(&option.name));
            text.push('\n');
        }
    }
    text
}

/// The options that did not stick, each with what stands in its way. `kconfig` is read only if there are any.
pub(super) fn failures(
    checked: &Checked,
    config: &KernelConfig<'_>,
    kconfig: impl FnOnce() -> anyhow::Result<Kconfig>,
) -> anyhow::Result<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut lost: Vec<_> = requested(checked).collect();
    lost.retain(|(_, option)| !is_met(wanted(option), config.get(&option.name)));
    lost.retain(|(_, option)| seen.insert(&option.name));
    if lost.is_empty() {
        return Ok(Vec::new());
    }
    let kconfig = kconfig()?;
    Ok(lost
        .into_iter()
        .map(|(fragment, option)| {
            let found = config.get(&option.name).map_or("it is not set".into(), |value| format!("it is ={value}"));
            let reason = if option.reason.is_empty() { String::new() } else { format!(" ({})", option.reason) };
            let head = format!(
                "kernel-config/{}.config:{}: {}{reason}: did not stick, {found}",
                fragment.name,
                option.line,
                option.line_text()
            );
            [head].into_iter().chain(explain(option, config, &kconfig)).collect::<Vec<_>>().join("\n      ")
        })
        .collect())
}

/// The value that is merged: there are no modules.
fn wanted(option: &KernelOption) -> &OptionValue {
    if option.value == OptionValue::Module { &OptionValue::BuiltIn } else { &option.value }
}

/// Why an option has not the value that was asked for, one line each.
fn explain(option: &KernelOption, config: &KernelConfig<'_>, kconfig: &Kconfig) -> Vec<String> {
    let name = option.name.trim_start_matches("CONFIG_");
    let is_set = |name: &str| config.get(&format!("CONFIG_{name}")).is_some();
    let definitions = kconfig.definitions(name);
    if definitions.is_empty() {
        let near = nearest::nearest(name, kconfig.names()).map(|near| format!("; the nearest is CONFIG_{near}"));
        return vec![format!("this kernel has no such option{}", near.unwrap_or_default())];
    }
    if option.value == OptionValue::Unset {
        let by: Vec<&str> = kconfig.selectors(name).iter().map(String::as_str).filter(|by| is_set(by)).collect();
        return vec![if by.is_empty() { "it is always set".into() } else { format!("selected by {}", by.join(", ")) }];
    }
    let unmet: Vec<String> = definitions.iter().flat_map(|definition| unmet(definition, config)).collect();
    if !unmet.is_empty() {
        return unmet;
    }
    if let Some(rival) = kconfig.rivals(name).find(|rival| is_set(rival)) {
        return vec![format!("of its choice, CONFIG_{rival} is set instead")];
    }
    if definitions.iter().all(|definition| !definition.prompt) {
        let by = kconfig.selectors(name).join(", ");
        return vec![match by.as_str() {
            "" => "it cannot be asked for".into(),
            by => format!("it cannot be asked for; selected by {by}"),
        }];
    }
    let places: Vec<&str> = definitions.iter().map(|definition| definition.place.as_str()).collect();
    vec![format!("its dependencies are met; see {}", places.join(", "))]
}

/// The unmet conditions of a definition: `drivers/virt/Kconfig:10: depends on VIRT_DRIVERS [=n]`.
fn unmet(definition: &Definition, config: &KernelConfig<'_>) -> Vec<String> {
    let values = |name: &str| config.get(&format!("CONFIG_{name}")).map(str::to_owned);
    let depends = definition.depends.iter().map(|condition| ("depends on", condition));
    let shown = definition.prompt_if.iter().map(|condition| ("can be asked for if", condition));
    depends
        .chain(shown)
        .flat_map(|(what, condition)| {
            let parts = condition.expression.conjuncts().into_iter();
            parts
                .filter(|part| part.value(&values) == Tristate::No)
                .map(|part| format!("{}: {what} {}", condition.place, part.shown(&values)))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::kconfig::tests::kconfig;
    use super::{failures, merged};
    use crate::kernel::config::KernelConfig;
    use crate::kernel::tests::checked_fragments;

    const FRAGMENT: &str = "\
# the channel to the host
CONFIG_VBOX=m
CONFIG_X86=y
# only: package
CONFIG_MODULES=y
# only: source
# CONFIG_MODULES is not set
CONFIG_ZSTD=y
CONFIG_HELPER=y
CONFIG_VBOXX=y
# CONFIG_GZIP is not set
CONFIG_NAME=\"x\"
CONFIG_VBOX=m
";

    #[test]
    fn modules_become_built_in() {
        let expected = "CONFIG_VBOX=y\nCONFIG_X86=y\n# CONFIG_MODULES is not set\nCONFIG_ZSTD=y\nCONFIG_HELPER=y\n\
                        CONFIG_VBOXX=y\n# CONFIG_GZIP is not set\nCONFIG_NAME=\"x\"\n";
        assert_eq!(merged(&checked_fragments(&[("a", FRAGMENT)])), expected);
    }

    #[test]
    fn explains_what_did_not_stick() {
        let checked = checked_fragments(&[("a", FRAGMENT)]);
        let values =
            "CONFIG_X86=y\nCONFIG_PCI=y\nCONFIG_HAS_IOMEM=y\nCONFIG_HAVE_ZSTD=y\nCONFIG_GZIP=y\nCONFIG_NAME=\"x\"\n";
        let found = failures(&checked, &KernelConfig::parse(values), || Ok(kconfig())).unwrap();
        let expected = [
            "kernel-config/a.config:2: CONFIG_VBOX=m (the channel to the host): did not stick, it is not set
      drivers/Kconfig:12: depends on VIRT_DRIVERS [=n]
      drivers/Kconfig:16: depends on INPUT [=n]
      drivers/Kconfig:15: can be asked for if EXPERT [=n]",
            "kernel-config/a.config:8: CONFIG_ZSTD=y (the channel to the host): did not stick, it is not set
      of its choice, CONFIG_GZIP is set instead",
            "kernel-config/a.config:9: CONFIG_HELPER=y (the channel to the host): did not stick, it is not set
      it cannot be asked for; selected by VBOX",
            "kernel-config/a.config:10: CONFIG_VBOXX=y (the channel to the host): did not stick, it is not set
      this kernel has no such option; the nearest is CONFIG_VBOX",
            "kernel-config/a.config:11: # CONFIG_GZIP is not set (the channel to the host): did not stick, it is =y
      it is always set",
        ];
        assert_eq!(found, expected);
        let all = "CONFIG_VBOX=y\nCONFIG_X86=y\nCONFIG_ZSTD=y\nCONFIG_HELPER=y\nCONFIG_VBOXX=y\nCONFIG_NAME=\"x\"\n";
        let never = || -> anyhow::Result<_> { unreachable!("nothing is lost") };
        assert!(failures(&checked, &KernelConfig::parse(all), never).unwrap().is_empty());
    }
}
