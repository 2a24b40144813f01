//! The official clients, as their makers ship them, against our cluster.

mod python;
pub mod rust;
