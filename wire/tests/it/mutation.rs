//! Lawful bytes, hurt a little: noise alone is refused at its first byte.

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;

/// The canned inputs of a fuzz target, in the order of their names.
pub(crate) fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

#[derive(Clone, Debug)]
enum Edit {
    Flip(Index, u8),
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    /// Says a stretch again, many times: a peer that does not stop.
    Repeat(Index, usize, usize),
    Cut(Index),
    Append(Vec<u8>),
}

/// `input` with up to six edits.
pub(crate) fn mutated(input: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let noise = || prop::collection::vec(any::<u8>(), 0..40);
    let edit = prop_oneof![
        4 => (any::<Index>(), 0..8_u8).prop_map(|(at, bit)| Edit::Flip(at, bit)),
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        2 => (any::<Index>(), noise()).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        2 => (any::<Index>(), 1..40_usize).prop_map(|(at, length)| Edit::Remove(at, length)),
        2 => (any::<Index>(), 1..200_usize, 1..400_usize).prop_map(|(at, length, times)| Edit::Repeat(at, length, times)),
        1 => any::<Index>().prop_map(Edit::Cut),
        1 => noise().prop_map(Edit::Append),
    ];
    (input, prop::collection::vec(edit, 0..=6)).prop_map(|(mut bytes, edits)| {
        for edit in edits {
            apply(&mut bytes, edit);
        }
        bytes
    })
}

fn apply(bytes: &mut Vec<u8>, edit: Edit) {
    let (size, at) = (bytes.len(), |at: Index| at.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1)));
    match edit {
        Edit::Append(noise) => bytes.extend(noise),
        _ if size == 0 => {}
        Edit::Flip(index, bit) => {
            let at = at(index);
            bytes[at] ^= 1 << bit;
        }
        Edit::Set(index, byte) => {
            let at = at(index);
            bytes[at] = byte;
        }
        Edit::Insert(index, noise) => {
            let at = at(index);
            bytes.splice(at..at, noise);
        }
        Edit::Remove(index, length) => {
            let at = at(index);
            bytes.drain(at..(at + length).min(size));
        }
        Edit::Repeat(index, length, times) => {
            let at = at(index);
            let again = bytes[at..(at + length).min(size)].repeat(times);
            bytes.splice(at..at, again);
        }
        Edit::Cut(index) => {
            let at = at(index);
            bytes.truncate(at);
        }
    }
}
