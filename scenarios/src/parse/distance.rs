//! "Did you mean": the nearest of what is known.

/// The known word nearest to `given`, if it is near enough to be what was meant.
pub(crate) fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase().replace('_', "-");
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&given, word), word))
        .filter(|(distance, word)| *distance <= (word.len().max(given.len()) / 3).max(1) || related(&given, word))
        // The first of equals: the order in which keys are explained.
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Whether one begins the other: `sym` for `symbols`, `symbols-per-client` for `symbols`.
fn related(given: &str, word: &str) -> bool {
    given.len() >= 3 && word.len() >= 3 && (word.starts_with(given) || given.starts_with(word))
}

/// As a hint.
pub(crate) fn did_you_mean<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(given, known).map(|word| format!("did you mean \"{word}\"?"))
}

/// As a hint; if nothing is near, all that is known.
pub(crate) fn did_you_mean_or_list<'a>(given: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    did_you_mean(given, known.clone()).unwrap_or_else(|| {
        let known: Vec<String> = known.into_iter().map(|word| format!("\"{word}\"")).collect();
        format!("known here: {}", known.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_finds_its_word_and_nonsense_finds_none() {
        let known = ["steady", "sources", "symbols", "for"];
        assert_eq!(nearest("stedy", known), Some("steady"));
        assert_eq!(nearest("Soruces", known), Some("sources"));
        assert_eq!(nearest("symbol", known), Some("symbols"));
        assert_eq!(nearest("fro", known), Some("for"));
        assert_eq!(nearest("colour", known), None);
    }

    #[test]
    fn snake_case_is_understood() {
        assert_eq!(nearest("queue_bytes", ["queue-bytes", "count"]), Some("queue-bytes"));
    }
}
