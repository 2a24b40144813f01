//! `fs chown`, `fs chgrp`.

use super::each;
use crate::cli::session::Session;
use crate::client::SetAttributes;
use crate::core::error::{Error, Result, invalid_argument};
use clap::Args;
use std::str::FromStr;

/// Change the owner, and the group, of files and directories
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs chown ann /data/report
  goosefs fs chown -R ann:analysts /data")]
pub struct Chown {
    /// Change all that is below directories too
    #[arg(short = 'R', long)]
    recursive: bool,
    /// New owner, and new group behind a colon
    #[arg(value_name = "OWNER[:GROUP]")]
    owner: Owner,
    /// Paths to change
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

/// Change the group of files and directories
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs chgrp -R analysts /data")]
pub struct Chgrp {
    /// Change all that is below directories too
    #[arg(short = 'R', long)]
    recursive: bool,
    /// New group
    #[arg(value_name = "GROUP", value_parser = name)]
    group: String,
    /// Paths to change
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

/// `user`, `user:group` or `:group`.
#[derive(Clone, Debug, PartialEq)]
struct Owner {
    user: Option<String>,
    group: Option<String>,
}

impl FromStr for Owner {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (user, group) = text.split_once(':').unwrap_or((text, ""));
        let given = |text: &str| Some(text).filter(|t| !t.is_empty()).map(name).transpose();
        match (given(user)?, given(group)?) {
            (None, None) => Err(invalid_argument("neither an owner nor a group is named")),
            (user, group) => Ok(Owner { user, group }),
        }
    }
}

/// A user's or group's name: anything that `ls` can show in one column.
fn name(text: &str) -> Result<String> {
    let strange = |c: char| c.is_whitespace() || c.is_control() || c == ':';
    if text.is_empty() || text.contains(strange) {
        return Err(invalid_argument(format!("{text:?} is no name of a user or group")));
    }
    Ok(text.into())
}

impl Chown {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let set = SetAttributes {
            owner: self.owner.user.clone(),
            group: self.owner.group.clone(),
            recursive: self.recursive,
            ..Default::default()
        };
        let said = match (&self.owner.user, &self.owner.group) {
            (Some(user), Some(group)) => ("owner:group", format!("{user}:{group}")),
            (Some(user), None) => ("owner", user.clone()),
            (None, group) => ("group", group.clone().unwrap_or_default()),
        };
        change(session, &self.paths, &set, said).await
    }
}

impl Chgrp {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let set = SetAttributes {
            group: Some(self.group.clone()),
            recursive: self.recursive,
            ..Default::default()
        };
        change(session, &self.paths, &set, ("group", self.group)).await
    }
}

async fn change(
    session: &mut Session,
    operands: &[String],
    set: &SetAttributes,
    (what, to): (&str, String),
) -> Result<()> {
    each(session, operands, "changing", async |session, path| {
        session.fs.set_attributes(&path, set).await?;
        session.out.note(format!("Changed {what} of {path} to {to}"))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_and_group_are_told_by_the_colon() {
        let owner = |user: Option<&str>, group: Option<&str>| Owner {
            user: user.map(String::from),
            group: group.map(String::from),
        };
        assert_eq!("ann".parse::<Owner>().unwrap(), owner(Some("ann"), None));
        assert_eq!("ann:users".parse::<Owner>().unwrap(), owner(Some("ann"), Some("users")));
        assert_eq!(":users".parse::<Owner>().unwrap(), owner(None, Some("users")));
        for bad in ["", ":", "a b", "a:b:c"] {
            assert!(bad.parse::<Owner>().is_err(), "{bad:?} was taken");
        }
    }
}
