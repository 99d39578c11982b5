//! The house keeps its plan: who may know whom, and who alone may write to an API server.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use regex::Regex;

const LEAVES: [&str; 4] = ["answer", "api", "caller", "redact"];

/// Which other rooms a room may name; everybody may name the leaves, and leaves may name nobody.
fn arrows() -> BTreeMap<&'static str, Vec<&'static str>> {
    BTreeMap::from([
        ("audit", vec![]),
        ("cluster", vec!["audit"]),
        ("gateway", vec!["audit"]),
        ("fleet", vec!["audit", "cluster", "gateway"]),
        ("operator", vec!["audit", "cluster", "fleet"]),
        ("changes", vec!["audit", "tools"]),
        ("tools", vec!["audit", "cluster"]),
        ("metrics", vec!["tools"]),
        ("mcp", vec!["audit", "gateway", "tools"]),
        ("peers", vec!["mcp"]),
        ("bridge", vec!["gateway"]),
        ("telemetry", vec![]),
        ("cli", vec!["bridge"]),
    ])
}

fn source_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    for entry in entries {
        let path = entry.unwrap_or_else(|error| panic!("{}: {error}", dir.display())).path();
        if path.is_dir() {
            files.extend(source_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// Source text without comments: a comment may name any room.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The rooms, each with its files.
fn rooms() -> BTreeMap<String, Vec<PathBuf>> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut rooms: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for path in source_files(&src) {
        let relative = path.strip_prefix(&src).unwrap_or(&path);
        let first =
            relative.iter().next().map(|part| part.to_string_lossy().into_owned()).unwrap_or_default();
        rooms.entry(first.trim_end_matches(".rs").to_owned()).or_default().push(path);
    }
    rooms
}

/// `(room, rest of the path)` of everything a text names through `crate::`, grouped imports included.
fn named_rooms(code: &str) -> Vec<(String, String)> {
    named_in("crate", code)
}

/// The same of what stands beside or above: `root` is how the text begins to name it.
fn named_in(root: &str, code: &str) -> Vec<(String, String)> {
    let single = Regex::new(&format!(r"\b{root}::([a-z_]+)((?:::[A-Za-z_]+)?)")).expect("a valid pattern");
    let group = Regex::new(&format!(r"(?s)\b{root}::\{{(.*?)\}};")).expect("a valid pattern");
    let member = Regex::new(r"(?m)(?:^|[,{]\s*)([a-z_]+)(?:::|,|\s*$)").expect("a valid pattern");
    let mut named: Vec<(String, String)> =
        single.captures_iter(code).map(|hit| (hit[1].to_owned(), hit[2].to_owned())).collect();
    for hit in group.captures_iter(code) {
        // Only the group's own level names rooms.
        let mut depth = 0_u32;
        let top: String = hit[1]
            .chars()
            .filter(|c| {
                match c {
                    '{' => depth += 1,
                    '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                depth == 0
            })
            .collect();
        named.extend(
            member
                .captures_iter(&format!("{{{}", top.trim()))
                .map(|inner| (inner[1].to_owned(), String::new())),
        );
    }
    named
}

#[test]
fn arrows_point_the_way_the_house_is_planned() {
    let arrows = arrows();
    let rooms = rooms();
    let mut wrong = Vec::new();
    for (room, files) in &rooms {
        if matches!(room.as_str(), "app" | "main" | "lib") {
            continue;
        }
        let leaf = LEAVES.contains(&room.as_str());
        if !leaf && !arrows.contains_key(room.as_str()) {
            wrong.push(format!("room `{room}` stands in no plan: add it to the arrows"));
            continue;
        }
        for file in files {
            for (named, rest) in named_rooms(&code(file)) {
                let itself = named == *room;
                let to_leaf = !leaf && LEAVES.contains(&named.as_str());
                let planned = arrows.get(room.as_str()).is_some_and(|to| to.contains(&named.as_str()));
                let known = rooms.contains_key(&named);
                if known && !itself && !to_leaf && !planned {
                    wrong.push(format!("{}: `{room}` names `{named}`", file.display()));
                }
                if room == "bridge" && named == "gateway" && rest != "::wire" {
                    wrong.push(format!("{}: the bridge may name only `gateway::wire`", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Rooms whose files were in circles once.
const UNTANGLED: [&str; 1] = ["src/changes/request"];

#[test]
fn files_of_a_room_know_each_other_one_way_only() {
    for room in UNTANGLED {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(room);
        let files = source_files(&folder);
        let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let names: Vec<String> = files.iter().map(|path| stem(path)).filter(|name| name != "mod").collect();
        let mut knows: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for path in files.iter().filter(|path| names.contains(&stem(path))) {
            let text = code(path);
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            let named = named_in("super", text).into_iter().map(|(name, _)| name);
            knows.insert(stem(path), named.filter(|name| names.contains(name)).collect());
        }
        // Whoever knows nobody that is left is taken away; what stays then goes in circles.
        loop {
            let left: Vec<String> = knows.keys().cloned().collect();
            knows.retain(|_, known| known.iter().any(|name| left.contains(name)));
            if knows.len() == left.len() {
                break;
            }
        }
        assert!(knows.is_empty(), "{room}: these files know each other in circles: {knows:#?}");
    }
}

#[test]
fn only_the_operator_names_a_storing_method_of_kube() {
    let storing = Regex::new(
        r"\b(PostParams|PatchParams|DeleteParams|EvictParams|Patch::|Recorder|create_subresource|replace_status|patch_status|patch_scale|replace_scale|delete_collection|entry\(.*\)\.commit|create_token_request)\b",
    )
    .expect("a valid pattern");
    // In files that speak of kube, its verbs as well, however their parameters are made.
    let verbs = Regex::new(r"\bapi\w*\.(create|replace|patch|delete|evict|exec|attach)\(|Api::<[^>]*>::\w+\([^)]*\)\s*\.(create|replace|patch|delete)\(")
        .expect("a valid pattern");
    let mut wrong = Vec::new();
    for (room, files) in rooms() {
        if room == "operator" {
            continue;
        }
        for file in files {
            let text = code(&file);
            let verb = text.contains("kube::").then(|| verbs.find(&text)).flatten();
            if let Some(hit) = storing.find(&text).or(verb) {
                wrong.push(format!("{}: `{}`", file.display(), hit.as_str()));
            }
        }
    }
    assert!(wrong.is_empty(), "only `operator` may write to an API server:\n{}", wrong.join("\n"));
}

#[test]
fn no_file_is_a_heap() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for path in source_files(&src) {
        let lines = fs::read_to_string(&path).map(|text| text.lines().count()).unwrap_or_default();
        if lines > 500 {
            wrong.push(format!("{} has {lines} lines: split it by concern before 500", path.display()));
        }
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        if ["utils", "helpers", "manager", "common", "util", "misc"].contains(&stem.as_str()) {
            wrong.push(format!("{} says nothing by its name", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
