//! What the program keeps in memory: an allocator with the settings that keep a large fleet small, a user's word above
//! them, and no code that nothing runs.

use std::fs;

use crate::{
    program::{Served, command},
    stage::soon,
};

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

/// Kilobytes of files that are resident.
fn of_files(process: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("RssFile:")).unwrap();
    size.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
async fn code_that_nothing_runs_is_given_back_and_found_again() {
    let served = Served::start("serve", &[]).await;
    let process = served.child.id();
    for _ in 0..3 {
        let small = async {
            while of_files(process) > 16 * 1024 {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        soon("the code given back", small).await;
        let found = reqwest::get(format!("{}/nothing", served.origin)).await.unwrap();
        assert_eq!(found.status(), 404);
    }
}

#[test]
fn a_wrong_flag_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let output = command(folder.path()).args(["serve", "--nonsense"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.matches("--nonsense").count(), 1, "{said}");
}
