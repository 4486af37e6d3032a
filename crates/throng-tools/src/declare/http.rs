//! The keys of a tool that makes an HTTP call.

use std::sync::Arc;

use serde_json::Value;

use super::table::Table;
use super::{DeclareError, Reader, command, parameters};
use crate::holes::{self, Piece};
use crate::{AnswerKind, HttpTool, Tool, ToolSpec, http};

impl Reader<'_> {
    pub(super) fn http(
        &mut self,
        spec: ToolSpec,
        table: &mut Table<'_>,
    ) -> Result<Arc<dyn Tool>, DeclareError> {
        let schema = table.has("parameters").then(|| Arc::clone(&spec.parameters));
        let url = table.text("url")?.unwrap_or_default();
        let method = table.text("method")?.unwrap_or_else(|| "GET".to_owned());
        let mut builder = HttpTool::builder(spec, method, url);
        for (name, template) in table.pairs("query")? {
            builder = builder.query(name, template);
        }
        for (name, template) in table.pairs("headers")? {
            builder = builder.header(name, template);
        }
        for (name, template) in table.pairs("secret_headers")? {
            let (before, secret) = self.secret(table, &name, &template)?;
            builder = builder.secret_header(name, before, secret);
        }
        match (
            table.get::<Value>("json", "what JSON can hold")?,
            table.text("body")?,
        ) {
            (Some(_), Some(_)) => return Err(table.wrong("body", "a tool has either `json` or `body`")),
            (Some(json), None) => builder = builder.json(&json),
            (None, Some(body)) => builder = builder.body(&body),
            (None, None) => {}
        }
        match table.text("output")?.as_deref() {
            None | Some("auto") => {}
            Some(word) => {
                let expected = "expected `auto`, `text`, `json` or `lines`";
                let kind = command::output(word).ok_or_else(|| table.wrong("output", expected))?;
                builder = builder.answer(AnswerKind::As(kind));
            }
        }
        if let Some(bytes) = table.get("output_bytes", "a number of bytes")? {
            builder = builder.max_bytes(bytes);
        }
        for host in table.texts("allow_hosts")?.unwrap_or_default() {
            builder = builder.allow_host(host);
        }
        let client = match &self.client {
            Some(client) => client.clone(),
            // Without the certificates of the system, connections without TLS can still be made.
            None => http::client(true)
                .or_else(|error| http::client(false).map_err(|_| error))
                .map_err(|error| table.wrong(&error.key, &error.message))?,
        };
        self.client = Some(client.clone());
        let built = builder.client(client).build();
        let mut tool = built.map_err(|error| table.wrong(&error.key, &error.message))?;
        let needs = tool.needs();
        match schema {
            None => tool.set_parameters(parameters::infer(&needs)),
            Some(schema) => parameters::check(&needs, &schema, table, &mut self.warnings)?,
        }
        Ok(Arc::new(tool))
    }

    /// Reads a text that ends in the name of a secret, and asks for the secret.
    fn secret(
        &mut self,
        table: &Table<'_>,
        header: &str,
        template: &str,
    ) -> Result<(String, String), DeclareError> {
        let wrong = |message: &str| {
            let mut error = table.wrong("secret_headers", message);
            error.key = format!("{}.{header}", error.key);
            error
        };
        let expected = "expected a text that ends in the name of a secret, such as \"Bearer {API_KEY}\"";
        let (before, name) = match holes::pieces(template).as_deref() {
            Some([Piece::Hole(name)]) => (String::new(), name.join(".")),
            Some([Piece::Text(before), Piece::Hole(name)]) => (before.clone(), name.join(".")),
            _ => return Err(wrong(expected)),
        };
        match (self.secret)(&name) {
            Some(secret) => Ok((before, secret)),
            None => Err(wrong(&format!("the secret `{name}` is not set"))),
        }
    }
}
