//! An allocator that counts what it holds for the thread that asks, so that tests beside each other do not disturb it.
// An allocator that counts can only be written with `unsafe`; it passes everything on to the system's.
#![allow(unsafe_code, dead_code, unreachable_pub, reason = "a part of several tests")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

fn count(bytes: usize, sign: isize) {
    HELD.set(HELD.get() + sign * isize::try_from(bytes).unwrap_or(0));
}

// tidy: an allocator that counts has no safe form
// SAFETY: every call goes to the system's allocator unchanged; counting touches thread-local numbers only.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        count(layout.size(), 1);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: `ptr` came from the system's allocator with this layout.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that this thread took from the system and did not give back.
pub fn held() -> usize {
    usize::try_from(HELD.get()).unwrap_or(0)
}

/// How often this thread took some.
pub fn allocations() -> usize {
    ALLOCATIONS.get()
}
