use super::*;
use std::os::unix::ffi::OsStrExt;

fn local() -> (tempfile::TempDir, Ufs) {
    let dir = tempfile::tempdir().unwrap();
    let ufs = open(dir.path().to_str().unwrap(), &Properties::new()).unwrap();
    (dir, ufs)
}

async fn names(ufs: &Ufs, path: &str) -> Result<Vec<String>> {
    let entries: Vec<_> = ufs.list(path).await?.try_collect().await?;
    let mut names: Vec<_> = entries.into_iter().map(|e| e.name).collect();
    names.sort();
    Ok(names)
}

#[tokio::test]
async fn what_cannot_be_served_is_left_out_of_a_listing() {
    let (dir, ufs) = local();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("plain"), "x").unwrap();
    std::fs::write(dir.path().join(std::ffi::OsStr::from_bytes(b"\xff\xfe")), "x").unwrap();
    std::os::unix::fs::symlink("plain", at("link")).unwrap();
    std::os::unix::fs::symlink("nowhere", at("dangling")).unwrap();
    std::os::unix::fs::symlink("circle", at("circle")).unwrap();
    nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(names(&ufs, "").await.unwrap(), ["link", "plain"]);
    assert_eq!(ufs.status("pipe").await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(ufs.read("pipe", None, 0..1).await.err().unwrap().kind(), ErrorKind::NotFound);
    assert!(ufs.status("circle").await.is_err());
}

#[tokio::test]
async fn a_file_changed_during_a_read_is_noticed() {
    let (dir, ufs) = local();
    std::fs::write(dir.path().join("big"), vec![1; 8 << 20]).unwrap();
    let mut read = ufs.read("big", None, 0..u64::MAX).await.unwrap();
    read.next().await.unwrap().unwrap();
    std::fs::write(dir.path().join("big"), vec![2; 8 << 20]).unwrap();
    let rest: Result<Vec<_>> = read.try_collect().await;
    assert_eq!(rest.unwrap_err().kind(), ErrorKind::Changed);
}

#[tokio::test]
async fn a_missing_root_is_not_mistaken_for_an_empty_one() {
    let (dir, _) = local();
    let root = dir.path().join("unmounted");
    let ufs = open(&format!("file://{}/", root.display()), &Properties::new()).unwrap();
    let error = ufs.create("a/b", &Attributes::default()).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("mount its disk"), "{error}");
    assert_eq!(names(&ufs, "").await.unwrap_err().kind(), ErrorKind::NotFound);
    ufs.create_dir("", &Attributes::default()).await.unwrap();
    assert_eq!(names(&ufs, "").await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_path_cannot_leave_its_root() {
    let (_dir, ufs) = local();
    for path in ["..", "a/../..", "/etc/passwd", "a//b", "a/./b", "nul\0"] {
        assert_eq!(
            ufs.status(path).await.unwrap_err().kind(),
            ErrorKind::InvalidArgument,
            "{path}"
        );
    }
    assert!(open("file://host/dir", &Properties::new()).is_err());
    assert!(open("file:///a/../b", &Properties::new()).is_err());
}

#[tokio::test]
async fn mode_is_kept() {
    let (_dir, ufs) = local();
    let attributes = Attributes { mode: Some(0o640), ..Default::default() };
    let mut writer = ufs.create("a", &attributes).await.unwrap();
    writer.write("x".into()).await.unwrap();
    assert_eq!(writer.close().await.unwrap().mode, Some(0o640));
    let attributes = Attributes { mode: Some(0o600), ..Default::default() };
    ufs.set_attributes("a", &attributes).await.unwrap();
    assert_eq!(ufs.status("a").await.unwrap().mode, Some(0o600));
}
