//! Runs the tool calls of a model by readiness; the modules below hold one subject each.
#![forbid(unsafe_code)]

mod access;
mod call;
#[cfg(feature = "process")]
mod command;
#[cfg(feature = "declare")]
pub mod declare;
mod estimates;
mod event;
mod failure;
mod graph;
mod holes;
#[cfg(feature = "http")]
mod http;
#[cfg(any(feature = "process", feature = "http"))]
mod output;
mod plan;
mod reference;
mod report;
mod result;
mod run;
#[cfg_attr(not(test), expect(unused_imports, reason = "only simulation names all of it"))]
#[expect(dead_code, reason = "only simulation uses all of it")]
mod schedule;
mod schema;
mod shape;
mod simulate;
mod template;
mod tool;
mod tools;
mod trace;

pub use access::{Access, InvalidResource, Mode, Resource};
pub use call::Call;
#[cfg(feature = "process")]
pub use command::{CommandArg, CommandTool, CommandToolBuilder};
pub use estimates::Estimates;
pub use event::{PlanEvent, PlanEventKind, PlanEvents};
pub use failure::FailurePolicy;
pub use graph::{
    Added, AnalyzeError, Cycle, CycleStep, Cycles, Declared, Dependencies, DryRun, DryRunEdge, Edge,
    EdgeKind, Explanation, Growing,
};
#[cfg(feature = "http")]
pub use http::{AnswerKind, HttpTool, HttpToolBuilder};
#[cfg(any(feature = "process", feature = "http"))]
pub use output::{InvalidSetting, OutputKind};
pub use plan::{Assume, Plan, PlanError, PlanLimits, PlanPolicy, PlanProblem, UnknownAssume};
pub use reference::{Names, Path, Reference, ReferenceError, ReferenceProblem, Segment, find, resolve};
pub use report::{PlanReport, Wave};
pub use result::{CallOutcome, CallResult, FailureKind, Source};
pub use run::{
    ExecutorStats, PlanHandle, PlanRun, PlanStream, ResultCache, RunOptions, StartError, ToolExecutor,
    ToolExecutorBuilder,
};
pub use shape::{Answer, Shape, ShapeError, Turn, UnknownShape};
pub use simulate::{InvalidWorkload, Simulation, Workload, simulate};
pub use template::AccessTemplate;
pub use tool::{Effect, Tool, ToolContext, ToolError, ToolFn, ToolFuture, ToolSpec};
pub use tools::{InvalidTool, ToolEntry, Tools};
