//! Links the lower floors without std. It is built, never run: see `xtask/src/no_std.rs`.

#![no_std]

use core::alloc::{GlobalAlloc, Layout};
use core::panic::PanicInfo;
use core::ptr;
use core::slice;

use coracle_engine::limits::MAX_DATAGRAM;
use coracle_engine::{Config, Endpoint, Instant, Path, Received};
use coracle_formats::link_format::Links;
use coracle_wire::Message;

/// An allocator that has nothing to give.
struct Empty;

// SAFETY: a null pointer is the answer of an allocator that is exhausted, and there is nothing to give back.
unsafe impl GlobalAlloc for Empty {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Empty = Empty;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

/// Calls into each floor, so that the linker keeps them.
///
/// # Safety
/// `datagram` points to `length` bytes that can be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probe(datagram: *const u8, length: usize, micros: u64) -> usize {
    // SAFETY: the caller vouches for the pointer and the length.
    let datagram = unsafe { slice::from_raw_parts(datagram, length) };
    let mut endpoint = Endpoint::new(Config::default(), [0; 32]);
    let now = Instant::from_micros(micros);
    let path = Path::to(([127, 0, 0, 1], 5683).into());
    let links = match endpoint.handle_datagram(now, path, datagram) {
        Received::Request(_, request) => {
            Links::from_bytes(request.payload).map_or(0, |links| links.iter().count())
        }
        _ => Message::parse(datagram).map_or(0, |message| message.payload.len()),
    };
    endpoint.handle_timeout(now);
    let mut buffer = [0; MAX_DATAGRAM];
    let sent = endpoint
        .poll_transmit(now, &mut buffer)
        .map_or(0, |transmit| transmit.len);
    links + sent
}
