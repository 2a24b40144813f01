//! How reads and writes use the cache.

use crate::core::error::{Error, Result, invalid_argument};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Declares an enum whose variants have a name on the wire and in the configuration.
macro_rules! named {
    ($(#[$doc:meta])* $type:ident { $($(#[$vdoc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $type { $($(#[$vdoc])* $variant,)* }

        impl $type {
            /// Every value's name.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// The name users write.
            pub fn name(self) -> &'static str {
                match self { $($type::$variant => $name,)* }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }

        impl FromStr for $type {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                $(if text.eq_ignore_ascii_case($name) { return Ok($type::$variant); })*
                Err(invalid_argument(format!("{text:?} is none of {}", Self::NAMES.join(", "))))
            }
        }
    };
}

named! {
    /// Does a read leave a copy in the cache.
    ReadType {
        /// It does.
        #[default]
        Cache = "CACHE",
        /// It does not.
        NoCache = "NO_CACHE",
    }
}

named! {
    /// Where a write lands, and when.
    WriteType {
        /// In the cache only.
        #[default]
        MustCache = "MUST_CACHE",
        /// In the cache if there is room, else in the under store.
        TryCache = "TRY_CACHE",
        /// In the cache and, before close returns, in the under store.
        CacheThrough = "CACHE_THROUGH",
        /// In the under store only.
        Through = "THROUGH",
        /// In the cache, several copies; later in the under store.
        AsyncThrough = "ASYNC_THROUGH",
    }
}

named! {
    /// Which block goes first when room is needed.
    EvictionPolicy {
        /// Three queues: what is asked for once passes by what is asked for often.
        #[default]
        S3Fifo = "S3FIFO",
        /// The longest unused.
        Lru = "LRU",
        /// The least often used, lately.
        Lfu = "LFU",
    }
}

named! {
    /// What happens when a TTL runs out.
    TtlAction {
        /// The cached copy is dropped; the file stays.
        #[default]
        Free = "FREE",
        /// The file is deleted, also in the under store.
        Delete = "DELETE",
    }
}
