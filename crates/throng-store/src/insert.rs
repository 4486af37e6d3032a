//! The statements that write rows.

use std::collections::HashMap;

use rusqlite::{Connection, params};
use throng_core::{OutcomeKind, RunId};

use crate::record::{Metric, ResultRecord, RunRecord, ToolBatch, us};
use crate::tracker::{Label, RunRow};
use crate::writer::Write;

/// Longest text of an error that is kept.
const ERROR_BYTES: usize = 4096;

pub(crate) fn write(conn: &Connection, write: &Write) -> rusqlite::Result<()> {
    match write {
        Write::ToolBatch(batch) => tool_batch(conn, batch),
        Write::Metrics(metrics) => metrics.iter().try_for_each(|of| metric(conn, of)),
        Write::Run(record) => run_record(conn, record),
        Write::Result(record) => result(conn, record),
        Write::Begin {
            run,
            step,
            input,
            at_ms,
        } => conn
            .prepare_cached(
                "INSERT INTO journal (run, step, input, attempts, ending, touched_ms) VALUES (?1, ?2, ?3, 1, NULL, ?4)
                 ON CONFLICT (run, step) DO UPDATE SET
                     input = excluded.input, attempts = attempts + 1, ending = NULL, touched_ms = excluded.touched_ms",
            )?
            .execute(params![run, step, input, at_ms])
            .map(|_| ()),
        Write::End {
            run,
            step,
            ending,
            at_ms,
        } => conn
            .prepare_cached(
                "INSERT INTO journal (run, step, input, attempts, ending, touched_ms) VALUES (?1, ?2, '', 0, ?3, ?4)
                 ON CONFLICT (run, step) DO UPDATE SET ending = excluded.ending, touched_ms = excluded.touched_ms",
            )?
            .execute(params![run, step, ending, at_ms])
            .map(|_| ()),
        Write::Forget { run } => conn
            .prepare_cached("DELETE FROM journal WHERE run = ?1")?
            .execute([run])
            .map(|_| ()),
    }
}

fn tool_batch(conn: &Connection, batch: &ToolBatch) -> rusqlite::Result<()> {
    let number = conn
        .prepare_cached(
            "INSERT INTO tool_batches (session, plan, started_ms, wall_us, work_us, success)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .insert(params![
            batch.session,
            batch.plan,
            batch.started_ms,
            us(batch.wall),
            us(batch.work),
            batch.success
        ])?;
    let mut statement = conn.prepare_cached(
        "INSERT INTO tool_calls (batch, idx, id, tool, outcome, started_us, ended_us, attempts, error)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for (idx, call) in batch.calls.iter().enumerate() {
        statement.execute(params![
            number,
            i64::try_from(idx).unwrap_or(i64::MAX),
            call.id,
            call.tool,
            call.outcome.as_str(),
            us(call.started),
            us(call.ended),
            call.attempts,
            call.error.as_deref().map(|text| cut(text, ERROR_BYTES))
        ])?;
    }
    Ok(())
}

fn metric(conn: &Connection, metric: &Metric) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO metrics (session, name, value, unit, at_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        metric.session,
        metric.name,
        metric.value,
        metric.unit,
        metric.at_ms
    ])
    .map(|_| ())
}

fn result(conn: &Connection, record: &ResultRecord) -> rusqlite::Result<()> {
    conn.prepare_cached("INSERT INTO results (kind, key, at_ms, body) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![
            record.kind.as_str(),
            record.key,
            record.at_ms,
            record.body
        ])
        .map(|_| ())
}

fn run_record(conn: &Connection, record: &RunRecord) -> rusqlite::Result<()> {
    let mut counts = [0; OutcomeKind::ALL.len()];
    for (kind, n) in &record.outcomes {
        if let Some(place) = OutcomeKind::ALL.iter().position(|known| known == kind)
            && let Some(count) = counts.get_mut(place)
        {
            *count += i64::try_from(*n).unwrap_or(i64::MAX);
        }
    }
    let [succeeded, failed, timed_out, cancelled, panicked, shed, skipped] = counts;
    conn.prepare_cached(
        "INSERT INTO runs (run, command, session, started_ms, wall_us, work_us, attempts,
                           succeeded, failed, timed_out, cancelled, panicked, shed, skipped)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
         ON CONFLICT (run) DO UPDATE SET
             command = excluded.command, session = excluded.session, started_ms = excluded.started_ms,
             wall_us = excluded.wall_us, work_us = excluded.work_us, attempts = excluded.attempts,
             succeeded = excluded.succeeded, failed = excluded.failed, timed_out = excluded.timed_out,
             cancelled = excluded.cancelled, panicked = excluded.panicked, shed = excluded.shed,
             skipped = excluded.skipped",
    )?
    .execute(params![
        record.run.map(|run| run.as_u128().to_be_bytes()),
        record.command,
        record.session,
        record.started_ms,
        us(record.wall),
        us(record.work),
        count(record.attempts),
        succeeded,
        failed,
        timed_out,
        cancelled,
        panicked,
        shed,
        skipped
    ])
    .map(|_| ())
}

/// Returns the number of a run's row, which is made if need be. The begin of a run is in its id.
pub(crate) fn run_number(
    conn: &Connection,
    known: &mut HashMap<RunId, i64>,
    run: RunId,
    label: Option<&Label>,
) -> rusqlite::Result<i64> {
    if let Some(number) = known.get(&run) {
        return Ok(*number);
    }
    let started_ms = i64::try_from(run.as_u128() >> 80).unwrap_or(0);
    let number = conn
        .prepare_cached(
            "INSERT INTO runs (run, command, session, started_ms) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (run) DO UPDATE SET run = excluded.run RETURNING id",
        )?
        .query_row(
            params![
                run.as_u128().to_be_bytes(),
                label.map_or("", |label| &label.command),
                label.map_or("", |label| &label.session),
                started_ms
            ],
            |row| row.get(0),
        )?;
    known.insert(run, number);
    Ok(number)
}

pub(crate) const fn run_of(row: &RunRow) -> RunId {
    match row {
        RunRow::Attempt { run, .. } | RunRow::Job { run, .. } | RunRow::End { run, .. } => *run,
    }
}

pub(crate) fn run_row(conn: &Connection, number: i64, row: &RunRow) -> rusqlite::Result<()> {
    match row {
        RunRow::Attempt {
            job,
            attempt,
            started_us,
            ended_us,
            ending,
            ..
        } => conn
            .prepare_cached(
                "INSERT OR REPLACE INTO attempts (run, job, attempt, started_us, ended_us, ending)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                number,
                count(*job),
                attempt,
                started_us,
                ended_us,
                ending
            ])
            .map(|_| ()),
        RunRow::Job {
            job,
            admitted_us,
            ended_us,
            attempts,
            outcome,
            ..
        } => conn
            .prepare_cached(
                "INSERT OR REPLACE INTO jobs (run, job, admitted_us, ended_us, attempts, outcome)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                number,
                count(*job),
                admitted_us,
                ended_us,
                attempts,
                outcome.map(OutcomeKind::as_str)
            ])
            .map(|_| ()),
        RunRow::End {
            wall_us,
            work_us,
            attempts,
            outcomes,
            lost,
            ..
        } => {
            let [succeeded, failed, timed_out, cancelled, panicked, shed, skipped] = outcomes.map(count);
            conn.prepare_cached(
                "UPDATE runs SET wall_us = ?2, work_us = ?3, attempts = ?4, succeeded = ?5, failed = ?6,
                     timed_out = ?7, cancelled = ?8, panicked = ?9, shed = ?10, skipped = ?11, lost_events = ?12
                 WHERE id = ?1",
            )?
            .execute(params![
                number,
                wall_us,
                work_us,
                count(*attempts),
                succeeded,
                failed,
                timed_out,
                cancelled,
                panicked,
                shed,
                skipped,
                count(*lost)
            ])
            .map(|_| ())
        }
    }
}

fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Cuts a text at a number of bytes, never inside a character.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}
