//! The one test executable: a list of suites.

mod layers;
