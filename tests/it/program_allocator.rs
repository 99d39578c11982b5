//! The program that serves tells the allocator what to keep, and takes a user's word for it.

use std::fs;

use crate::program::{Served, command};

fn of_allocator(environment: &[u8]) -> Vec<String> {
    let all = environment.split(|byte| *byte == 0).map(|one| String::from_utf8_lossy(one).into_owned());
    all.filter(|one| one.starts_with("MALLOC_")).collect()
}

#[tokio::test]
async fn it_starts_anew_in_the_same_process_with_its_settings() {
    let served = Served::start("serve", &[]).await;
    let process = format!("/proc/{}", served.child.id());
    let settings = of_allocator(&fs::read(format!("{process}/environ")).unwrap());
    assert_eq!(
        settings,
        ["MALLOC_ARENA_MAX=2", "MALLOC_MMAP_THRESHOLD_=131072", "MALLOC_TRIM_THRESHOLD_=131072"]
    );
    let arguments = fs::read_to_string(format!("{process}/cmdline")).unwrap();
    let arguments: Vec<&str> = arguments.split('\0').skip(1).take(3).collect();
    assert_eq!(arguments, ["serve", "--http", "127.0.0.1:0"]);
    assert_eq!(fs::read_to_string(format!("{process}/comm")).unwrap().trim(), "pilothouse");
}

#[test]
fn a_wrong_flag_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let output = command(folder.path()).args(["serve", "--nonsense"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.matches("--nonsense").count(), 1, "{said}");
}
