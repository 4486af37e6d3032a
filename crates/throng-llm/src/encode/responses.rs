//! A request in the words of OpenAI's Responses.

use serde::ser::{Serialize, Serializer};

use super::Options;
use super::members::Members;
use crate::Request;

/// The JSON object that is sent.
pub(super) struct Body<'a> {
    request: &'a Request,
    stream: bool,
}

impl<'a> Body<'a> {
    /// Checks what this wire cannot say.
    ///
    /// # Errors
    ///
    /// What is wrong with the request; completes a sentence that begins with the provider's name.
    pub(super) fn new(request: &'a Request, options: &Options) -> Result<Self, String> {
        Ok(Self {
            request,
            stream: options.stream,
        })
    }
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = Members::new(self.request, serializer)?;
        body.member("model", Some(&self.request.model))?;
        body.member("stream", Some(self.stream))?;
        body.end()
    }
}
