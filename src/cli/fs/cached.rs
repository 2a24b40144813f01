//! The share of files that is cached: asked of the workers, since the master does not know it.

use crate::cli::session::Session;
use crate::core::model::Status;

/// Files that are asked for at once.
pub const BATCH: usize = 512;

/// Sets how much of each file is cached. Where workers do not answer, less shows.
pub async fn fill_in(session: &Session, files: &mut [Status]) {
    let cached = session.fs.cached_bytes(files).await;
    for (file, cached) in files.iter_mut().zip(cached) {
        if !file.folder {
            file.cached_percent = percent(cached, file.length);
        }
    }
}

/// How much of `length` bytes `cached` is; all of nothing is 100.
pub fn percent(cached: u64, length: u64) -> i32 {
    let percent = (u128::from(cached) * 100).checked_div(u128::from(length)).unwrap_or(100);
    percent.min(100) as i32
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn only_the_whole_is_all_of_it() {
        assert_eq!([percent(0, 0), percent(0, 9), percent(999, 1000)], [100, 0, 99]);
        assert_eq!([percent(1000, 1000), percent(u64::MAX, u64::MAX)], [100, 100]);
    }
}
