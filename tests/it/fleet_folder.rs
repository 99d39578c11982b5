//! `--servers DIR`: what stands in the folder is what is declared, while it changes.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use pilothouse::{
    fleet::{Known, Roster, ServerName, folder::Folder},
    gateway::{Gateway, Target},
};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_secs(30);

/// A folder that is watched; ends with the test.
pub(crate) struct Watched {
    known: watch::Receiver<BTreeMap<ServerName, Known>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Watched {
    pub(crate) fn start(path: &Path) -> Self {
        let roster = Roster::new(Arc::new(Gateway::new(Vec::new())));
        let known = roster.known();
        let folder = Folder::open(path, roster).unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(folder.run(stop.clone()));
        Self { known, stop, task }
    }

    /// Waits until what is declared is as it should be.
    pub(crate) async fn until(
        &mut self,
        what: &str,
        mut holds: impl FnMut(&BTreeMap<ServerName, Known>) -> bool,
    ) -> BTreeMap<ServerName, Known> {
        let until = Instant::now() + DEADLINE;
        loop {
            let known = self.known.borrow_and_update().clone();
            if holds(&known) {
                return known;
            }
            let changed = tokio::time::timeout_at(until.into(), self.known.changed()).await;
            assert!(changed.is_ok(), "waited in vain until {what}, declared is {known:#?}");
        }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(DEADLINE, self.task).await.unwrap().unwrap();
    }
}

pub(crate) fn named(name: &str) -> ServerName {
    ServerName { namespace: "default".to_owned(), name: name.to_owned() }
}

fn manifest(name: &str, command: &str) -> String {
    format!(
        "apiVersion: pilothouse.dev/v1alpha1\nkind: MCPServer\nmetadata:\n  name: {name}\nspec:\n  transport: stdio\n  command: [{command}]\n"
    )
}

/// The command of a declared process.
fn command(known: &BTreeMap<ServerName, Known>, name: &str) -> Option<String> {
    match &known.get(&named(name))?.declared.as_ref().ok()?.target {
        Target::Process(program) => Some(program.command.clone()),
        _ => None,
    }
}

fn names(known: &BTreeMap<ServerName, Known>) -> Vec<&str> {
    known.keys().map(|name| name.name.as_str()).collect()
}

#[tokio::test]
async fn a_manifest_that_is_added_changed_or_removed_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("time.yaml");
    fs::write(&file, manifest("time", "cat")).unwrap();
    let mut watched = Watched::start(folder.path());
    watched.until("the first is there", |known| names(known) == ["time"]).await;

    let two = format!("{}---\n{}", manifest("a", "cat"), manifest("b", "./tool"));
    fs::write(folder.path().join("two.yml"), two).unwrap();
    let known = watched.until("three are there", |known| names(known) == ["a", "b", "time"]).await;
    let tool = folder.path().canonicalize().unwrap().join("./tool");
    assert_eq!(command(&known, "b").map(PathBuf::from), Some(tool));

    fs::write(&file, manifest("time", "tac")).unwrap();
    watched.until("the command is new", |known| command(known, "time").as_deref() == Some("tac")).await;

    fs::remove_file(folder.path().join("two.yml")).unwrap();
    watched.until("one is left", |known| names(known) == ["time"]).await;
    // As editors and ConfigMaps write: a new file is moved over the old one.
    fs::write(folder.path().join(".time.new"), manifest("time", "cat")).unwrap();
    fs::rename(folder.path().join(".time.new"), &file).unwrap();
    watched
        .until("the command is the old one", |known| command(known, "time").as_deref() == Some("cat"))
        .await;

    // A slip of the pen removes nothing; the next scan that sees another file has seen this one too.
    fs::write(&file, "apiVersion: pilothouse.dev/v1alpha1\nkind: [MCPServer\n").unwrap();
    fs::write(folder.path().join("zone.yaml"), manifest("zone", "cat")).unwrap();
    let known = watched.until("another is there", |known| known.contains_key(&named("zone"))).await;
    assert_eq!(command(&known, "time").as_deref(), Some("cat"));
    fs::write(&file, manifest("clock", "cat")).unwrap();
    watched.until("what it says now holds", |known| names(known) == ["clock", "zone"]).await;
    watched.stop().await;
}

/// What was logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn count(&self, part: &str) -> usize {
        String::from_utf8_lossy(&self.0.lock().unwrap()).matches(part).count()
    }
}

#[tokio::test]
async fn a_bad_file_is_reported_with_its_place_and_the_others_go_on() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.yaml");
    fs::write(&bad, manifest("bad", "cat").replace("stdio", "telepathy")).unwrap();
    fs::write(folder.path().join("good.yaml"), manifest("good", "cat")).unwrap();
    fs::write(folder.path().join("README.md"), "not a manifest").unwrap();
    let image = "apiVersion: pilothouse.dev/v1alpha1\nkind: MCPServer\nmetadata: {name: image}\nspec: {image: 'x:1'}\n";
    fs::write(folder.path().join("image.yaml"), image).unwrap();
    let mut watched = Watched::start(folder.path());

    let known = watched.until("both are there", |known| names(known) == ["good", "image"]).await;
    assert!(command(&known, "good").is_some());
    let refused = known[&named("image")].declared.clone().unwrap_err().to_string();
    assert!(refused.contains("spec.command") && refused.contains("spec.remote"), "{refused}");
    assert_eq!(log.count("bad.yaml:6:14: "), 1);

    // A name that is taken stays with the first file; the log says so, and once only.
    fs::write(folder.path().join("later.yaml"), manifest("good", "tac")).unwrap();
    fs::write(&bad, manifest("bad", "cat")).unwrap();
    let known = watched.until("the corrected one is there", |known| names(known).contains(&"bad")).await;
    assert_eq!(command(&known, "good").as_deref(), Some("cat"));
    fs::write(&bad, manifest("bad", "tac")).unwrap();
    watched.until("it has changed", |known| command(known, "bad").as_deref() == Some("tac")).await;
    assert_eq!(log.count("default/good is declared twice"), 1);
    watched.stop().await;
}

#[tokio::test]
async fn a_folder_that_is_none_is_one_sentence() {
    let missing = Path::new("/no/such/folder");
    let roster = Roster::new(Arc::new(Gateway::new(Vec::new())));
    let Err(error) = Folder::open(missing, roster) else { panic!("it opened") };
    let error = error.to_string();
    assert!(error.contains("/no/such/folder") && error.contains("--servers"), "{error}");
}
