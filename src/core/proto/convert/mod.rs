//! Between the wire's messages and the model: nothing above `core` reads a raw `FileInfo`.

mod file;
mod holds;
mod measure;
mod mode;
mod mount;
mod policy;
mod worker;

pub use holds::{MOST_BLOCKS, Part};
pub use mode::{bits_of, mode_of, pmode};
