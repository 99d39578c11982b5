//! The allocator of the program: with the settings that keep a large fleet small, and a user's word above them.

use crate::program::command;

/// What the allocator tells of itself, when it is started so.
fn told(settings: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let environment = ("_RJEM_MALLOC_CONF", format!("stats_print:true,{settings}"));
    let output = command(folder.path()).envs([environment]).arg("--version").output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

fn has(told: &str, option: &str, value: &str) -> bool {
    let begins = format!("opt.{option}: {value}");
    told.lines().any(|line| line.trim_start().split(" (").next() == Some(&begins))
}

#[test]
fn it_gives_free_memory_back_and_has_few_pools() {
    let told = told("stats_print:true");
    for (option, value) in [("narenas", "2"), ("dirty_decay_ms", "1000"), ("background_thread", "true")] {
        assert!(has(&told, option, value), "{option}: {told}");
    }
}

#[test]
fn a_user_sets_it_otherwise() {
    assert!(has(&told("narenas:1"), "narenas", "1"));
}

#[test]
fn a_wrong_flag_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let output = command(folder.path()).args(["serve", "--nonsense"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.matches("--nonsense").count(), 1, "{said}");
}
