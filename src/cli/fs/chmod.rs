//! `fs chmod`.

use super::each;
use crate::cli::session::Session;
use crate::client::{ListOptions, SetAttributes};
use crate::core::error::{Error, Result, invalid_argument};
use crate::core::model::{FsPath, Status};
use clap::Args;
use futures::TryStreamExt;
use std::str::FromStr;

/// Change the permissions of files and directories
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs chmod 640 /data/secret
  goosefs fs chmod -R u+w,go-w /data")]
pub struct Chmod {
    /// Change all that is below directories too
    #[arg(short = 'R', long)]
    recursive: bool,
    /// New permissions, as in 755, u=rw or go-w
    #[arg(value_name = "MODE", allow_hyphen_values = true)]
    mode: Mode,
    /// Paths to change
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

impl Chmod {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        each(session, &self.paths, "changing", async |session, path| match &self.mode {
            Mode::Octal(mode) => {
                let recursive = self.recursive;
                let set = SetAttributes { mode: Some(*mode), recursive, ..Default::default() };
                session.fs.set_attributes(&path, &set).await?;
                session.out.note(format!("Changed permission of {path} to {mode:o}"))
            }
            Mode::Clauses(clauses) => self.relative(session, &path, clauses).await,
        })
        .await
    }

    /// What each path gets depends on what it has.
    async fn relative(
        &self,
        session: &mut Session,
        path: &FsPath,
        clauses: &[Clause],
    ) -> Result<()> {
        let status = session.fs.status(path).await?;
        one(session, &status, clauses).await?;
        if !self.recursive || !status.folder {
            return Ok(());
        }
        let options = ListOptions { recursive: true, ..Default::default() };
        let mut below = session.fs.list_stream(path, &options).await?;
        while let Some(status) = below.try_next().await? {
            if let Err(error) = one(session, &status, clauses).await {
                session.fail(&error.context(format!("changing {}", status.path)));
            }
        }
        Ok(())
    }
}

async fn one(session: &mut Session, status: &Status, clauses: &[Clause]) -> Result<()> {
    let mode = clauses.iter().fold(status.mode, |mode, clause| clause.on(mode, status.folder));
    let set = SetAttributes { mode: Some(mode), ..Default::default() };
    session.fs.set_attributes(&status.path, &set).await?;
    session.out.note(format!("Changed permission of {} to {mode:o}", status.path))
}

/// A mode as people write it.
#[derive(Clone, Debug, PartialEq)]
enum Mode {
    Octal(u32),
    Clauses(Vec<Clause>),
}

/// One of the clauses of `u+w,go-w`.
#[derive(Clone, Debug, PartialEq)]
struct Clause {
    /// The bits of the classes named, all nine and the special ones for `a` or none.
    classes: u32,
    operator: char,
    bits: u32,
    /// `X`: execute for directories and for what somebody may execute already.
    execute_if_any: bool,
}

impl Clause {
    fn on(&self, mode: u32, folder: bool) -> u32 {
        let execute = self.execute_if_any && (folder || mode & 0o111 != 0);
        let bits = (self.bits | if execute { 0o111 } else { 0 }) & self.classes;
        match self.operator {
            '+' => mode | bits,
            '-' => mode & !bits,
            _ => mode & !self.classes | bits,
        }
    }
}

impl FromStr for Mode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || invalid_argument(format!("{text:?} is no mode such as 755, u=rw or go-w"));
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            return match u32::from_str_radix(text, 8) {
                Ok(mode) if mode <= 0o7777 => Ok(Mode::Octal(mode)),
                _ => Err(wrong()),
            };
        }
        let clauses: Option<Vec<Clause>> = text.split(',').map(clause).collect();
        clauses.map(Mode::Clauses).ok_or_else(wrong)
    }
}

fn clause(text: &str) -> Option<Clause> {
    let at = text.find(['+', '-', '='])?;
    let (who, rest) = text.split_at(at);
    let mut classes = 0;
    for class in who.chars() {
        classes |= match class {
            'u' => 0o4700,
            'g' => 0o2070,
            'o' => 0o1007,
            'a' => 0o7777,
            _ => return None,
        };
    }
    if classes == 0 {
        classes = 0o7777;
    }
    let operator = rest.chars().next()?;
    let mut clause = Clause { classes, operator, bits: 0, execute_if_any: false };
    for permission in rest[1..].chars() {
        clause.bits |= match permission {
            'r' => 0o444,
            'w' => 0o222,
            'x' => 0o111,
            's' => 0o6000,
            't' => 0o1000,
            'X' => {
                clause.execute_if_any = true;
                0
            }
            _ => return None,
        };
    }
    Some(clause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(text: &str, mode: u32) -> u32 {
        match text.parse::<Mode>().unwrap() {
            Mode::Octal(mode) => mode,
            Mode::Clauses(clauses) => clauses.iter().fold(mode, |mode, c| c.on(mode, false)),
        }
    }

    #[test]
    fn modes_are_written_in_octal_or_in_letters() {
        for (text, before, after) in [
            ("755", 0o600, 0o755),
            ("1777", 0, 0o1777),
            ("u+w,go-w", 0o466, 0o644),
            ("a=r", 0o777, 0o444),
            ("+x", 0o644, 0o755),
            ("u=rw,g=,o=", 0o4777, 0o600),
            ("u+s", 0o755, 0o4755),
            ("a+X", 0o644, 0o644),
            ("a+X", 0o744, 0o755),
        ] {
            assert_eq!(apply(text, before), after, "{text} on {before:o}");
        }
        for bad in ["", "9", "77777", "u", "u+q", "z+r", "7x"] {
            assert!(bad.parse::<Mode>().is_err(), "{bad:?} was taken");
        }
    }
}
