//! Compiles the `.proto` files beside this script with a pure-Rust compiler, so that a build
//! needs no `protoc`.

use std::path::{Path, PathBuf};

/// Messages that carry file data: their `bytes` fields become `bytes::Bytes`, so that a received
/// chunk is a slice of the buffer it arrived in.
const DATA_MESSAGES: &[&str] = &[".com.qcloud.cos.goosefs.grpc.block.Chunk"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new("src/core/proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    find(root, &mut files)?;
    files.sort();
    let descriptors = protox::compile(&files, [root])?;
    let mut config = tonic_prost_build::Config::new();
    config.bytes(DATA_MESSAGES);
    tonic_prost_build::configure().compile_fds_with_config(descriptors, config)?;
    Ok(())
}

/// All `.proto` files below `dir`.
fn find(dir: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "proto") {
            files.push(path);
        }
    }
    Ok(())
}
