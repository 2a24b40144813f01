//! Between the wire's messages and the model: nothing above `core` reads a raw `FileInfo`.

mod file;
mod mode;
mod mount;
mod policy;
mod worker;

pub use mode::{bits_of, mode_of, pmode};
