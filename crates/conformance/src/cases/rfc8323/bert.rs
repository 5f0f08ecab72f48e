//! §6: what a block of BERT is.

use coracle_wire::BlockOption;

use crate::message::Received;
use crate::verdict::Judged;

/// The size exponent of BERT.
pub(super) const BERT: u8 = 7;

/// The number of the block behind one of so many bytes.
pub(super) fn next_after(block: BlockOption, length: usize) -> u32 {
    let blocks = u32::try_from(length / block.size()).unwrap_or(u32::MAX);
    block.num().saturating_add(blocks)
}

/// A block has the size that it says, or if it is one of BERT a multiple of 1,024 bytes; the last may be shorter.
pub(super) fn right_size(message: &Received, block: BlockOption) -> Judged {
    let length = message.payload.len();
    let right = match (block.szx() == BERT, block.more()) {
        (true, true) => length > 0 && length.is_multiple_of(1024),
        (true, false) => true,
        (false, true) => length == block.size(),
        (false, false) => length <= block.size(),
    };
    let section = "RFC 8323 §6; RFC 7959 §2.2";
    message.expect(right, "a block of the size that it says", section)?;
    Ok(())
}
