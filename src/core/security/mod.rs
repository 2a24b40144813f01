//! Who may what.

pub mod permission;
pub mod user;

pub use permission::{Access, may};
pub use user::{Groups, User};
