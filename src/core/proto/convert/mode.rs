//! Permission bits: on the wire an enum a class, whose value is the octal digit plus one.

use crate::core::proto::grpc::{Bits, PMode};

/// The wire's form of the lower nine permission bits.
pub fn pmode(mode: u32) -> PMode {
    let digit = |shift: u32| ((mode >> shift) & 7) as i32 + 1;
    PMode { owner_bits: digit(6), group_bits: digit(3), other_bits: digit(0) }
}

/// The permission bits of the wire's form. A value that is none counts as no permission.
pub fn mode_of(mode: &PMode) -> u32 {
    bits_of(mode.owner_bits) << 6 | bits_of(mode.group_bits) << 3 | bits_of(mode.other_bits)
}

/// One octal digit of the wire's form.
pub fn bits_of(bits: i32) -> u32 {
    Bits::try_from(bits).map_or(0, |bits| bits as u32 - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_go_both_ways() {
        for mode in 0..0o1000 {
            assert_eq!(mode_of(&pmode(mode)), mode);
        }
    }
}
