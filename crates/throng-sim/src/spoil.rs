//! The faults that lie in what a reply says, and not in how it is sent: they change the reply before it is written.

use crate::fault::Fault;
use crate::reply::{Finish, HALVES, Reply, pieces};
use crate::wire::{Filter, Wire};

/// Changes a reply as a fault asks.
pub(crate) fn spoil(reply: &mut Reply, fault: Fault, wire: Wire) {
    match fault {
        Fault::EmptyFinish => reply
            .choices
            .iter_mut()
            .for_each(|choice| choice.finish = Finish::Empty),
        Fault::SplitSurrogates => split_surrogates(reply),
        Fault::ContentFilter => filter(reply, wire),
        _ => {}
    }
}

/// Takes about half of each text away, or all that was said if the wire then has no answer at all.
fn filter(reply: &mut Reply, wire: Wire) {
    for choice in &mut reply.choices {
        choice.finish = Finish::ContentFilter;
        choice.tools.clear();
        let text = choice.text.get_or_insert_default();
        match wire.protocol().filter() {
            Filter::Finish => {
                let n_kept = pieces(text).count() / 2;
                let end = pieces(text).take(n_kept).last().map_or(0, |piece| piece.end);
                text.truncate(end);
            }
            Filter::NoAnswer | Filter::Error => {
                choice.text = None;
                choice.reasoning = None;
            }
        }
    }
    reply.count();
}

/// Puts two characters that stand for surrogates in place of the first character that needs them. Only the first
/// text is changed.
fn split_surrogates(reply: &mut Reply) {
    let Some(text) = reply.choices.iter_mut().find_map(|choice| choice.text.as_mut()) else {
        return;
    };
    let is_wide = |char: &char| char.len_utf16() == 2;
    if !text.chars().any(|char| is_wide(&char)) {
        if serde_json::from_str::<serde_json::Value>(text).is_ok() {
            // Nothing may come after a JSON value.
            return;
        }
        text.push('🦀');
    }
    let found = text.char_indices().find(|(_, char)| is_wide(char));
    // The halves are two characters, so the tokens are counted before they come in.
    reply.count();
    let text = reply.choices.iter_mut().find_map(|choice| choice.text.as_mut());
    if let (Some((at, char)), Some(text)) = (found, text) {
        let halves: String = HALVES.iter().collect();
        text.replace_range(at..at + char.len_utf8(), &halves);
        let mut units = [0; 2];
        char.encode_utf16(&mut units);
        reply.surrogates = Some(units);
    }
}
