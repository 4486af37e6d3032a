//! A real inference server for tests: llama.cpp's, built from the source package of `llama-cpp-python`, with a model of
//! random weights.
//!
//! The build takes minutes. What was made lies in `target/llama` and is made again only when a version below changes, or
//! when it is removed.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use xshell::{Shell, cmd};

use crate::project::{Project, seconds};

/// The version of `llama-cpp-python`, whose source package contains llama.cpp and its server.
const VERSION: &str = "0.3.36";

/// What builds it, and what writes the model.
const TOOLS: [&str; 5] = [
    "cmake==4.4.5",
    "gguf==0.19.0",
    "ninja==1.13.2",
    "numpy==2.4.6",
    "scikit-build-core==1.1.2",
];

/// Little optimisation, since the model is tiny and the build long; and nothing that depends on the machine.
const FLAGS: [&str; 11] = [
    "-DCMAKE_BUILD_TYPE=Release",
    "-DCMAKE_CXX_FLAGS_RELEASE=-O1",
    "-DCMAKE_C_FLAGS_RELEASE=-O2",
    "-DBUILD_SHARED_LIBS=OFF",
    "-DGGML_NATIVE=OFF",
    "-DGGML_OPENMP=OFF",
    "-DLLAMA_OPENSSL=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
];

/// The script that writes the model.
const MODEL: &str = "crates/throng-llm/tests/it/llama/random_model.py";

/// Within how many milliseconds 99 of 100 dropped streams must have freed their slots.
const FREED_MS: f64 = 50.0;

/// Runs the tests of `throng-llm` against the server.
pub(crate) fn run(project: &Project) -> Result<()> {
    let sh = &project.sh;
    let made = Made {
        sh,
        root: project.metadata()?.target_dir.join("llama"),
    };
    sh.create_dir(&made.root)?;
    let server = made.or_given("THRONG_LLAMA_SERVER", Made::server)?;
    let templates = made.or_given("THRONG_LLAMA_TEMPLATES", Made::templates)?;
    let script = project.root.join(MODEL);
    let model = made.or_given("THRONG_LLAMA_MODEL", |made| made.model(&script))?;

    let out = made.root.join("figures.json");
    sh.remove_path(&out)?;
    let test = ["test", "--release", "-p", "throng-llm", "--test", "it", "llama::"];
    // One after another: a figure is measured among them. The name is also the end of another module's.
    let options = ["--", "--test-threads=1", "--skip=ollama::"];
    let cargo = project.cargo().args(test).args(options);
    cargo
        .env("THRONG_LLAMA_SERVER", server)
        .env("THRONG_LLAMA_TEMPLATES", templates)
        .env("THRONG_LLAMA_MODEL", model)
        .env("THRONG_LLAMA_OUT", &out)
        .run()?;
    let figures = sh
        .read_file(&out)
        .context("the tests have passed without measuring anything")?;
    println!("{}", judge(&figures)?);
    Ok(())
}

/// The folder in which everything is made.
struct Made<'a> {
    sh: &'a Shell,
    root: PathBuf,
}

impl Made<'_> {
    /// Returns what a variable names, or else what is made here.
    fn or_given(&self, name: &str, make: impl FnOnce(&Self) -> Result<PathBuf>) -> Result<PathBuf> {
        let Some(path) = env::var_os(name).map(PathBuf::from) else {
            return make(self);
        };
        // The tests run in the folder of their crate.
        let path = env::current_dir()?.join(path);
        ensure!(
            path.exists(),
            "{name} names {}, which does not exist",
            path.display()
        );
        Ok(path)
    }

    /// Makes something unless it has been made by the same recipe. The mark is set last, so that what was begun and not
    /// finished is begun anew.
    fn once(&self, what: &str, recipe: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let path = self.root.join(what);
        let mark = self.root.join(format!("{what}.made"));
        if self.sh.read_file(&mark).is_ok_and(|made| made == recipe) && path.exists() {
            return Ok(path);
        }
        println!("making {}", path.display());
        let start = Instant::now();
        self.sh.remove_path(&mark)?;
        self.sh.remove_path(&path)?;
        make(&path).with_context(|| format!("cannot make {}", path.display()))?;
        self.sh.write_file(&mark, recipe)?;
        println!("{what} took {}", seconds(start.elapsed()));
        Ok(path)
    }

    /// Returns the programs of a Python environment with the tools.
    fn programs(&self) -> Result<PathBuf> {
        let sh = self.sh;
        let venv = self.once("venv", &TOOLS.join(" "), |venv| {
            cmd!(sh, "python3 -m venv {venv}").run()?;
            cmd!(
                sh,
                "{venv}/bin/pip install --quiet --disable-pip-version-check {TOOLS...}"
            )
            .run()?;
            Ok(())
        })?;
        Ok(venv.join("bin"))
    }

    /// Returns llama.cpp's source.
    fn source(&self) -> Result<PathBuf> {
        let sh = self.sh;
        let source = self.once("source", VERSION, |source| {
            let pip = self.programs()?.join("pip");
            let package = format!("llama-cpp-python=={VERSION}");
            sh.create_dir(source)?;
            // Without isolation, since pip would otherwise fetch the tools a second time to read the name in the package.
            let options = [
                "--no-deps",
                "--no-build-isolation",
                "--no-binary",
                "llama-cpp-python",
            ];
            let quiet = ["--quiet", "--disable-pip-version-check"];
            cmd!(
                sh,
                "{pip} download {quiet...} {options...} --dest {source} {package}"
            )
            .run()?;
            let archive = source.join(format!("llama_cpp_python-{VERSION}.tar.gz"));
            cmd!(sh, "tar -xzf {archive} -C {source} --strip-components=1").run()?;
            sh.remove_path(&archive)?;
            Ok(())
        })?;
        Ok(source.join("vendor/llama.cpp"))
    }

    /// Builds the server.
    fn server(&self) -> Result<PathBuf> {
        let sh = self.sh;
        let recipe = format!("{VERSION} {}", FLAGS.join(" "));
        let build = self.once("build", &recipe, |build| {
            let programs = self.programs()?;
            let source = self.source()?;
            let ninja = programs.join("ninja");
            let make = format!("-DCMAKE_MAKE_PROGRAM={}", ninja.display());
            cmd!(
                sh,
                "{programs}/cmake -G Ninja -S {source} -B {build} {make} {FLAGS...}"
            )
            .run()?;
            cmd!(sh, "{ninja} -C {build} llama-server").run()?;
            Ok(())
        })?;
        Ok(build.join("bin/llama-server"))
    }

    /// Returns the folder of templates for conversations.
    fn templates(&self) -> Result<PathBuf> {
        Ok(self.source()?.join("models/templates"))
    }

    /// Writes the model.
    fn model(&self, script: &Path) -> Result<PathBuf> {
        let sh = self.sh;
        let recipe = format!("{}\n{}", TOOLS.join(" "), sh.read_file(script)?);
        self.once("random.gguf", &recipe, |model| {
            let programs = self.programs()?;
            cmd!(sh, "{programs}/python {script} {model}").run()?;
            Ok(())
        })
    }
}

/// Says what was measured, and fails if slots are freed too late.
fn judge(figures: &str) -> Result<String> {
    let figures: Value = serde_json::from_str(figures).context("the figures are not JSON")?;
    let freed = &figures["slot_freed_ms"];
    let number = |value: &Value, name: &str| {
        value
            .as_f64()
            .with_context(|| format!("the figures have no {name}"))
    };
    let (p50, p99) = (number(&freed["p50"], "p50")?, number(&freed["p99"], "p99")?);
    let max = number(&freed["max"], "max")?;
    let text = format!(
        "slot freed after {} dropped streams: p50 {p50:.1} ms, p99 {p99:.1} ms, max {max:.1} ms; {:.0} tokens/s",
        figures["drops"],
        number(&figures["tokens_per_s"], "tokens_per_s")?,
    );
    ensure!(p99 <= FREED_MS, "{text}; the p99 may be {FREED_MS} ms at most");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn slots_that_are_freed_too_late_are_a_failure() {
        let figures = |p99: &str| {
            format!(
                r#"{{"drops":150,"slot_freed_ms":{{"p50":1.7,"p99":{p99},"max":60}},"tokens_per_s":900}}"#
            )
        };
        let text = "slot freed after 150 dropped streams: p50 1.7 ms, p99 50.0 ms, max 60.0 ms; 900 tokens/s";
        assert_eq!(judge(&figures("50")).unwrap(), text);
        assert!(
            judge(&figures("50.1"))
                .unwrap_err()
                .to_string()
                .contains("50.1 ms")
        );
        let error = judge(&figures("null")).unwrap_err().to_string();
        assert_eq!(error, "the figures have no p99");
    }

    #[test]
    fn what_was_made_is_made_again_when_its_recipe_changes_or_it_was_not_finished() {
        let sh = Shell::new().unwrap();
        let dir = sh.create_temp_dir().unwrap();
        let made = Made {
            sh: &sh,
            root: dir.path().to_path_buf(),
        };
        let times = Cell::new(0);
        let make = |recipe: &str| {
            made.once("thing", recipe, |path| {
                times.set(times.get() + 1);
                assert!(!path.exists(), "what was there before is gone");
                sh.write_file(path, "x")?;
                ensure!(recipe != "bad", "it does not work");
                Ok(())
            })
        };
        assert_eq!(make("a").unwrap(), dir.path().join("thing"));
        make("a").unwrap();
        assert_eq!(times.get(), 1);
        make("b").unwrap();
        assert!(make("bad").is_err());
        assert!(make("bad").is_err());
        make("b").unwrap();
        assert_eq!(times.get(), 5);
    }
}
