//! One run of a command against a cluster: the file system, where results go, and whether all went
//! well so far.

use super::print::{self, Out, Output};
use super::{Global, block_on};
use crate::client::FileSystem;
use crate::core::config::Config;
use crate::core::error::{Error, Result};
use crate::core::runtime::logging;
use std::process::ExitCode;

/// How long a person waits for a master that does not answer, where nobody set it otherwise: long
/// enough for a failover, far shorter than a program's patience.
const PATIENCE: (&str, &str) = ("goosefs.user.rpc.retry.max.duration", "15s");
/// What the libraries may say on standard error, where nobody set it otherwise: a command's own
/// messages say it better.
const QUIET: (&str, &str) = ("goosefs.log.level", "error");

/// What every verb works with.
pub struct Session {
    /// The cluster's file system.
    pub fs: FileSystem,
    /// Where results go.
    pub out: Out,
    failed: bool,
}

impl Session {
    /// Runs `work` against the configured cluster. The exit code says whether it, and all that it
    /// reported by [`Session::fail`] on the way, went well.
    ///
    /// # Errors
    /// What `work` fails with, and what is wrong with the configuration.
    pub fn run(
        global: &Global,
        output: Output,
        work: impl AsyncFnOnce(&mut Session) -> Result<()>,
    ) -> Result<ExitCode> {
        let config = for_people(global.load()?)?;
        logging::start(&config.node)?;
        block_on(async {
            let fs = FileSystem::connect(&config);
            let mut session = Session { fs, out: Out::stdout(output.output), failed: false };
            let result = work(&mut session).await;
            session.out.flush()?;
            result.map(|()| if session.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
        })
    }

    /// Reports that one thing failed; the command goes on with the others and exits 1 at the end.
    pub fn fail(&mut self, error: &Error) {
        // First what was said before it, so that a terminal shows both in order.
        let _ = self.out.flush();
        print::complain(error);
        self.failed = true;
    }

    /// The value, or none once its error has been reported.
    pub fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.fail(&error)).ok()
    }

    /// Makes the exit code 1 without a word.
    pub fn answer_no(&mut self) {
        self.failed = true;
    }
}

/// The configuration with the patience of a person instead of a program's.
fn for_people(mut config: Config) -> Result<Config> {
    for (name, value) in [PATIENCE, QUIET] {
        if !config.explicit().any(|(set, _)| set == name) {
            config = config.and(name, value)?;
        }
    }
    Ok(config)
}
