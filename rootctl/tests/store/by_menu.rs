//! Trials under a Limine that keeps no state: armed by the menu's default, put back by the boot stage.

use super::Test;
use super::bench::{Answer, Bench};

pub(crate) const TESTS: &[Test] = &[
    (
        "without_a_one_shot_a_trial_is_limines_default_until_it_arrives",
        armed_and_confirmed,
    ),
    ("a_trial_by_menu_that_came_back_has_failed", came_back),
    ("a_trial_by_menu_is_called_off", called_off),
    (
        "another_kernel_needs_a_persons_word_where_it_might_not_come_back",
        consent,
    ),
    (
        "a_deploy_by_menu_cut_at_any_step_starts_the_good_one_or_the_whole_trial",
        deploy_cut,
    ),
];

const PARTITION: &str = "0a1b2c3d-0000-1111-2222-333344445555";

/// A store under a Limine whose firmware knows no one-shot, with a copy of the running snapshot.
struct Old(Bench);

impl Old {
    fn new(name: &str) -> Self {
        let bench = Bench::with(name, &["--loader", "limine"]);
        std::fs::create_dir(bench.dir.join("efivars")).unwrap();
        bench.booted(1);
        let old = Self(bench);
        old.rootctl(&["snap", "new"]).code(0);
        old
    }

    fn rootctl(&self, words: &[&str]) -> Answer {
        self.cut(words, "nowhere")
    }

    /// The same, dying at a step.
    fn cut(&self, words: &[&str], at: &str) -> Answer {
        let variables = self.0.dir.join("efivars").display().to_string();
        let environment = [
            ("ROOTCTLD_EFIVARS", variables.as_str()),
            ("ROOTCTLD_ESP_PARTITION", PARTITION),
            ("ROOTCTLD_DIE_AT", at),
        ];
        self.0.rootctl_with(words, &environment)
    }

    fn field(&self, name: &str) -> serde_json::Value {
        let answer = self.rootctl(&["--json", "status"]).code(0);
        let value: serde_json::Value = serde_json::from_str(&answer.out).unwrap();
        value.get(name).cloned().unwrap_or_default()
    }

    fn conf(&self) -> String {
        std::fs::read_to_string(self.0.esp().join("EFI/BOOT/limine.conf")).unwrap()
    }

    /// The number of `default_entry`, and the titles.
    fn menu(&self) -> (usize, Vec<String>) {
        let text = self.conf();
        let value = |line: &str| line.strip_prefix("default_entry: ")?.parse().ok();
        let titles = text.lines().filter_map(|line| line.strip_prefix('/'));
        (
            text.lines().find_map(value).unwrap(),
            titles.map(str::to_owned).collect(),
        )
    }

    /// What the boot stage does when it arrives, and the reboot into `id`.
    fn arrives(&self, id: u32) {
        let text = self.conf().replace("default_entry: 2", "default_entry: 1");
        std::fs::write(self.0.esp().join("EFI/BOOT/limine.conf"), text).unwrap();
        self.0.booted(id);
    }
}

fn armed_and_confirmed() {
    let old = Old::new("by-menu");
    assert_eq!(old.menu(), (1, vec!["rootctl 1".into()]));
    old.rootctl(&["deploy", "2"])
        .code(0)
        .says(&["default of Limine's menu", "every reset starts it again"]);
    let both = vec!["rootctl 1".to_owned(), "rootctl 2".to_owned()];
    assert_eq!(old.menu(), (2, both.clone()));
    let word = format!(
        "panic=30 oops=panic rootctl.trial rootctl.disarm={PARTITION}:/EFI/BOOT/limine.conf\n"
    );
    assert_eq!(old.conf().matches(&word).count(), 1);
    assert_eq!(old.field("warnings"), serde_json::json!([]));
    assert_eq!(old.field("trial")["tries_max"], 1);
    // A change that has nothing to do with it neither disarms it nor calls it failed.
    old.rootctl(&["snap", "new", "other"]).code(0);
    assert_eq!(
        (old.menu(), &old.field("trial")["phase"]),
        ((2, both), &"armed".into())
    );
    old.arrives(2);
    old.rootctl(&["boot-ok"]).code(0);
    assert_eq!(
        old.menu(),
        (1, vec!["rootctl 2".into(), "rootctl 1".into()])
    );
    assert!(!old.conf().contains("rootctl.disarm"));
    assert_eq!(old.field("warnings"), serde_json::json!([]));
}

fn came_back() {
    let old = Old::new("by-menu-back");
    old.rootctl(&["deploy", "2", "--try", "3"]).code(0);
    assert_eq!(old.field("trial")["tries_max"], 3);
    old.arrives(1);
    assert_eq!(
        old.field("trial")["phase"],
        "failed",
        "seen before it is written"
    );
    old.rootctl(&["snap", "new"]).code(0);
    assert_eq!(old.menu(), (1, vec!["rootctl 1".into()]));
    assert_eq!(old.field("trial")["phase"], "failed");
    old.rootctl(&["deploy", "2"]).code(0);
    assert_eq!(old.menu().0, 2);
}

fn called_off() {
    let old = Old::new("by-menu-off");
    old.rootctl(&["deploy", "2"]).code(0);
    old.rootctl(&["rollback"]).code(0);
    assert_eq!(old.menu(), (1, vec!["rootctl 1".into()]));
    old.rootctl(&["deploy", "2"]).code(0);
    old.arrives(2);
    old.rootctl(&["boot-ok", "--reject", "no web"]).code(0);
    assert_eq!(old.menu(), (1, vec!["rootctl 1".into()]));
    assert_eq!(old.field("trial")["reason"], "no web");
}

fn consent() {
    let old = Old::new("by-menu-kernel");
    let script = "echo k > /boot/vmlinuz-6.1.0-test";
    old.rootctl(&["run", "1", "--name", "kernel", "--", "sh", "-c", script])
        .code(0);
    let before = old.conf();
    old.rootctl(&["deploy", "kernel"]).code(3).says(&[
        "another kernel",
        "at every reset",
        "--accept-no-return",
        "GRUB",
    ]);
    old.rootctl(&["-n", "deploy", "kernel"]).code(3);
    // Nothing is known of what runs: then nothing is known to come back.
    std::fs::remove_file(old.0.report()).unwrap();
    old.rootctl(&["deploy", "2"]).code(3);
    old.0.booted(1);
    // Without a name for the partition the boot stage could not put the menu back.
    let variables = old.0.dir.join("efivars").display().to_string();
    old.0
        .rootctl_with(&["deploy", "2"], &[("ROOTCTLD_EFIVARS", &variables)])
        .code(3)
        .says(&["could not find the ESP", "GRUB"]);
    assert_eq!(old.conf(), before, "nothing was written before a refusal");
    assert_eq!(old.field("trial"), serde_json::Value::Null);
    old.rootctl(&["deploy", "kernel", "--accept-no-return"])
        .code(0);
    assert_eq!(old.menu().0, 2);
}

fn deploy_cut() {
    let old = Old::new("by-menu-cut");
    for at in ["E0", "E3", "E4", "E5", "E6", "E7", "state", "E8", "E9"] {
        old.cut(&["deploy", "2"], at).code(1);
        let (default, titles) = old.menu();
        assert_eq!(titles.first().unwrap(), "rootctl 1", "{at}");
        assert_eq!(default, if at == "E9" { 2 } else { 1 }, "{at}");
        if default == 2 {
            assert_eq!(titles[1], "rootctl 2");
            assert_eq!(old.field("trial")["phase"], "armed", "{at}");
        }
        old.rootctl(&["deploy", "2"]).code(0);
        assert_eq!(old.menu().0, 2, "{at}");
        assert_eq!(old.field("warnings"), serde_json::json!([]), "{at}");
        old.rootctl(&["rollback"]).code(0);
        assert_eq!(old.menu(), (1, vec!["rootctl 1".into()]), "{at}");
    }
}
