//! `fs pin`, `fs unpin`.

use super::each;
use crate::cli::session::Session;
use crate::client::SetAttributes;
use crate::core::error::Result;
use crate::core::model::media::{Media, PINNED_MEDIA};
use clap::Args;

/// Mark files as ones to keep in the cache
///
/// Workers never evict blocks of a pinned file, and `fs free` refuses it unless forced. Pinned to
/// media, they are kept on directories of those: moved there from others, and not away from them. A
/// worker that has no such directory, or no room in it, keeps them where they are. Pinning brings
/// nothing into the cache: `goosefs load` does. What comes into a directory later is not pinned with it.
///
/// Pinning again without media lets blocks be on any.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs pin /models/current
  goosefs fs pin /models/current MEM
  goosefs fs pin /archive SSD,HDD
  goosefs fs ls -R -p /models              What is pinned, and where")]
pub struct Pin {
    /// Files, and directories with all that is below; then MEM, SSD, HDD or several of them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Directories with all that is below, as without it
    #[arg(short = 'R', long, hide = true)]
    recursive: bool,
}

/// Let pinned files be evicted again
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs unpin /models/current")]
pub struct Unpin {
    /// Files, and directories with all that is below
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Directories with all that is below, as without it
    #[arg(short = 'R', long, hide = true)]
    recursive: bool,
}

impl Pin {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let (paths, media) = with_media(self.paths)?;
        let mut set = SetAttributes { pinned: Some(true), ..Default::default() };
        match media.is_any() {
            true => set.remove_xattrs.push(PINNED_MEDIA.into()),
            false => drop(set.set_xattrs.insert(PINNED_MEDIA.into(), media.to_string().into())),
        }
        apply(session, &paths, set, ("pinning", "pinned")).await
    }
}

impl Unpin {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let set = SetAttributes {
            pinned: Some(false),
            remove_xattrs: vec![PINNED_MEDIA.into()],
            ..Default::default()
        };
        apply(session, &self.paths, set, ("unpinning", "unpinned")).await
    }
}

/// Takes the media, which come last, from the paths, which begin with a slash or a scheme.
fn with_media(mut operands: Vec<String>) -> Result<(Vec<String>, Media)> {
    let mut media = Media::ANY;
    while let Some(named) = operands.last().filter(|last| !last.contains('/'))
        && operands.len() > 1
    {
        media = media.and(named.parse()?);
        operands.pop();
    }
    Ok((operands, media))
}

async fn apply(
    session: &mut Session,
    operands: &[String],
    set: SetAttributes,
    (doing, done): (&str, &str),
) -> Result<()> {
    let set = SetAttributes { recursive: true, ..set };
    each(session, operands, doing, async |session, path| {
        session.fs.set_attributes(&path, &set).await?;
        session.out.note(format!("File '{path}' was successfully {done}."))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_come_after_the_paths() {
        let read = |words: &[&str]| with_media(words.iter().map(|word| word.to_string()).collect());
        let (paths, media) = read(&["/a", "/b", "MEM", "ssd"]).unwrap();
        assert_eq!((paths.len(), media.to_string().as_str()), (2, "MEM,SSD"));
        assert_eq!(read(&["/a", "SSD,HDD"]).unwrap().1.to_string(), "SSD,HDD");
        assert!(read(&["/a"]).unwrap().1.is_any());
        assert!(read(&["/a", "TAPE"]).is_err());
        assert_eq!(read(&["MEM"]).unwrap().0, ["MEM"], "what comes first is no medium");
    }
}
