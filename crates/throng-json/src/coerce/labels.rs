//! Which label a text means.

/// Finds the label that a text means, and what the match costs. `None`: none, or more than one.
///
/// Tried are the text as it is, then without punctuation, then without regard to case: first whether it is a label, then
/// which label occurs in it most often. With `closest`, a text that is nearly a label, and nearer to it than to any other,
/// is that label too.
pub(super) fn find<'a>(
    text: &str,
    labels: &'a [(String, Vec<String>)],
    closest: bool,
) -> Option<(&'a str, i32)> {
    let text = text.trim();
    let mut texts: Vec<Vec<String>> = labels.iter().map(|(_, texts)| texts.clone()).collect();
    if let Some(found) = occurs(text, labels, &texts) {
        return found;
    }
    let plain = without_punctuation(text);
    for texts in texts.iter_mut().flatten() {
        *texts = without_punctuation(texts);
    }
    if let Some(found) = occurs(&plain, labels, &texts) {
        return found;
    }
    let plain = plain.to_lowercase();
    for texts in texts.iter_mut().flatten() {
        *texts = texts.to_lowercase();
    }
    if let Some(found) = occurs(&plain, labels, &texts) {
        return found;
    }
    closest.then(|| nearest(&plain, labels, &texts)).flatten()
}

fn without_punctuation(text: &str) -> String {
    text.chars()
        .filter(|char| char.is_alphanumeric() || *char == '-' || *char == '_')
        .collect()
}

/// `None`: no label occurs; `Some(None)`: more than one does, as often.
#[expect(
    clippy::option_option,
    reason = "no match goes on searching, an ambiguous one does not"
)]
fn occurs<'a>(
    text: &str,
    labels: &'a [(String, Vec<String>)],
    texts: &[Vec<String>],
) -> Option<Option<(&'a str, i32)>> {
    let mut best: Option<(usize, &str)> = None;
    let mut tie = false;
    for ((label, _), texts) in labels.iter().zip(texts) {
        if texts.iter().any(|known| known == text) {
            return Some(Some((label, 0)));
        }
        let count = texts
            .iter()
            .map(|known| text.matches(known.as_str()).count())
            .max()
            .unwrap_or(0);
        match best {
            _ if count == 0 => {}
            Some((most, _)) if count < most => {}
            Some((most, _)) if count == most => tie = true,
            _ => {
                best = Some((count, label));
                tie = false;
            }
        }
    }
    // An exact match of a later label counts for more than any occurrence, which the loop above has seen to.
    let (_, label) = best?;
    Some((!tie).then_some((label, 2)))
}

fn nearest<'a>(
    text: &str,
    labels: &'a [(String, Vec<String>)],
    texts: &[Vec<String>],
) -> Option<(&'a str, i32)> {
    let length = text.chars().count();
    if !(3..=64).contains(&length) {
        return None;
    }
    let mut distances: Vec<(usize, &str)> = labels
        .iter()
        .zip(texts)
        .filter_map(|((label, _), texts)| {
            let least = texts
                .iter()
                .map(|known| strsim::damerau_levenshtein(known, text))
                .min()?;
            Some((least, label.as_str()))
        })
        .collect();
    distances.sort_unstable();
    let (least, label) = *distances.first()?;
    let unique = distances.get(1).is_none_or(|(next, _)| *next > least);
    (unique && least * 4 <= length).then_some((label, 3))
}
