//! Proves that the codecs need no std: this program has only what it brings itself, and reads and writes with all of
//! them.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ffi::c_int;
use core::panic::PanicInfo;

use smallwire::{bingo, delimchat, emagine, litecord, roomvars};

/// Hands out memory once and never takes it back.
struct Bump(UnsafeCell<(usize, [u8; 65_536])>);

// SAFETY: one thread uses it.
unsafe impl Sync for Bump {}

// SAFETY: every block lies within the array, is aligned, and overlaps none before.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (used, memory) = unsafe { &mut *self.0.get() };
        let start = memory.as_mut_ptr();
        let at = (start as usize + *used).next_multiple_of(layout.align()) - start as usize;
        if at + layout.size() > memory.len() {
            return core::ptr::null_mut();
        }
        *used = at + layout.size();
        unsafe { start.add(at) }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static MEMORY: Bump = Bump(UnsafeCell::new((0, [0; 65_536])));

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

// Of libc: what a compiler makes calls to, and a start.
#[link(name = "c")]
unsafe extern "C" {}

// What core and alloc were built to unwind with; nothing unwinds here.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() {}

/// A bit for each codec that didn't write what it had read.
#[unsafe(no_mangle)]
extern "C" fn main() -> c_int {
    let codecs = [bingo, litecord, emagine, roomvars, delimchat, delimchat_draft];
    codecs.iter().enumerate().map(|(at, works)| c_int::from(!works()) << at).sum()
}

fn bingo() -> bool {
    let config = bingo::CodecConfig::default();
    let input = b"\x08\x00\x07\x00\x02hi";
    let mut wire = Vec::new();
    let mut decoder = bingo::Decoder::new(config);
    let Ok(Some(frame)) = decoder.decode(&mut &input[..]) else { return false };
    let Ok(message) = bingo::ClientMessage::decode(frame, &config) else { return false };
    message.encode(bingo::MessageId(7), &config, &mut wire).is_ok() && wire == input
}

fn litecord() -> bool {
    let config = litecord::CodecConfig::default();
    let text = r#"{"op":4,"w":"ASK","a":[1.0],"n":null}"#;
    let mut wire = Vec::new();
    let message = litecord::ClientMessage::from_json(text, &config);
    message.is_ok_and(|message| message.encode(&config, &mut wire).is_ok())
        && wire == text.as_bytes()
}

fn emagine() -> bool {
    let config = emagine::CodecConfig::default();
    let text = r#"{"op":3,"message":{"hi":[1.0]}}"#;
    let mut wire = Vec::new();
    let message = emagine::ServerMessage::from_json(text, &config);
    message.is_ok_and(|message| message.encode(&config, &mut wire).is_ok())
        && wire == text.as_bytes()
}

fn roomvars() -> bool {
    let config = roomvars::CodecConfig::default();
    let text = "{\"kind\":\"set\",\"variable\":\"x\",\"value\":\"1\"}\n{\"kind\":\"set\",\"variable\":\"y\",\"value\":\"2\"}";
    let mut wire = Vec::new();
    let mut writer = roomvars::BatchWriter::new(&config, &mut wire);
    for message in roomvars::Batch::new(text, &config) {
        if !message.is_ok_and(|message| writer.push(&message).is_ok()) {
            return false;
        }
    }
    wire == text.as_bytes()
}

fn delimchat() -> bool {
    use delimchat::{CodecConfig, Decoder, FromClient};
    let config = CodecConfig::default();
    let input = b"\x50\xFF\0\0\0\x01\xFF0000ECHO\xFFaGk=\0";
    let mut wire = Vec::new();
    let mut decoder = Decoder::<FromClient>::new(config);
    let Ok(Some(packet)) = decoder.decode(&mut &input[..]) else { return false };
    packet.encode(&config, &mut wire).is_ok() && wire == input
}

fn delimchat_draft() -> bool {
    use delimchat::draft::{ClientDraftKind, DraftIds, FromClient};
    let config = delimchat::CodecConfig::default();
    let Ok(ids) = DraftIds::new().client(ClientDraftKind::Ban, delimchat::PacketId(41)) else {
        return false;
    };
    let input = b"\x29\xFFeve\xFFtoo loud\xFF\xFF\xFF7\xFF\xFF\0";
    let mut wire = Vec::new();
    let mut decoder = delimchat::Decoder::<FromClient>::with_drafts(config, ids);
    let Ok(Some(packet)) = decoder.decode(&mut &input[..]) else { return false };
    packet.encode(&ids, &config, &mut wire).is_ok() && wire == input
}
