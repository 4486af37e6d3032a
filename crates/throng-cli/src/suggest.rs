//! "Did you mean": the nearest of a few names.

/// Returns what belongs to the name that is nearest to `typed`, if one is near enough to be meant.
pub(crate) fn nearest<'a, T>(typed: &str, known: impl IntoIterator<Item = (&'a str, T)>) -> Option<T> {
    let typed = plain(typed);
    known
        .into_iter()
        .map(|(name, value)| {
            (
                strsim::normalized_damerau_levenshtein(&typed, &plain(name)),
                value,
            )
        })
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, value)| value)
}

fn plain(name: &str) -> String {
    name.chars()
        .take(64)
        .filter(|c| !matches!(c, '-' | '_' | ' '))
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_a_near_name_is_suggested() {
        let known = ["max-concurrent", "model", "timeout"];
        let nearest = |typed| super::nearest(typed, known.map(|name| (name, name)));
        assert_eq!(nearest("max_concurent"), Some("max-concurrent"));
        assert_eq!(nearest("time-out"), Some("timeout"));
        assert_eq!(nearest("colour-scheme"), None);
    }
}
