//! What it costs to turn the reply to a batch into typed plans as it arrives: throng-json beside parsers that need the whole
//! reply, and beside reading again all that has come with each chunk.

use std::hint::black_box;

use cpu_time::ThreadTime;
use serde::Deserialize;
use throng_benches::{Report, is_quick};
use throng_json::{Event, Limits, Options, Parser};

#[derive(Debug, Deserialize)]
struct Plan {
    agent_id: u32,
    plan_id: String,
    steps: Vec<Step>,
}

#[derive(Debug, Deserialize)]
struct Step {
    act: String,
    #[serde(default)]
    x: i32,
    #[serde(default)]
    text: String,
}

/// Returns a reply with so many plans of four steps each, with quotes, escapes and text beyond ASCII.
fn reply(n: usize) -> String {
    let plans: Vec<String> = (0..n)
        .map(|n| {
            format!(
                "{{\"agent_id\":{n},\"plan_id\":\"plan-{n:05}\",\"steps\":[{{\"act\":\"MoveTo\",\"x\":{},\"text\":\"take the left path\"}},\
                 {{\"act\":\"Say\",\"text\":\"he said \\\"hold, then go\\\" \u{2192} caf\u{e9}\"}},\
                 {{\"act\":\"Throw\",\"x\":-3,\"text\":\"smoke [north] {{gate}}\\nand wait\"}},\
                 {{\"act\":\"Attack\",\"text\":\"t-{n}\"}}]}}",
                n % 97
            )
        })
        .collect();
    format!("[{}]", plans.join(",\n"))
}

fn check(plans: &[Plan]) -> usize {
    plans
        .iter()
        .map(|plan| {
            plan.agent_id as usize
                + plan.plan_id.len()
                + plan.steps.len()
                + plan
                    .steps
                    .iter()
                    .map(|s| s.act.len() + s.text.len() + s.x.unsigned_abs() as usize)
                    .sum::<usize>()
        })
        .sum()
}

fn throng(text: &[u8], size: usize, options: &Options) -> usize {
    let mut parser = Parser::new(options.clone());
    let mut plans: Vec<Plan> = Vec::new();
    for chunk in text.chunks(size) {
        for event in parser.feed_typed::<Plan>(chunk) {
            if let Event::ElementComplete(element) = event {
                plans.push(element.value);
            }
        }
    }
    parser.finish();
    check(&plans)
}

fn serde_typed(text: &[u8]) -> usize {
    check(&serde_json::from_slice::<Vec<Plan>>(text).expect("JSON"))
}

fn sonic_typed(text: &[u8]) -> usize {
    check(&sonic_rs::from_slice::<Vec<Plan>>(text).expect("JSON"))
}

fn jiter_reparse(text: &[u8], size: usize) -> usize {
    let mut values = 0;
    for end in (size..text.len() + size).step_by(size) {
        let part = &text[..end.min(text.len())];
        let value =
            jiter::JsonValue::parse_with_config(part, false, jiter::PartialMode::On).expect("a part of JSON");
        if let jiter::JsonValue::Array(items) = value {
            values = items.len();
        }
    }
    values
}

fn llm_json_reparse(text: &str, size: usize) -> usize {
    let mut values = 0;
    for end in (size..text.len() + size).step_by(size) {
        let mut end = end.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        if let Ok(serde_json::Value::Array(items)) =
            llm_json::loads(&text[..end], &llm_json::RepairOptions::default())
        {
            values = items.len();
        }
    }
    values
}

fn time(run: impl FnOnce() -> usize) -> f64 {
    let began = ThreadTime::now();
    black_box(run());
    began.elapsed().as_nanos() as f64
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut report = Report::default();
    let rounds = if is_quick() { 3 } else { 41 };
    let (strict, tolerant) = (Options::strict(), Options::tolerant());
    let steps = Options::tolerant().batch(["agent_id"]).steps("steps");
    for (name, n, repeats) in [("large", 1000, 1), ("small", 10, 100)] {
        let text = reply(n);
        let bytes = text.as_bytes();
        let expect = serde_typed(bytes);
        let bench = |report: &mut Report, subjects: &[(String, Box<dyn Fn() -> usize + '_>)]| {
            let mut times = vec![Vec::new(); subjects.len()];
            for _ in 0..rounds {
                for (at, (subject, run)) in subjects.iter().enumerate() {
                    let taken = time(|| (0..repeats).map(|_| black_box(run())).next_back().unwrap_or(0));
                    assert_eq!(run(), expect, "{subject}");
                    times[at].push(taken / f64::from(repeats));
                }
            }
            for ((subject, _), times) in subjects.iter().zip(times) {
                let speeds = times
                    .iter()
                    .map(|nanos| bytes.len() as f64 * 1e3 / nanos)
                    .collect();
                report.record(&format!("{name}.{subject}"), "MB/s", speeds);
            }
        };
        let (strict, tolerant) = (&strict, &tolerant);
        let mut subjects: Vec<(String, Box<dyn Fn() -> usize>)> = vec![
            ("serde_typed.whole".into(), Box::new(|| serde_typed(bytes))),
            ("sonic_typed.whole".into(), Box::new(|| sonic_typed(bytes))),
        ];
        for size in [1, 16, 256, 4096] {
            subjects.push((
                format!("throng_strict.{size}"),
                Box::new(move || throng(bytes, size, strict)),
            ));
            subjects.push((
                format!("throng_tolerant.{size}"),
                Box::new(move || throng(bytes, size, tolerant)),
            ));
        }
        subjects.push(("throng_steps.16".into(), Box::new(|| throng(bytes, 16, &steps))));
        bench(&mut report, &subjects);
        for size in [1, 16, 256, 4096] {
            report.ratio(
                &format!("{name}.throng_vs_serde_typed.{size}"),
                &format!("{name}.throng_strict.{size}"),
                &format!("{name}.serde_typed.whole"),
            );
            report.ratio(
                &format!("{name}.tolerant_vs_strict.{size}"),
                &format!("{name}.throng_tolerant.{size}"),
                &format!("{name}.throng_strict.{size}"),
            );
        }
        // Quadratic: one round, and on the large reply only chunks that it can bear.
        for size in if n > 100 { vec![4096] } else { vec![16, 256] } {
            let jiter = time(|| jiter_reparse(bytes, size));
            report.record(
                &format!("{name}.jiter_reparse.{size}"),
                "MB/s",
                vec![bytes.len() as f64 * 1e3 / jiter],
            );
            let llm_json = time(|| llm_json_reparse(&text, size));
            report.record(
                &format!("{name}.llm_json_reparse.{size}"),
                "MB/s",
                vec![bytes.len() as f64 * 1e3 / llm_json],
            );
        }
    }
    linear(&mut report);
    report.finish()?;
    Ok(())
}

/// Measures the time for twice the bytes against that for once, on valid and on hostile texts.
fn linear(report: &mut Report) {
    let length = if is_quick() { 1 << 18 } else { 32 << 20 };
    let fill = |piece: &str, length: usize| piece.repeat(length / piece.len());
    let texts: [(&str, &str, &str); 9] = [
        (
            "plans",
            "[",
            "{\"agent_id\":1,\"plan_id\":\"p\",\"steps\":[{\"act\":\"Say\",\"text\":\"a \\\"b\\\" c\"}]},",
        ),
        ("open_quote", "[{\"a\":\"", "x"),
        ("open_brackets", "", "["),
        ("open_braces", "", "{\"a\":"),
        ("fences", "", "```json\n{\"a\":1,}\n```\n"),
        ("stray_quotes", "[", "{\"a\":\"b \"c\" d, \"e\": 1},"),
        ("missing_quotes", "[", "{\"a\":\"b}, {\"c\":1},"),
        ("candidates", "", "{a {b [c "),
        ("quotes", "[{'a':", "\" , "),
    ];
    // The limit on one element is out of the way, so that a whole text can be one.
    let limits = Limits {
        element_bytes: usize::MAX,
        repairs: usize::MAX,
        ..Limits::default()
    };
    for (name, start, piece) in texts {
        for (mode, options) in [("strict", Options::strict()), ("tolerant", Options::tolerant())] {
            let options = options.limits(limits);
            let (once, twice) = (fill(piece, length), fill(piece, 2 * length));
            let run = |text: &str| {
                time(|| {
                    let mut parser = Parser::new(options.clone());
                    let mut n = parser.feed(start.as_bytes()).count();
                    n += text
                        .as_bytes()
                        .chunks(4096)
                        .map(|chunk| parser.feed(chunk).count())
                        .sum::<usize>();
                    n + parser.finish().events.len()
                })
            };
            run(&once);
            let mut ratios: Vec<f64> = (0..3)
                .map(|_| {
                    let first = run(&once);
                    run(&twice) / first
                })
                .collect();
            ratios.sort_by(f64::total_cmp);
            report.record(&format!("linear.{name}.{mode}"), "time(2L)/time(L)", ratios);
        }
    }
}
