//! Reading and writing messages allocates nothing.
// An allocator that counts can only be written with `unsafe`; it passes everything on to the system's.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use coracle_wire::{
    BlockOption, Csm, Framing, Message, MessageId, MessageType, MessageWriter, Method, OptionNumber, Token,
    Uri, check_option, frame_len,
};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// tidy: an allocator that counts has no safe form
// SAFETY: every call goes to the system's allocator unchanged; counting touches a thread-local number only.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: `ptr` came from the system's allocator with this layout.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(black_box(Box::new(1)))), 1);
}

#[test]
fn reading_and_writing_allocate_nothing() {
    let datagram = b"\x44\x01\x12\x34tokn\x39localhost\x84temp\x12\x01\x00\x41a\x61\x3a\xffpayload";
    let count = allocations(|| {
        let message = Message::parse(black_box(datagram)).unwrap();
        for option in message.options {
            check_option(option.number, option.value).unwrap();
        }
        assert_eq!(message.options.path().count(), 1);
        assert_eq!(message.options.get_str(OptionNumber::URI_HOST), Some("localhost"));
        assert_eq!(message.options.max_age(), 60);
        let mut buf = [0; 128];
        let len = message.encode(&mut buf).unwrap();
        assert_eq!(buf.get(..len), Some(&datagram[..]));

        let token = Token::new(message.token).unwrap();
        let block = BlockOption::new(3, true, 2).unwrap();
        let (kind, id) = (MessageType::Confirmable, MessageId(1));
        MessageWriter::new(&mut buf, kind, Method::PUT, id, token.as_bytes())
            .options(message.options)
            .option(OptionNumber::BLOCK1, &block.encode())
            .payload(message.payload)
            .finish()
            .unwrap();
        assert!(Message::parse(black_box(b"\x40\x01\x12\x34\xf0")).is_err());

        let frame = b"\x81\xe1T\x22\x10\x00\x20\x21\x28\xff!";
        assert_eq!(frame_len(black_box(&frame[..3])), Ok(Some(11)));
        let message = Message::parse_frame(Framing::Tcp, black_box(frame)).unwrap();
        assert_eq!(Csm::read(message.options).unwrap().max_message_size, Some(4096));
        let len = message.encode_frame(Framing::Tcp, &mut buf).unwrap();
        assert_eq!(buf.get(..len), Some(&frame[..]));
        assert!(Uri::parse(black_box("coap://[fe80::1%25eth0]:61616/a/b?c=d")).is_ok());
    });
    assert_eq!(count, 0);
}
