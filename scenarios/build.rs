//! Tells the program in which cargo profile it was built (capsules record it, since a run is the same only in the same build), and which marks stand in the
//! programs that it runs, and where.

#[path = "build/marks.rs"]
mod marks;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    // target/PROFILE/build/scenarios-HASH/out. `PROFILE` itself would say `release` for every profile that inherits from it.
    let out = std::env::var("OUT_DIR").unwrap_or_default();
    let profile = Path::new(&out).ancestors().nth(3).and_then(Path::file_name);
    let profile = profile.map_or_else(|| "unknown".to_owned(), |name| name.to_string_lossy().into_owned());
    println!("cargo::rustc-env=WINDTUNNEL_PROFILE={profile}");
    println!("cargo::rustc-env=WINDTUNNEL_TOOLCHAIN={}", toolchain());
    if let Err(why) = regressions(Path::new(&out)) {
        println!("cargo::error={why}");
    }
    match table() {
        Ok(text) => {
            if let Err(error) = std::fs::write(Path::new(&out).join("marks.rs"), text) {
                println!("cargo::error=failed to write the table of marks: {error}");
            }
        }
        Err(why) => println!("cargo::error={why}"),
    }
}

/// The bank of regressions as a Rust expression: each file of the folder by its name.
fn regressions(out: &Path) -> Result<(), String> {
    let folder = Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("regressions");
    println!("cargo::rerun-if-changed=regressions");
    let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    let mut text = "&[\n".to_owned();
    for path in &files {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        writeln!(text, "Entry {{ name: {name:?}, text: include_str!({:?}) }},", path.display().to_string())
            .map_err(|error| error.to_string())?;
    }
    text.push(']');
    std::fs::write(out.join("regressions.rs"), text).map_err(|error| format!("failed to write the bank: {error}"))
}

/// The compiler and what it compiles for: `rustc 1.95.0 (...) for x86_64-unknown-linux-gnu`.
fn toolchain() -> String {
    let word = |name: &str| std::env::var(name).unwrap_or_else(|_| "unknown".to_owned());
    let said = std::process::Command::new(word("RUSTC")).arg("--version").output();
    let version = said.map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned()).unwrap_or_default();
    let version = if version.is_empty() { "rustc unknown".to_owned() } else { version };
    format!("{version} for {}", word("TARGET"))
}

/// The table of all marks as a Rust expression.
fn table() -> Result<String, String> {
    let mut places: BTreeMap<String, String> = BTreeMap::new();
    let mut text = "&[\n".to_owned();
    for program in ["proxy", "mock-upstream", "loadgen"] {
        let folder = Path::new("..").join(program).join("src");
        println!("cargo::rerun-if-changed={}", folder.display());
        for path in marks::sources(&folder) {
            let source = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let file = path.strip_prefix("..").unwrap_or(&path).display().to_string();
            let found = marks::scan(&source)
                .map_err(|line| format!("{file}:{line}: reached! takes a name in plain words, as a literal"))?;
            for marks::Found { name, line } in found {
                let place = format!("{file}:{line}");
                if let Some(other) = places.insert(name.clone(), place.clone()) {
                    return Err(format!("{place}: the mark \"{name}\" stands at {other}, too: a name is a place"));
                }
                writeln!(text, "Mark {{ name: {name:?}, file: {file:?}, line: {line} }},")
                    .map_err(|e| e.to_string())?;
            }
        }
    }
    text.push(']');
    Ok(text)
}
