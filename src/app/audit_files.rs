//! `pilothouse audit verify` and `pilothouse audit export`.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, ErrorKind, Write},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context, bail};

use crate::{
    answer::counted,
    audit::{self, Anchor, Doubt, Fault, Format, Whole},
    cli::{ExportArgs, ExportFormat, VerifyArgs},
};

/// What a process that is writing the file needs to sign what it has written.
const SIGNING: Duration = Duration::from_millis(500);

/// Says a sentence for each file.
///
/// # Errors
/// The sentence of the first file that is not proven whole; the others are said all the same.
pub(super) fn verify(arguments: VerifyArgs) -> anyhow::Result<()> {
    let VerifyArgs { files, anchors, key } = arguments;
    let files = logs(&files);
    let anchors = anchors.iter().map(|anchor| Anchor::parse(anchor)).collect::<Result<Vec<_>, _>>()?;
    let shares = shares(&files, anchors, key.as_deref())?;
    let mut doubts = Vec::new();
    for (file, anchors) in files.iter().zip(shares) {
        match examine(file, key.as_deref(), &anchors) {
            Ok(whole) => super::print(&format!("{}\n", sentence(file, &whole)))?,
            Err(doubt) => doubts.push(doubt),
        }
    }
    let mut doubts = doubts.into_iter();
    let Some(first) = doubts.next() else { return Ok(()) };
    for doubt in doubts {
        super::print(&format!("{doubt}\n"))?;
    }
    Err(first.into())
}

/// Each log once, whichever of its files were named.
fn logs(files: &[PathBuf]) -> Vec<PathBuf> {
    let mut logs: Vec<PathBuf> = Vec::new();
    for log in files.iter().map(|file| audit::log(file)) {
        if !logs.contains(&log) {
            logs.push(log);
        }
    }
    logs
}

/// The anchors of each file: those that name its log.
fn shares(
    files: &[PathBuf],
    mut anchors: Vec<Anchor>,
    key: Option<&str>,
) -> anyhow::Result<Vec<Vec<Anchor>>> {
    let mut shares = Vec::new();
    for file in files {
        let origin = audit::origin(file, key)?;
        let of_this = |anchor: &mut Anchor| origin.as_deref() == Some(anchor.origin());
        shares.push(anchors.extract_if(.., of_this).collect());
    }
    match anchors.first() {
        Some(anchor) => {
            bail!("the anchor is of the log {}, and no given file is: give that log's file", anchor.origin())
        }
        None => Ok(shares),
    }
}

/// Looks again when the process that writes the file may just not have signed yet.
fn examine(file: &Path, key: Option<&str>, anchors: &[Anchor]) -> Result<Whole, Doubt> {
    match audit::examine(file, key, anchors) {
        Err(Doubt::Fault { fault: Fault::Unsigned { .. } | Fault::Tile { .. }, .. }) => {
            thread::sleep(SIGNING);
            audit::examine(file, key, anchors)
        }
        examined => examined,
    }
}

fn sentence(file: &Path, whole: &Whole) -> String {
    let file = file.display();
    let lines = |lines: &u64| counted(usize::try_from(*lines).unwrap_or(usize::MAX), "line");
    match whole {
        Whole::Signed { lines: count, files, origin, anchors } => {
            let mut said = format!("{file} is whole: {}", lines(count));
            if *files > 1 {
                said += &format!(" in {files} files");
            }
            said += &format!(", all signed for by {origin}");
            if *anchors > 0 {
                said += &format!(", and it contains {}", counted(*anchors, "anchor"));
            }
            said
        }
        Whole::Chained { lines: count } => {
            let lines = lines(count);
            format!(
                "{file} holds together: {lines} of the older form, which nobody signed; a cut at its end would not show"
            )
        }
    }
}

/// Prints every line of the files.
///
/// # Errors
/// When a file cannot be read, or a line is not one of a record.
pub(super) fn export(arguments: &ExportArgs) -> anyhow::Result<()> {
    let ExportArgs { format, files } = arguments;
    let format = match format {
        ExportFormat::Ocsf => Format::Ocsf,
        ExportFormat::CloudEvents => Format::CloudEvents,
    };
    let mut out = BufWriter::new(io::stdout().lock());
    for path in files {
        let origin = audit::origin(path, None)?.unwrap_or_else(|| "pilothouse.dev/audit".to_owned());
        let file =
            File::open(path).with_context(|| format!("{} cannot be read: check the path", path.display()))?;
        for (number, line) in BufReader::new(file).lines().enumerate() {
            let place = || format!("line {} of {}", number + 1, path.display());
            let line = line.with_context(|| format!("{} cannot be read", place()))?;
            let event = audit::export(&line, &origin, format)
                .with_context(|| format!("{} cannot be exported", place()))?;
            match writeln!(out, "{event}") {
                // A reader such as `head` has seen enough.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
                written => written.context("stdout cannot be written")?,
            }
        }
    }
    match out.flush() {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        flushed => flushed.context("stdout cannot be written"),
    }
}
