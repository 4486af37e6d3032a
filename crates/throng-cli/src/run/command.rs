//! Prepares a run: provider, inputs, output; everything that can be wrong is found before anything is sent.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::json;

use super::answerer::runtime;
use super::call::Shape;
use super::drive::{Campaign, drive};
use super::ending::nothing_selected;
use super::files;
use super::intake::{Counts, Intake, Mode};
use super::limits::Limits;
use super::rehearse::{Rehearsal, rehearse};
use super::same::Same;
use crate::app::{Context, print};
use crate::args::RunArgs;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::input::{Feed, Fingerprints, PromptSource, Scan, ScanOptions, SeenIds, Source, TermFields};
use crate::output::{Existing, OnExisting, Opened, Sink};
use crate::provider::{Extras, Provider};
use crate::settings::{Origin, Settings};
use crate::stats::Recorder;
use crate::template::Template;
use crate::ui::{OutputMode, counted};
use crate::vote::Rules;

/// Runs a campaign.
///
/// # Errors
///
/// If something is wrong with the configuration, the inputs, the output or the provider. Jobs that fail are no
/// error; they show in the exit status.
pub(crate) fn run(context: &Context, args: &RunArgs) -> Result<ExitStatus, CliError> {
    let Context { ui, layers, settings } = context;
    let provider = match args.rehearse {
        // A rehearsal calls nobody.
        Some(_) => None,
        None => Some(Provider::choose(settings, layers)?),
    };
    let fallbacks = provider.as_ref().map(Provider::fallbacks).unwrap_or_default();
    let limits = Limits::of(settings).falling_back(fallbacks);
    let rules = Rules::of_run(settings)?;
    if rules.is_some() && args.compare_sequential.is_some() {
        return Err(CliError::usage(
            "--compare-sequential measures single calls, and --vote makes several for each prompt",
        )
        .hint("measure without --vote"));
    }
    let shape = Shape::of(settings, provider.as_ref().map_or("", Provider::model));
    let prints = Fingerprints::default();
    let feed = Feed {
        sources: args.inputs.iter().map(|input| Source::named(input)).collect(),
        format: args.input_format,
        prompts: prompt_source(settings)?,
        terms: TermFields {
            priority: settings.text("run.priority-field").map(str::to_owned),
            key: settings.text("run.key-field").map(str::to_owned),
        },
        fingerprints: prints.clone(),
    };
    for source in &feed.sources {
        source.look()?;
    }
    if feed
        .sources
        .iter()
        .filter(|source| **source == Source::Stdin)
        .count()
        > 1
    {
        return Err(CliError::usage("standard input is named twice").hint("name `-` once"));
    }
    let on_existing = match (args.resume, args.overwrite) {
        (true, _) => OnExisting::Resume,
        (_, true) => OnExisting::Overwrite,
        _ => OnExisting::Refuse,
    };
    let out = files::named(args.out.as_deref());
    let same = Same::of(settings.text("run.dedup"), &shape, &prints);
    let Some(provider) = provider else {
        let rehearsal = Rehearsal {
            model: args.rehearse.clone().unwrap_or_default(),
            limits,
            same,
            agents: rules.map(|rules| rules.agents()),
        };
        return rehearse(context, args, &feed, &shape, &rehearsal);
    };
    if args.dry_run {
        return dry_run(context, args, &feed, &shape);
    }
    let extras = Extras::of(settings, layers, provider.remotes(), provider.model())?;
    files::refuse_same(&feed, out, args.summary.as_deref(), settings.path("log-file"))?;
    if out.is_none() {
        files::refuse_closed_stdout()?;
    }
    let mut opened = None;
    if on_existing == OnExisting::Resume {
        opened = Some(Sink::open(out, on_existing, &prints)?);
    } else if let Some(path) = out.filter(|_| on_existing == OnExisting::Refuse) {
        Sink::refuse_results(path)?;
    }
    let existing = opened.as_ref().map(|opened| &opened.existing);
    let scanned = if feed.is_rereadable() {
        Some(Scan::read(
            &feed,
            &scan_options(args, &shape, existing, &Existing::default()),
        )?)
    } else {
        None
    };
    if let Some(scan) = scanned.as_ref().filter(|scan| scan.records == 0) {
        return Err(nothing_to_do(args, scan));
    }
    let Opened { mut sink, existing } = match opened {
        Some(opened) => opened,
        None => Sink::open(out, on_existing, &prints)?,
    };
    if on_existing == OnExisting::Resume {
        let none = HashSet::new();
        sink.compact(
            &existing,
            &prints,
            scanned.as_ref().map_or(&none, |scan| &scan.again),
        )?;
    }
    if let Some(notice) = provider.notice() {
        ui.notice(notice);
    }
    if let Some(note) = provider.unused_model() {
        ui.note(&note);
    }
    if rules.is_some() && shape.temperature == Some(0.0) {
        ui.warn("with --temperature 0 the agents of a vote give one answer, as far as the model can");
    }
    for line in scanned.as_ref().map_or_else(Vec::new, |scan| scan.unused(&feed)) {
        ui.warn(&line);
    }
    ui.release();
    if existing.torn > 0 {
        ui.note(&format!(
            "dropped a torn line of {} from the end of {}",
            counted(existing.torn, "byte"),
            sink.name()
        ));
    }
    let recorder = Recorder::of(settings, layers)?;
    let total = scanned.as_ref().map(|scan| scan.records - scan.done);
    let existing = Arc::new(existing);
    let counts = Arc::new(Counts::default());
    let summary_file = args.summary.as_deref().map(files::create_summary).transpose()?;
    let (mode, scan) = match scanned {
        Some(mut scan) => {
            for line in &scan.named {
                ui.warn(&format!("left out: {line}"));
            }
            (Mode::Scanned(std::mem::take(&mut scan.repeated)), Some(scan))
        }
        None => (Mode::Live(SeenIds::default()), None),
    };
    let intake = Intake {
        tasks: feed.tasks()?,
        feed,
        mode,
        skip_invalid: args.skip_invalid,
        limit: args.limit.unwrap_or(u64::MAX),
        existing: Arc::clone(&existing),
        counts: Arc::clone(&counts),
        ui: Arc::clone(ui),
    };
    let campaign = Campaign {
        ui: Arc::clone(ui),
        provider,
        extras,
        limits,
        shape,
        intake,
        counts,
        scan,
        total,
        existing,
        prints,
        sink,
        summary_file,
        same,
        rules,
        recorder,
        compare: args.compare_sequential.map(|n| u64::from(n.get())),
        progress: settings.switch("progress"),
    };
    runtime()?.block_on(drive(campaign))
}

/// Decides where prompts are. Of a field and a template the one that a higher layer sets wins.
fn prompt_source(settings: &Settings) -> Result<PromptSource, CliError> {
    let rank = |origin: &Origin| match origin {
        Origin::Default => 0,
        Origin::User(..) => 1,
        Origin::Project(..) | Origin::Config(..) => 2,
        Origin::Env(_) => 3,
        Origin::Flag(_) => 4,
    };
    let ranked = |key| settings.get(key).map(|(_, origin)| rank(origin));
    let (field, template) = (ranked("run.prompt-field"), ranked("run.template"));
    if field.is_some() && field == template {
        return Err(CliError::usage("--prompt-field and --template say two things").hint("keep one of them"));
    }
    if let Some(text) = settings.text("run.template").filter(|_| template > field) {
        return Template::parse(text)
            .map(PromptSource::Template)
            .map_err(|error| {
                CliError::usage(format!("the template {text:?} makes no sense"))
                    .cause(&error)
                    .hint(
                        "write a field as {question}, a nested one as {a.b}, and single braces as {{ and }}",
                    )
            });
    }
    Ok(match settings.text("run.prompt-field") {
        Some(name) => PromptSource::Field(name.to_owned()),
        None => PromptSource::Usual,
    })
}

pub(super) fn scan_options<'a>(
    args: &RunArgs,
    shape: &'a Shape,
    existing: Option<&'a Existing>,
    none: &'a Existing,
) -> ScanOptions<'a> {
    ScanOptions {
        skip_invalid: args.skip_invalid,
        limit: args.limit,
        system: shape.system.as_deref(),
        existing: existing.unwrap_or(none),
    }
}

pub(super) fn nothing_to_do(args: &RunArgs, scan: &Scan) -> CliError {
    let otherwise = if args.limit == Some(0) {
        "--limit 0 takes no records"
    } else {
        "it has no records"
    };
    nothing_selected(scan.invalid, scan.named.first().map(String::as_str), otherwise)
}

/// Shows what a run would send.
fn dry_run(context: &Context, args: &RunArgs, feed: &Feed, shape: &Shape) -> Result<ExitStatus, CliError> {
    const PREVIEW: usize = 100;
    let existing = match files::named(args.out.as_deref()).filter(|_| args.resume) {
        Some(path) => Sink::look_at(path, &feed.fingerprints)?,
        None => Existing::default(),
    };
    let scan = Scan::read(
        feed,
        &scan_options(args, shape, Some(&existing), &Existing::default()),
    )?;
    if scan.records == 0 {
        return Err(nothing_to_do(args, &scan));
    }
    context.ui.release();
    for line in &scan.named {
        context.ui.warn(&format!("left out: {line}"));
    }
    for line in scan.unused(feed) {
        context.ui.warn(&line);
    }
    let to_send = scan.records - scan.done;
    if context.ui.mode() == OutputMode::Human {
        let mut text = format!(
            "{} would be sent, about {}\n",
            counted(to_send, "prompt"),
            counted(scan.tokens, "input token")
        );
        if scan.done > 0 {
            text.push_str(&match scan.done {
                1 => "1 is done already\n".to_owned(),
                n => format!("{n} are done already\n"),
            });
        }
        if scan.invalid > 0 {
            let verb = if scan.invalid == 1 { "is" } else { "are" };
            text.push_str(&format!(
                "{} {verb} left out\n",
                counted(scan.invalid, "wrong record")
            ));
        }
        text.push_str(&format!("model {}\n", shape.model));
        for (id, prompt) in &scan.samples {
            text.push_str(&format!("  {id}: {}\n", prompt.preview(PREVIEW)));
        }
        return print(&text);
    }
    let samples: Vec<_> = scan
        .samples
        .iter()
        .map(|(id, prompt)| json!({"id": id, "prompt": prompt.preview(PREVIEW)}))
        .collect();
    print(&format!(
        "{}\n",
        json!({
            "v": 1,
            "event": "dry_run",
            "to_send": to_send,
            "already_done": scan.done,
            "invalid": scan.invalid,
            "estimated_input_tokens": scan.tokens,
            "model": shape.model,
            "samples": samples,
        })
    ))
}
