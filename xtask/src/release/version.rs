//! Version numbers, and where the root manifest has them: `[workspace.package]` and the pins of the crates.

use anyhow::{Context as _, Result, bail, ensure};

use crate::project::workspace_version;

/// Returns the version to release.
///
/// Without a wish it is the current one, as long as that has not been released.
pub(crate) fn next_version(
    current: &str,
    released: bool,
    wish: Option<&str>,
    bump: Option<&str>,
) -> Result<String> {
    let old = parse(current)?;
    let [major, minor, patch] = old;
    let new = match (wish, bump) {
        (Some(_), Some(_)) => bail!("give --version or --bump, not both"),
        (Some(wish), None) => parse(wish)?,
        (None, Some("patch")) => [major, minor, patch + 1],
        (None, Some("minor")) => [major, minor + 1, 0],
        (None, Some("major")) => [major + 1, 0, 0],
        (None, Some(part)) => bail!("`{part}` is not one of patch, minor, major"),
        (None, None) if !released => old,
        (None, None) => bail!("{current} is released; give --bump patch|minor|major or --version X.Y.Z"),
    };
    let [major, minor, patch] = new;
    let text = format!("{major}.{minor}.{patch}");
    ensure!(
        new > old || (new == old && !released),
        "{text} does not come after {current}"
    );
    Ok(text)
}

fn parse(text: &str) -> Result<[u64; 3]> {
    let parts: Vec<u64> = text
        .split('.')
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()
        .with_context(|| format!("`{text}` is not a version of the form X.Y.Z"))?;
    <[u64; 3]>::try_from(parts)
        .ok()
        .with_context(|| format!("`{text}` is not a version of the form X.Y.Z"))
}

/// Sets the version of the workspace and of every pin on one of its crates.
pub(crate) fn with_version(manifest: &str, version: &str) -> Result<String> {
    let current = workspace_version(manifest)?;
    let (own, pin) = (
        format!("version = \"{current}\""),
        format!("version = \"={current}\""),
    );
    let mut section = "";
    let mut text = String::with_capacity(manifest.len());
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line.trim();
        }
        match section {
            "[workspace.package]" if line.trim() == own => text.push_str(&format!("version = \"{version}\"")),
            "[workspace.dependencies]" if line.contains("path = ") => {
                ensure!(
                    line.contains(&pin),
                    "this entry does not pin the version ={current}: {line}"
                );
                text.push_str(&line.replace(&pin, &format!("version = \"={version}\"")));
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "[workspace.package]\nversion = \"0.1.0\"\n\n[workspace.dependencies]\n\
        a = { path = \"crates/a\", version = \"=0.1.0\" }\nb = { version = \"0.1.0\", default-features = false }\n";

    fn check(
        current: &str,
        released: bool,
        wish: Option<&str>,
        bump: Option<&str>,
        expect: Result<&str, &str>,
    ) {
        let result = next_version(current, released, wish, bump).map_err(|error| error.to_string());
        assert_eq!(result.as_deref().map_err(String::as_str), expect);
    }

    #[test]
    fn the_next_version_comes_after_the_last() {
        check("0.1.0", false, None, None, Ok("0.1.0"));
        check(
            "0.1.0",
            true,
            None,
            None,
            Err("0.1.0 is released; give --bump patch|minor|major or --version X.Y.Z"),
        );
        check("0.1.9", true, None, Some("patch"), Ok("0.1.10"));
        check("0.1.9", true, None, Some("minor"), Ok("0.2.0"));
        check("0.1.9", true, None, Some("major"), Ok("1.0.0"));
        check("0.1.9", true, Some("0.1.10"), None, Ok("0.1.10"));
        check(
            "0.1.9",
            true,
            Some("0.1.9"),
            None,
            Err("0.1.9 does not come after 0.1.9"),
        );
        check(
            "0.1.9",
            false,
            Some("0.1.8"),
            None,
            Err("0.1.8 does not come after 0.1.9"),
        );
        check(
            "0.1.9",
            false,
            Some("0.2"),
            None,
            Err("`0.2` is not a version of the form X.Y.Z"),
        );
        check(
            "0.1.9",
            false,
            None,
            Some("huge"),
            Err("`huge` is not one of patch, minor, major"),
        );
    }

    #[test]
    fn the_workspace_and_its_pins_change_and_nothing_else() {
        let text = with_version(MANIFEST, "0.2.0").unwrap();
        let expect = MANIFEST.replacen("0.1.0", "0.2.0", 2);
        assert_eq!(text, expect);
        assert!(text.contains("b = { version = \"0.1.0\""), "{text}");
    }

    #[test]
    fn a_crate_without_its_pin_is_refused() {
        assert!(with_version(&MANIFEST.replace("=0.1.0", "0.1.0"), "0.2.0").is_err());
    }
}
