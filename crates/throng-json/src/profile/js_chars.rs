//! Kinds of characters that the rules of `jsonrepair` know.

pub(super) fn is_space(char: char) -> bool {
    matches!(char, ' ' | '\n' | '\t' | '\r')
}

pub(super) fn is_special_space(char: char) -> bool {
    matches!(
        char,
        '\u{a0}' | '\u{180e}' | '\u{2000}'..='\u{200b}' | '\u{202f}' | '\u{205f}' | '\u{3000}' | '\u{feff}'
    )
}

pub(super) fn is_delimiter(char: char) -> bool {
    ",:[]/{}()\n+".contains(char)
}

pub(super) fn is_unquoted_delimiter(char: char) -> bool {
    ",[]/{}\n+".contains(char)
}

pub(super) fn is_name_start(char: char) -> bool {
    char.is_ascii_alphabetic() || char == '_' || char == '$'
}

pub(super) fn is_name(char: char) -> bool {
    is_name_start(char) || char.is_ascii_digit()
}

pub(super) fn is_url(char: char) -> bool {
    char.is_ascii_alphanumeric() || "-._~:/?#@!$&'()*+;=".contains(char)
}

pub(super) fn is_double_quote(char: char) -> bool {
    matches!(char, '"' | '\u{201c}' | '\u{201d}')
}

pub(super) fn is_single_quote(char: char) -> bool {
    matches!(char, '\'' | '\u{2018}' | '\u{2019}' | '`' | '\u{b4}')
}

pub(super) fn is_quote(char: char) -> bool {
    is_double_quote(char) || is_single_quote(char)
}

pub(super) fn is_start_of_value(char: Option<char>) -> bool {
    char.is_some_and(|char| is_quote(char) || char.is_ascii_alphanumeric() || "[{_-".contains(char))
}

pub(super) fn inside_unclosed_bracket(text: &str, closer: char) -> bool {
    let opener = match closer {
        ')' => '(',
        ']' => '[',
        '}' => '{',
        _ => return false,
    };
    text.matches(opener).count() > text.matches(closer).count()
}

pub(super) fn ends_with_comma_or_newline(out: &str) -> bool {
    out.trim_end_matches([' ', '\t', '\r']).ends_with([',', '\n'])
}
