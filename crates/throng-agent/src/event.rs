//! What is told while an agent runs.

use std::num::NonZeroU32;
use std::sync::Arc;

use throng_llm::StreamEvent;
use throng_tools::CallResult;

use crate::StepReport;

/// What is told while an agent runs. Steps are counted from 1.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AgentEvent {
    /// The model is asked.
    StepStarted {
        /// Which step.
        step: u32,
    },
    /// Another attempt at the model's answer begins: what came of the answer of this step before is void, and so are tools
    /// that had begun for it, all of which change nothing.
    AnswerRestarted {
        /// Which step.
        step: u32,
        /// Which try, from 2.
        attempt: NonZeroU32,
    },
    /// Something of the model's answer.
    Model {
        /// Which step.
        step: u32,
        /// What came.
        event: StreamEvent,
    },
    /// A call of the step has ended. Calls may end before the model's answer does.
    ToolEnded {
        /// Which step.
        step: u32,
        /// Its result.
        result: Arc<CallResult>,
    },
    /// The step has ended: the answer is whole, and its calls have their results.
    StepEnded(Box<StepReport>),
}
