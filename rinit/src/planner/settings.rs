//! `/etc/rinit/rinit.toml`: the few settings of `rinit` itself, from text.

use rootspec::paths::SETTINGS;
use rootspec::settings::Settings;
use rootspec::spot::Spot;
use rootspec::toml_value::from_text;
use rootspec::units::{Millis, Size};
use serde::Deserialize;

/// All logs together may always take so many bytes: less would be none.
const SMALLEST_LOGS: u64 = 1 << 20;
/// Times a watchdog may have, in milliseconds: shorter ones would reset a machine that is only busy.
const WATCHDOG: std::ops::RangeInclusive<u64> = 5_000..=600_000;

/// The file as written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Written {
    manager: Manager,
    control: Control,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Manager {
    default_group: Option<String>,
    shutdown_deadline: Option<Millis>,
    confirm_deadline: Option<Millis>,
    log_max: Option<Size>,
    kernel_log: Option<bool>,
    syslog: Option<bool>,
    watchdog: Option<Millis>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Control {
    group: Option<String>,
}

/// Reads the text; `gid` finds a group's number.
///
/// # Errors
/// The text is wrong; the place is shown. The defaults hold then.
pub(crate) fn parse(text: &str, gid: impl Fn(&str) -> Option<u32>) -> Result<Settings, String> {
    let written: Written =
        from_text(text).map_err(|mistake| Spot::from_toml(SETTINGS, text, &mistake).to_string())?;
    let mut settings = Settings::default();
    if let Some(group) = written.manager.default_group {
        settings.default_group = group;
    }
    if let Some(deadline) = written.manager.shutdown_deadline {
        // A shutdown without an end would be no shutdown.
        settings.shutdown_deadline = deadline.0.clamp(1_000, 3_600_000);
    }
    if let Some(deadline) = written.manager.confirm_deadline {
        settings.confirm_deadline = deadline.0.clamp(1_000, 3_600_000);
    }
    settings.kernel_log = written.manager.kernel_log;
    settings.syslog = written.manager.syslog.unwrap_or(settings.syslog);
    if let Some(most) = written.manager.log_max {
        settings.log_max = most.0.max(SMALLEST_LOGS);
    }
    if let Some(time) = written.manager.watchdog.filter(|time| time.0 != u64::MAX) {
        if !WATCHDOG.contains(&time.0) {
            return Err(format!(
                "{SETTINGS}: manager.watchdog is 5 s to 10 min, or \"off\""
            ));
        }
        settings.watchdog = u32::try_from(time.0.div_ceil(1_000)).ok();
    }
    if let Some(name) = written.control.group {
        let found = gid(&name);
        if found.is_none() {
            return Err(format!("{SETTINGS}: the group {name} is not in /etc/group"));
        }
        settings.control_gid = found;
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_keeps_its_default() {
        let text = "[manager]\nshutdown_deadline = \"30s\"\nconfirm_deadline = \"off\"\nlog_max = \"32M\"\nkernel_log = false\nsyslog = false\n[control]\ngroup = \"adm\"\n";
        let settings = parse(text, |name| (name == "adm").then_some(4)).unwrap();
        assert_eq!(settings.default_group, "default");
        assert_eq!(
            (settings.shutdown_deadline, settings.control_gid),
            (30_000, Some(4))
        );
        assert_eq!(settings.confirm_deadline, 3_600_000);
        assert_eq!(settings.log_max, 32 << 20);
        assert_eq!((settings.kernel_log, settings.syslog), (Some(false), false));
        assert!(parse("", |_| None).unwrap().syslog);
        assert!(parse("[manager]\nkernel_log = \"no\"\n", |_| None).is_err());
    }

    #[test]
    fn a_watchdog_is_off_unless_its_time_makes_sense() {
        let watchdog = |value: &str| {
            let text = format!("[manager]\nwatchdog = {value}\n");
            parse(&text, |_| None).map(|settings| settings.watchdog)
        };
        assert_eq!(parse("", |_| None).unwrap().watchdog, None);
        assert_eq!(watchdog("\"off\""), Ok(None));
        assert_eq!(watchdog("\"30s\""), Ok(Some(30)));
        for value in ["\"1s\"", "\"1h\"", "30", "true"] {
            assert!(
                watchdog(value).unwrap_err().contains("rinit.toml"),
                "{value}"
            );
        }
    }

    #[test]
    fn an_unknown_key_is_shown_with_its_place() {
        let shown = parse("[manager]\ngroup = \"x\"\n", |_| None).unwrap_err();
        assert!(shown.starts_with("/etc/rinit/rinit.toml:2:1"), "{shown}");
    }
}
