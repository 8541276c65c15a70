//! What is decoded: texts as litecord's components send them.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

pub(crate) const HEARTBEAT: &str = r#"{"op":2}"#;
/// As deployed clients send it.
pub(crate) const HEARTBEAT_S: &str = r#"{"op":2,"s":17}"#;

pub(crate) const WHAT: &str = "GUILD_MEMBER";
pub(crate) const ARGS: &str = r#"[81384788765712384,"ada",true]"#;
pub(crate) const NONCE: u64 = 17;
pub(crate) const REQUEST: &str =
    r#"{"op":4,"w":"GUILD_MEMBER","a":[81384788765712384,"ada",true],"n":17}"#;
pub(crate) const REQUEST_OTHER_ORDER: &str =
    r#"{"n":17,"a":[81384788765712384,"ada",true],"w":"GUILD_MEMBER","op":4}"#;
pub(crate) const REQUEST_PRETTY: &str = r#"{
  "op": 4,
  "w": "GUILD_MEMBER",
  "a": [
    81384788765712384,
    "ada",
    true
  ],
  "n": 17
}"#;
/// The same word, one letter of it as an escape.
pub(crate) const REQUEST_ESCAPE: &str =
    r#"{"op":4,"w":"GUILD\u005fMEMBER","a":[81384788765712384,"ada",true],"n":17}"#;

/// What a response of 4 KiB says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Member {
    user: User,
    nick: Option<String>,
    roles: Vec<Role>,
    joined_at: String,
    premium_since: Option<String>,
    deaf: bool,
    mute: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct User {
    id: String,
    username: String,
    avatar: Option<String>,
    bot: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Role {
    id: u64,
    name: String,
    position: u32,
}

/// Members of a guild, about 4 KiB of compact JSON; `name` is what each nick starts with.
pub(crate) fn members(name: &str) -> Vec<Member> {
    let mut members = Vec::new();
    while serde_json::to_string(&members).unwrap().len() < 4096 {
        let at = u32::try_from(members.len()).unwrap();
        let role = |of: u32| Role {
            id: 41_771_983_423_143_936 + u64::from(of) * 1_000_003,
            name: ["Admins", "Moderators", "Friends of the house"][of as usize % 3].into(),
            position: of * 7 % 40,
        };
        let mut avatar = String::new();
        write!(avatar, "{:032x}", 0x8342_7290_96ea_3675_4420_2738_1ff5_0dfe_u128 >> at).unwrap();
        members.push(Member {
            user: User {
                id: (80_351_110_224_678_912 + u64::from(at) * 65_537).to_string(),
                username: ["nelly", "mason.bee", "a_rather_long_username"][members.len() % 3]
                    .into(),
                avatar: (at % 4 != 1).then_some(avatar),
                bot: at % 5 == 4,
            },
            nick: (at % 3 != 2).then(|| format!("{name}{at}")),
            roles: (0..at % 4).map(role).collect(),
            joined_at: format!("2015-04-{:02}T06:26:56.936000+00:00", at % 28 + 1),
            premium_since: None,
            deaf: false,
            mute: at % 7 == 3,
        });
    }
    members
}

/// The response that says so.
pub(crate) fn response(result: &str) -> String {
    format!(r#"{{"op":5,"n":17,"r":{result}}}"#)
}
