//! Reads a configuration file. A key that nobody knows is a warning with the nearest name; a value of the wrong
//! type is an error that shows its place.

use std::fs;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use throng_llm::Dialect;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::kind::{Kind, Value};
use super::profile::PROFILE_KEYS;
use super::table::{SETTINGS, Setting};
use crate::error::CliError;
use crate::provider::redact_url;
use crate::suggest;

/// A configuration file larger than this is refused.
const MAX_BYTES: u64 = 1 << 20;

/// What a configuration file sets.
#[derive(Debug, Default)]
pub(crate) struct ConfigFile {
    /// Each setting, in the order of the file.
    pub(crate) entries: Vec<Entry>,
    /// Names of the profiles that the file defines.
    pub(crate) profiles: Vec<String>,
    /// The providers of the user's own that the file defines.
    pub(crate) providers: Vec<OwnProvider>,
    /// What is odd but no error.
    pub(crate) warnings: Vec<String>,
}

/// A provider of the user's own in a configuration file.
#[derive(Debug)]
pub(crate) struct OwnProvider {
    /// Its name.
    pub(crate) name: String,
    /// Its line, from 1.
    pub(crate) line: usize,
    /// What is said of it.
    pub(crate) values: Vec<(&'static str, Value)>,
    /// Headers that each request gets.
    pub(crate) headers: Vec<(String, String)>,
}

/// One setting in a configuration file.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The profile that it belongs to, if any.
    pub(crate) profile: Option<String>,
    /// Which setting.
    pub(crate) setting: &'static Setting,
    /// Its value.
    pub(crate) value: Value,
    /// Its line, from 1.
    pub(crate) line: usize,
}

impl ConfigFile {
    /// Reads and checks a file.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is not TOML, or holds a value that its setting does not allow.
    pub(crate) fn read(path: &Path) -> Result<Self, CliError> {
        let unreadable = |error: std::io::Error| {
            CliError::usage(format!("cannot read the configuration file {}", path.display())).cause(&error)
        };
        let mut text = String::new();
        let file = fs::File::open(path).map_err(unreadable)?;
        file.take(MAX_BYTES + 1)
            .read_to_string(&mut text)
            .map_err(unreadable)?;
        if text.len() as u64 > MAX_BYTES {
            return Err(CliError::usage(format!(
                "the configuration file {} is over 1 MiB",
                path.display()
            )));
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let reader = Reader {
            path,
            text,
            file: Self::default(),
        };
        reader.read()
    }
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    file: ConfigFile,
}

impl Reader<'_> {
    fn read(mut self) -> Result<ConfigFile, CliError> {
        let document = DeTable::parse(self.text).map_err(|error| {
            let at = error.span().unwrap_or(0..0);
            CliError::usage(format!(
                "{} is not valid TOML: {}",
                self.place(at.start),
                error.message()
            ))
            .excerpt(self.excerpt(&at))
            .hint("text needs quotes: model = \"name\"")
        })?;
        self.table("", None, document.get_ref())?;
        Ok(self.file)
    }

    fn table(&mut self, prefix: &str, profile: Option<&str>, table: &DeTable<'_>) -> Result<(), CliError> {
        for (name, value) in table {
            let key = if prefix.is_empty() {
                name.get_ref().to_string()
            } else {
                format!("{prefix}.{}", name.get_ref())
            };
            match value.get_ref() {
                DeValue::Table(inner) if key == "run" => self.table("run", profile, inner)?,
                // Those of `throng tools` and `throng agent`, which read them themselves.
                DeValue::Table(_) if matches!(&*key, "tools" | "mcp") && profile.is_none() => {}
                DeValue::Table(profiles) if key == "profile" && profile.is_none() => {
                    self.profiles(profiles)?;
                }
                DeValue::Table(providers) if key == "profiles" && profile.is_none() => {
                    self.providers(providers)?;
                }
                _ => self.entry(&key, profile, name, value)?,
            }
        }
        Ok(())
    }

    fn profiles(&mut self, profiles: &DeTable<'_>) -> Result<(), CliError> {
        for (name, value) in profiles {
            let DeValue::Table(inner) = value.get_ref() else {
                return Err(self.refuse(&value.span(), &format!("profile.{}", name.get_ref()), "a table"));
            };
            self.file.profiles.push(name.get_ref().to_string());
            self.table("run", Some(name.get_ref()), inner)?;
        }
        Ok(())
    }

    fn providers(&mut self, providers: &DeTable<'_>) -> Result<(), CliError> {
        for (name, value) in providers {
            let key = format!("profiles.{}", name.get_ref());
            let DeValue::Table(inner) = value.get_ref() else {
                return Err(self.refuse(&value.span(), &key, "a table"));
            };
            let at = name.span();
            if *name.get_ref() == "sim" || Dialect::find(name.get_ref()).is_some() {
                return Err(CliError::usage(format!(
                    "{}: `{key}` has the name of a provider that is known",
                    self.place(at.start)
                ))
                .excerpt(self.excerpt(&at))
                .hint("choose another name; `provider` in the table says which server it is"));
            }
            let mut own = OwnProvider {
                name: name.get_ref().to_string(),
                line: self.position(at.start).0,
                values: Vec::new(),
                headers: Vec::new(),
            };
            for (name, value) in inner {
                self.of_provider(&key, &mut own, name, value)?;
            }
            self.file.providers.push(own);
        }
        Ok(())
    }

    fn of_provider(
        &mut self,
        table: &str,
        own: &mut OwnProvider,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(), CliError> {
        let key = format!("{table}.{}", name.get_ref());
        if *name.get_ref() == "headers" {
            let DeValue::Table(headers) = value.get_ref() else {
                return Err(self.refuse(&value.span(), &key, "a table of texts"));
            };
            for (header, value) in headers {
                let shown = format!("{key}.{}", header.get_ref());
                if holds_secret(header.get_ref()) {
                    return Err(CliError::usage(format!(
                        "{}: `{shown}` looks like a key, which does not belong into a configuration file",
                        self.place(header.span().start)
                    ))
                    .hint("name its variable with `api-key-env` or its file with `api-key-file`"));
                }
                let DeValue::String(text) = value.get_ref() else {
                    return Err(self.refuse(&value.span(), &shown, "text"));
                };
                own.headers.push((header.get_ref().to_string(), text.to_string()));
            }
            return Ok(());
        }
        let Some((known, kind, _)) = PROFILE_KEYS.iter().find(|(known, ..)| known == name.get_ref()) else {
            let warning = self.unknown_of_provider(table, name.get_ref(), name.span().start);
            self.file.warnings.push(warning);
            return Ok(());
        };
        let mut parsed = kind.read_toml(value.get_ref()).map_err(|allowed| {
            let found = self.text.get(value.span()).unwrap_or_default();
            match kind {
                Kind::Url => CliError::usage(format!(
                    "{}: `{key}` must be {allowed}, but is {}",
                    self.place(value.span().start),
                    redact_url(found)
                ))
                .hint("write it as \"https://HOST/v1\""),
                _ => self.refuse(&value.span(), &key, &allowed),
            }
        })?;
        self.beside_the_file(&mut parsed);
        own.values.push((known, parsed));
        Ok(())
    }

    fn unknown_of_provider(&self, table: &str, name: &str, at: usize) -> String {
        let place = self.place(at);
        if is_key(name) {
            return key_in_file(&place, name);
        }
        let known = PROFILE_KEYS.iter().map(|(known, ..)| *known).chain(["headers"]);
        match suggest::nearest(name, known.clone().map(|known| (known, known))) {
            Some(nearest) => format!(
                "{place}: unknown setting `{table}.{name}` is ignored; did you mean `{table}.{nearest}`?"
            ),
            None => format!(
                "{place}: unknown setting `{table}.{name}` is ignored; a provider has {}",
                known.collect::<Vec<_>>().join(", ")
            ),
        }
    }

    /// Lets a relative path begin at the folder of the file.
    fn beside_the_file(&self, value: &mut Value) {
        if let Value::Path(path) = value
            && let Some(folder) = self.path.parent()
        {
            *path = folder.join(&*path);
        }
    }

    fn entry(
        &mut self,
        key: &str,
        profile: Option<&str>,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(), CliError> {
        let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
            if key == "run" || key == "profile" || key == "profiles" {
                return Err(self.refuse(&value.span(), key, "a table"));
            }
            let warning = self.unknown(key, profile, name.span().start);
            self.file.warnings.push(warning);
            return Ok(());
        };
        let mut parsed = setting
            .kind
            .read_toml(value.get_ref())
            .map_err(|allowed| self.refuse(&value.span(), key, &allowed))?;
        self.beside_the_file(&mut parsed);
        self.file.entries.push(Entry {
            profile: profile.map(str::to_owned),
            setting,
            value: parsed,
            line: self.position(name.span().start).0,
        });
        Ok(())
    }

    fn unknown(&self, key: &str, profile: Option<&str>, at: usize) -> String {
        let place = self.place(at);
        let last = key.rsplit('.').next().unwrap_or(key);
        if is_key(last) {
            return key_in_file(&place, last);
        }
        let shown = |setting: &Setting| match profile {
            Some(profile) => format!("profile.{profile}.{}", setting.name()),
            None => setting.key.to_owned(),
        };
        let candidates = SETTINGS
            .iter()
            .filter(|setting| profile.is_none() || setting.key.starts_with("run."));
        let nearest = suggest::nearest(last, candidates.map(|setting| (setting.name(), setting)));
        match nearest {
            Some(setting) => {
                format!(
                    "{place}: unknown setting `{}` is ignored; did you mean `{}`?",
                    key,
                    shown(setting)
                )
            }
            None => format!(
                "{place}: unknown setting `{key}` is ignored; `throng config show` lists the settings"
            ),
        }
    }

    fn refuse(&self, span: &Range<usize>, key: &str, allowed: &str) -> CliError {
        let found = self.text.get(span.clone()).unwrap_or_default();
        let found: String = found
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .take(60)
            .collect();
        let is_address = SETTINGS
            .iter()
            .any(|setting| setting.key == key && setting.kind == Kind::Url);
        let (found, excerpt) = if is_address {
            (redact_url(&found), String::new())
        } else {
            (found, self.excerpt(span))
        };
        CliError::usage(format!("{}: `{key}` must be {allowed}, but is {found}", self.place(span.start)))
            .excerpt(excerpt)
            .hint("`throng config show` lists every setting with its value; the reference page is docs/reference/config.md")
    }

    fn place(&self, at: usize) -> String {
        let (line, column) = self.position(at);
        format!("{}:{line}:{column}", self.path.display())
    }

    fn position(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    /// Shows the line of a span with carets under it.
    fn excerpt(&self, span: &Range<usize>) -> String {
        let (line, column) = self.position(span.start);
        let source = self.text.lines().nth(line - 1).unwrap_or_default();
        let width = self
            .text
            .get(span.clone())
            .and_then(|text| text.lines().next())
            .map_or(1, |t| t.chars().count());
        let number = line.to_string();
        let gap = " ".repeat(number.len());
        let carets = "^".repeat(width.max(1));
        let indent = " ".repeat(column - 1);
        format!("{gap} |\n{number} | {source}\n{gap} | {indent}{carets}\n")
    }
}

fn is_key(name: &str) -> bool {
    matches!(name, "api-key" | "api_key" | "key" | "token")
}

fn key_in_file(place: &str, name: &str) -> String {
    format!(
        "{place}: `{name}` is ignored: a key does not belong into a configuration file; \
         name its variable with `api-key-env` or its file with `api-key-file`"
    )
}

/// Returns true for the name of a header that carries a key, as a rule.
fn holds_secret(header: &str) -> bool {
    let header = header.to_ascii_lowercase();
    ["key", "token", "auth", "secret", "cookie", "password"]
        .iter()
        .any(|word| header.contains(word))
}
