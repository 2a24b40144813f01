//! What a worker holds, told in a byte or two a block: files that were made one after another have ids
//! that are, and most blocks are there whole or not at all.

use crate::core::error::{Result, invalid_argument};
use crate::core::model::{BlockId, FileId};
use crate::core::proto::v1::{HoldsRequest, HoldsResponse};

/// Blocks in one question at most.
pub const MOST_BLOCKS: usize = 1 << 17;

impl HoldsRequest {
    /// A question about these blocks, at most [`MOST_BLOCKS`].
    pub fn about(blocks: impl IntoIterator<Item = BlockId>) -> Self {
        let (mut request, mut before) = (HoldsRequest::default(), 0i64);
        for block in blocks {
            let container = block.file().container() as i64;
            request.steps.push(container.wrapping_sub(before));
            request.indices.push(block.index() as u32);
            before = container;
        }
        request
    }

    /// The blocks it is about.
    ///
    /// # Errors
    /// `InvalidArgument` for a question that makes no sense.
    pub fn blocks(&self) -> Result<impl Iterator<Item = BlockId> + '_> {
        if self.steps.len() != self.indices.len() || self.steps.len() > MOST_BLOCKS {
            return Err(invalid_argument(format!("ask for at most {MOST_BLOCKS} blocks")));
        }
        let mut container = 0i64;
        Ok(self.steps.iter().zip(&self.indices).map(move |(step, &index)| {
            container = container.wrapping_add(*step);
            FileId::from_container(container as u64).block(u64::from(index))
        }))
    }
}

/// How much of a block somebody has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// Nothing.
    #[default]
    None,
    /// All of it.
    Whole,
    /// So many bytes.
    Bytes(u64),
}

impl Part {
    /// How many bytes that is of a block of this length.
    pub fn of(self, length: u64) -> u64 {
        match self {
            Part::None => 0,
            Part::Whole => length,
            Part::Bytes(bytes) => bytes.min(length),
        }
    }
}

impl HoldsResponse {
    /// The answer, in the order of the question.
    pub fn tell(parts: impl IntoIterator<Item = Part>) -> Self {
        let mut runs: Vec<u64> = Vec::new();
        for part in parts {
            let amount = match part {
                Part::None | Part::Bytes(0) => 0,
                Part::Whole => 1,
                Part::Bytes(bytes) => bytes.saturating_add(1),
            };
            match runs.as_mut_slice() {
                [.., last, count] if *last == amount => *count += 1,
                _ => runs.extend([amount, 1]),
            }
        }
        HoldsResponse { runs }
    }

    /// How much of each of `asked` blocks it is; nothing where the answer is too short.
    pub fn parts(&self, asked: usize) -> impl Iterator<Item = Part> + '_ {
        let part = |amount: u64| match amount {
            0 => Part::None,
            1 => Part::Whole,
            more => Part::Bytes(more - 1),
        };
        let runs = self.runs.chunks_exact(2);
        let told = runs.flat_map(move |run| {
            std::iter::repeat_n(part(run[0]), usize::try_from(run[1]).unwrap_or(asked))
        });
        told.chain(std::iter::repeat(Part::None)).take(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;

    #[test]
    fn a_question_comes_out_as_it_went_in_and_is_short() {
        let file = FileId::from_container;
        let blocks = [file(7).block(0), file(8).block(0), file(3).block(1), file(3).block(2)];
        let request = HoldsRequest::about(blocks);
        assert_eq!(request.blocks().unwrap().collect::<Vec<_>>(), blocks);
        let many = HoldsRequest::about((1..=10_000).map(|container| file(container).block(0)));
        assert!(many.encoded_len() < 20_100, "{}", many.encoded_len());
        let uneven = HoldsRequest { steps: vec![1], indices: vec![] };
        assert!(uneven.blocks().is_err());
    }

    #[test]
    fn an_answer_comes_out_as_it_went_in_and_says_like_things_once() {
        let parts = [Part::Whole, Part::Whole, Part::None, Part::Bytes(1), Part::Bytes(700)];
        let answer = HoldsResponse::tell(parts);
        assert_eq!(answer.runs, [1, 2, 0, 1, 2, 1, 701, 1]);
        assert_eq!(answer.parts(5).collect::<Vec<_>>(), parts);
        assert_eq!(answer.parts(6).last(), Some(Part::None), "what is not told is not held");
        assert_eq!(answer.parts(2).count(), 2);
        let endless = HoldsResponse { runs: vec![1, u64::MAX] };
        assert_eq!(endless.parts(3).count(), 3);
        assert_eq!([Part::Whole.of(9), Part::Bytes(700).of(9), Part::None.of(9)], [9, 9, 0]);
    }
}
