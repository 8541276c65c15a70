//! Proves that the codecs need no std: this library brings what std would, and uses them.
#![no_std]

extern crate alloc;

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
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

/// How long delimchat's packets are, a draft among them, decoded and encoded again.
#[unsafe(no_mangle)]
pub extern "C" fn delimchat_len() -> usize {
    use delimchat::draft::{ClientDraftKind, DraftIds, FromClient};
    let config = delimchat::CodecConfig::default();
    let Ok(ids) = DraftIds::new().client(ClientDraftKind::Ban, delimchat::PacketId(41)) else {
        return 0;
    };
    let mut decoder = delimchat::Decoder::<FromClient>::with_drafts(config, ids);
    let mut input = &b"\x29\xFFeve\xFF\xFF05\xFF\xFF\xFF\xFF\0\xA0\xFF0000ECHO\xFFaGk=\0"[..];
    let mut wire = alloc::vec::Vec::new();
    while let Ok(Some(packet)) = decoder.decode(&mut input) {
        let _ = packet.encode(&ids, &config, &mut wire);
    }
    wire.len()
}

/// How long a litecord message is, decoded and encoded again.
#[unsafe(no_mangle)]
pub extern "C" fn litecord_len() -> usize {
    let config = litecord::CodecConfig::default();
    let mut wire = alloc::vec::Vec::new();
    let text = r#"{"n":null,"a":[1.0],"op":4,"w":"\u0041SK"}"#;
    if let Ok(message) = litecord::ClientMessage::from_json(text, &config) {
        let _ = message.encode(&config, &mut wire);
    }
    wire.len()
}

/// How long an emagine message is, decoded and encoded again.
#[unsafe(no_mangle)]
pub extern "C" fn emagine_len() -> usize {
    let config = emagine::CodecConfig::default();
    let mut wire = alloc::vec::Vec::new();
    let text = r#"{"user":"\u0041da","op":1,"message":[1.0]}"#;
    if let Ok(message) = emagine::ServerMessage::from_json(text, &config) {
        let _ = message.encode(&config, &mut wire);
    }
    wire.len()
}

/// How long a batch of roomvars is, decoded and encoded again.
#[unsafe(no_mangle)]
pub extern "C" fn roomvars_len() -> usize {
    let config = roomvars::CodecConfig::default();
    let text = "{\"kind\":\"set\",\"variable\":\"x\",\"value\":\"1\"}\n{\"kind\":\"n\\u0065ws\"}";
    let mut wire = alloc::vec::Vec::new();
    let mut writer = roomvars::BatchWriter::new(&config, &mut wire);
    for message in roomvars::Batch::new(text, &config).flatten() {
        let _ = writer.push(&message);
    }
    wire.len()
}

/// The number of frames that a bingo client's first words decode to.
#[unsafe(no_mangle)]
pub extern "C" fn bingo_frames() -> usize {
    use bingo::{ClientMessage, CodecConfig, Decoder, Identification, MessageId};
    let config = CodecConfig::default();
    let mut wire = alloc::vec::Vec::new();
    let who = ClientMessage::Identification(Identification::new("9f2c", "Ada"));
    if who.encode(MessageId(0), &config, &mut wire).is_err() {
        return 0;
    }
    let mut decoder = Decoder::new(config);
    let mut input = &wire[..];
    let mut frames = 0;
    while let Ok(Some(frame)) = decoder.decode(&mut input) {
        frames += usize::from(ClientMessage::decode(frame, &config).is_ok());
    }
    frames
}
