//! `roomvars_session`: a client, or a connection of a hub, under any calls. The first byte is settings,
//! the second a number that decides what the peer says; then comes a script of calls (see
//! `conformance::script`).

use std::sync::Arc;
use std::time::Duration;

use roomvars_proto::{ClientConfig, CodecConfig, Dialect, HubConfig, Limits, Message, RateLimit};

use crate::Numbers;
use crate::fuzz::Input;
use crate::roomvars::{RoomvarsClient, RoomvarsHub, handshake, some_message};

/// The first byte.
struct Settings(u8);

impl Settings {
    const OF_HUB: u8 = 1;
    const READY: u8 = 2;
    const TIGHT: u8 = 4;
    const PACED: u8 = 8;
    const MERGED: u8 = 16;

    fn is(&self, flag: u8) -> bool {
        self.0 & flag != 0
    }

    fn dialect(&self) -> Dialect {
        [Dialect::Documented, Dialect::Deployed2020, Dialect::Scratch][usize::from(self.0 >> 5) % 3]
    }

    fn limits(&self) -> Limits {
        let limits = Limits::default();
        if self.is(Self::TIGHT) {
            limits.max_value(20).max_name(8).max_scratch_variables(3)
        } else {
            limits
        }
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::default()
            .codec(CodecConfig::default().dialect(self.dialect()))
            .limits(self.limits())
            .merge_sets(self.is(Self::MERGED));
        if self.is(Self::PACED) {
            config = config.rate_limit(RateLimit::per_second(2));
        }
        if self.is(Self::TIGHT) {
            config = config.max_transmit_bytes(200).max_events(2).max_event_bytes(30);
            config.codec = config.codec.max_server_message(500);
        }
        config
    }

    fn hub(&self) -> HubConfig {
        let mut config = HubConfig::default().limits(self.limits()).max_connections(2);
        if self.is(Self::PACED) {
            config = config.flush_interval(Duration::from_millis(20));
        }
        if self.is(Self::TIGHT) {
            config = config.max_untaken(60).max_batch_bytes(100).max_client_message(200);
            config = config.max_rooms(1).rate_limit(RateLimit::per_second(30));
        }
        config
    }
}

/// No panic; the order of polls makes no difference; nothing changes after the end; memory stays under
/// the formula.
pub fn session(fuzz: &[u8]) {
    let mut input = Input(fuzz);
    let settings = Settings(input.byte());
    let mut numbers = Numbers::new(input.byte().into());
    let (dialect, ready) = (settings.dialect(), settings.is(Settings::READY));
    let (of_hub, tight) = (settings.is(Settings::OF_HUB), settings.is(Settings::TIGHT));
    let mut stream: Vec<Message> = Vec::new();
    if of_hub && !ready {
        stream.push(handshake(dialect, "ada"));
    }
    stream.extend((0..40).map(|_| some_message(!of_hub, dialect, &mut numbers)));
    if of_hub {
        let config = Arc::new(settings.hub());
        crate::fuzz::session(&RoomvarsHub { config, dialect, ready }, input.0, &stream, tight);
    } else {
        let config = Arc::new(settings.client());
        // What is merged depends on the driver's pace.
        let tight = tight || config.merge_sets;
        crate::fuzz::session(&RoomvarsClient { config, ready }, input.0, &stream, tight);
    }
}

/// Every setting, under three scripts of calls.
pub(super) fn seeds() -> Vec<(String, Vec<u8>)> {
    let scripts: [&[u8]; 3] = [
        &[0x08, 0x0D, 0x10, 0x25, 0x44, 0x18, 0x7D, 0x08, 0x54, 0xF6],
        &[0xC8, 0x05, 0x35, 0x07, 0xFE, 0x84, 0x20, 0xFE],
        &[0x20, 0x0D, 0x0D, 0x0D, 0x24, 0x18, 0x84, 0x65, 0x55, 0x74, 0x07, 0xFF],
    ];
    let mut seeds = Vec::new();
    for flags in 0..96_u8 {
        let script = scripts[usize::from(flags % 3)];
        seeds.push((
            format!("settings-{flags}"),
            [&[flags, flags.wrapping_mul(7)], script].concat(),
        ));
    }
    seeds
}
