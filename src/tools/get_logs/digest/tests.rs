use jiff::{Timestamp, ToSpan};

use super::{super::reading::Wanted, Digest, TEMPLATES, text};

fn wanted() -> Wanted {
    Wanted { since: None, grep: None, around: 0, tail: 100, timestamps: false }
}

fn of(lines: impl IntoIterator<Item = String>) -> Digest {
    let mut digest = Digest::default();
    for (at, line) in (0_i64..).zip(lines) {
        digest.add(Some(Timestamp::UNIX_EPOCH + at.seconds()), &line);
    }
    digest
}

fn shown(digest: Digest) -> String {
    text(digest, "1 log in shop", &wanted(), 20_000)
}

#[test]
fn lines_of_one_kind_are_counted_and_errors_come_first() {
    let lines = (0..1_000).map(|at| match at {
        500 => "ERROR payment 500 refused by bank".to_owned(),
        at if at % 2 == 0 => format!("INFO order {at} of user{at} took {at}ms"),
        at => format!("INFO GET /api/items/{at} from 10.0.0.{}:{at}", at % 250),
    });
    let text = shown(of(lines));
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].starts_with("1000 lines of 1 log in shop, 1970-01-01 00:00:00 to 00:16:39 UTC: 3 kinds"),
        "{text}"
    );
    assert_eq!(lines[1], "1x error 00:08:20 | ERROR payment <*> refused by bank");
    assert_eq!(lines[2], "  first | ERROR payment 500 refused by bank");
    assert!(
        lines[3].starts_with("500x info 00:00:01..00:16:39 | INFO GET /api/items/<*> from <*>"),
        "{text}"
    );
    assert!(lines[5].starts_with("499x info 00:00:00..00:16:38 | INFO order <*> of <*> took <*>"), "{text}");
}

#[test]
fn names_that_differ_become_a_wildcard_and_verbs_do_not() {
    let users = ["ann", "bob", "cleo"].map(|user| format!("session of user {user} was opened"));
    let text = shown(of(users));
    assert!(text.contains("3x info 00:00:00..00:00:02 | session of user <*> was opened"), "{text}");
    let verbs = ["connection opened", "connection closed", "order created", "order deleted"];
    assert!(shown(of(verbs.map(str::to_owned))).contains("4 kinds"));
}

#[test]
fn structured_lines_are_told_apart_by_what_they_say() {
    let lines = (0..20).map(|at| {
        let (level, message) = if at == 7 { ("error", "cannot save") } else { ("info", "saved") };
        format!(r#"{{"level":"{level}","ts":{at}.5,"msg":"{message}","id":"x{at}"}}"#)
    });
    let text = shown(of(lines));
    assert!(text.contains("1x error 00:00:07 | cannot save\n19x info"), "{text}");
}

#[test]
fn a_stack_trace_stays_with_its_line() {
    let trace = ["ERROR it broke", "  at a.b(C.java:1)", "\tat d.e(F.java:22)", "Caused by: g", "INFO ready"];
    let text = shown(of(trace.map(str::to_owned)));
    assert!(
        text.contains("2 kinds") && text.contains("(+3 indented lines below) | ERROR it broke"),
        "{text}"
    );
}

#[test]
fn no_secret_is_in_a_template_or_an_example() {
    let line = |at: usize| format!("login {at} with password=hunter{at}abc to postgres://u:geheim{at}@db/x");
    let text = shown(of((0..50).map(line)));
    assert!(!text.contains("hunter") && !text.contains("geheim"), "{text}");
    assert!(text.contains("1 kind,") && text.contains("50x"), "{text}");
}

#[test]
fn however_many_kinds_come_few_are_held_and_all_lines_counted() {
    let word = |mut at: usize| {
        let mut word = String::new();
        while at > 0 || word.is_empty() {
            word.push(char::from(b'a' + u8::try_from(at % 26).unwrap_or(0)));
            at /= 26;
        }
        word
    };
    let digest = of((0..5_000).map(|at| format!("{} says {}", word(at), word(at * 7))));
    assert_eq!(digest.templates.len(), TEMPLATES);
    assert_eq!(digest.templates.iter().map(|template| template.count).sum::<usize>() + digest.others, 5_000);
    let text = text(digest, "1 log in shop", &wanted(), 3_000);
    assert!(text.len() <= 3_000, "{}", text.len());
    assert!(text.contains("more kinds with ") && text.contains("of too many other kinds"), "{text}");
}

#[test]
fn digests_of_several_logs_are_one() {
    let mut whole = Digest::default();
    for name in ["a", "b"] {
        whole.absorb(of((0..3).map(|at| format!("INFO task {at} of worker {name} is done"))));
    }
    let text = shown(whole);
    assert!(
        text.contains("6x info 00:00:00..00:00:02 in 2 logs | INFO task <*> of worker <*> is done"),
        "{text}"
    );
}
