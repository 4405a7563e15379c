//! Tells the program which cargo profile it was built in: capsules record it, since a run is the same only in the same build.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // target/PROFILE/build/scenarios-HASH/out. `PROFILE` itself would say `release` for every profile that inherits from it.
    let out = std::env::var("OUT_DIR").unwrap_or_default();
    let profile = Path::new(&out).ancestors().nth(3).and_then(Path::file_name);
    let profile = profile.map_or_else(|| "unknown".to_owned(), |name| name.to_string_lossy().into_owned());
    println!("cargo::rustc-env=WINDTUNNEL_PROFILE={profile}");
}
