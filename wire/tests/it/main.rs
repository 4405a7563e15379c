//! What a peer's bytes may do to us. The same properties are the fuzz targets in `fuzz/`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod feeds;
mod frames;
mod mutation;
