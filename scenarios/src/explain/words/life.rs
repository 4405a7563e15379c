//! How proxies leave and change, in words.

use crate::check::Objectives;
use crate::model::{Drain, DrainCode};

/// How a proxy drains, to go on with; nothing where all is as the proxy has it.
pub(super) fn drain(drain: Drain) -> String {
    if drain == Drain::default() {
        return String::new();
    }
    let mut text = ", drains".to_owned();
    for (time, what) in [
        (drain.tell, " telling for"),
        (drain.grace, " with a grace of"),
        (drain.time, " over"),
        (drain.deadline, " by a deadline of"),
        (drain.close_timeout, " with a farewell of"),
    ] {
        if let Some(time) = time {
            text += &format!("{what} {time}");
        }
    }
    match drain.code {
        Some(DrainCode::GoingAway) => text += " with 1001",
        Some(DrainCode::ServiceRestart) => text += " with 1012",
        None => {}
    }
    text
}

/// What must hold of it.
pub(super) fn objectives(check: &Objectives) -> impl Iterator<Item = String> {
    [
        check
            .drain
            .map(|_| "drain: who is sent away by a drain lost nothing, heard why, and left in its turn".to_owned()),
        check.reload.map(|bound| {
            format!("reload: a reload closes nobody, and its limits count within {}", bound.counts_within)
        }),
    ]
    .into_iter()
    .flatten()
}
