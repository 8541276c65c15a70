-- Wireshark's dissectors of bingo and delimchat, by crates/bingo-proto/SPEC.md and
-- crates/delimchat-proto/SPEC.md. README.md beside this tells how to install them.
--
-- For Lua 5.2 to 5.4, whichever Wireshark has.

-- What both protocols have in common ---------------------------------------------------------------

local tcp_stream = Field.new("tcp.stream")
local tcp_fin = Field.new("tcp.flags.fin")

-- A field of the innermost TCP segment; nil in the first pass of `tshark -2`, which makes none.
local function innermost(field)
  local all = { field() }
  return all[#all] and all[#all].value
end

local function connection_of(pinfo)
  local stream = innermost(tcp_stream)
  if stream then
    return stream
  end
  local ends =
    { tostring(pinfo.src) .. ":" .. pinfo.src_port, tostring(pinfo.dst) .. ":" .. pinfo.dst_port }
  table.sort(ends)
  return table.concat(ends, " ")
end

local CHARACTERS = {
  "^[\0-\x7F]",
  "^[\xC2-\xDF][\x80-\xBF]",
  "^\xE0[\xA0-\xBF][\x80-\xBF]",
  "^[\xE1-\xEC\xEE\xEF][\x80-\xBF][\x80-\xBF]",
  "^\xED[\x80-\x9F][\x80-\xBF]",
  "^\xF0[\x90-\xBF][\x80-\xBF][\x80-\xBF]",
  "^[\xF1-\xF3][\x80-\xBF][\x80-\xBF][\x80-\xBF]",
  "^\xF4[\x80-\x8F][\x80-\xBF][\x80-\xBF]",
}

-- Where a text stops being UTF-8, from 0; nil if it doesn't.
local function not_utf8(text)
  local at = 1
  while at <= #text do
    local rest, char = text:sub(at, at + 3), nil
    for _, pattern in ipairs(CHARACTERS) do
      char = char or rest:match(pattern)
    end
    if not char then
      return at - 1
    end
    at = at + #char
  end
end

local function snake_case(name)
  return (name:gsub("(%l)(%u)", "%1_%2"):lower())
end

-- An unsigned number of these bytes.
local function number(bytes, order)
  local value = 0
  if order == "little" then
    bytes = bytes:reverse()
  end
  for at = 1, #bytes do
    value = value * 256 + bytes:byte(at)
  end
  return value
end

-- What is wrong with what is read: a `kind`, which has an expert info of its name, and what was expected
-- at which byte.
local function wrong(kind, expected, at)
  error({ kind = kind, expected = expected, at = at }, 0)
end

-- More bytes are needed.
local function short()
  error({ short = true }, 0)
end

-- Whether `read` ends well, and what it gives, or the table that it ends with.
local function try(read, ...)
  local results = { pcall(read, ...) }
  if not results[1] and type(results[2]) ~= "table" then
    error(results[2], 0)
  end
  return table.unpack(results)
end

local ORDERS = { { 1, "Big-endian", 1 }, { 2, "Little-endian", 2 } }

local function configured_order(pref)
  return pref == 2 and "little" or "big"
end

local function copy(original)
  local copied = {}
  for name, value in pairs(original) do
    copied[name] = type(value) == "table" and copy(value) or value
  end
  return copied
end

-- Makes a dissector of a stream out of `read(data, at, sender, state, is_last)`, which gives what begins
-- at `at`, or nil if it isn't whole. `initial()` is what is to be known of each direction of a new
-- connection.
local function dissector_of(proto, experts, initial, read)
  local live, snapshots, again = {}, {}, {}

  -- What is known of a connection. Frames are shown again in any order, each from where it stood when it
  -- was seen first.
  local function connection_at(pinfo)
    local name = connection_of(pinfo)
    local key = pinfo.number .. " " .. name
    live[name] = live[name] or { client = initial(), server = initial() }
    -- A frame may come in several pieces: what is private goes with it.
    local mark = proto.name .. " " .. name
    local is_first = not pinfo.private[mark]
    pinfo.private[mark] = "seen"
    if not pinfo.visited or not snapshots[key] then
      snapshots[key] = snapshots[key] or copy(live[name])
      return live[name]
    end
    if is_first then
      again[name] = copy(snapshots[key])
    end
    return again[name]
  end

  local function show(found, tvb, at, tree)
    local root = tree:add(proto, tvb(at, found.length), found.title)
    for _, item in ipairs(found.items) do
      local range = item.decoded and item.decoded:tvb("Decoded")() or tvb(at + item.at, item.length)
      local parent = item.under and item.under.shown or root
      item.shown = item.value == nil and parent:add(item.field, range)
        or parent:add(item.field, range, item.value)
      if item.note then
        item.shown:append_text(" (" .. item.note .. ")")
      end
      if item.bad then
        item.shown:add_proto_expert_info(experts.bad_content, item.bad)
      end
    end
    if found.error then
      local text = "expected " .. found.error.expected .. " at byte " .. found.error.at
      root:add_proto_expert_info(experts[found.error.kind], text)
      root:append_text(", " .. found.error.kind .. ": " .. text)
    end
  end

  function proto.init()
    live, snapshots, again = {}, {}, {}
  end

  function proto.dissector(tvb, pinfo, tree)
    pinfo.cols.protocol = proto.name
    local sender = pinfo.src_port == pinfo.match_uint and "server" or "client"
    local data, at, said = tvb:raw(), 0, {}
    local connection = connection_at(pinfo)
    -- Nothing more comes in this direction.
    local is_last = innermost(tcp_fin)
    local all, ahead = {}, copy(connection)
    while at < #data do
      local found = read(data, at, sender, ahead[sender], is_last)
      if not found then
        break
      end
      found.at = at
      all[#all + 1] = found
      if found.learn then
        found.learn(ahead)
      end
      at = at + found.length
    end
    if at < #data then
      -- A malformed packet may be known by bytes that belong to what comes next. Wireshark hands over anew
      -- all that begins among bytes it had handed over before, so both wait until that is whole.
      for index = #all, 1, -1 do
        local found = all[index]
        if found.known_by and found.at + found.known_by >= at then
          at = found.at
        end
      end
      pinfo.desegment_offset = at
      pinfo.desegment_len = DESEGMENT_ONE_MORE_SEGMENT
    end
    for _, found in ipairs(all) do
      if found.at < at and found.items then
        show(found, tvb, found.at, tree)
        said[#said + 1] = found.error and found.error.kind or found.type
      end
      if found.at < at and found.learn then
        found.learn(connection)
      end
    end
    if #said > 0 then
      pinfo.cols.info:set(sender .. ": " .. table.concat(said, ", ") .. " ")
      -- One segment may end a packet that began earlier, and have others behind it.
      pinfo.cols.info:fence()
    end
  end
end

-- Ports are a preference.
local function serve_ports(proto)
  local served = ""
  local function serve()
    local ports = DissectorTable.get("tcp.port")
    if served ~= "" then
      ports:remove(served, proto)
    end
    served = proto.prefs.ports
    if served ~= "" then
      ports:add(served, proto)
    end
  end
  proto.prefs_changed = serve
  serve()
end

local function experts_of(proto, kinds)
  local experts = {}
  for kind, text in pairs(kinds) do
    local severity = kind == "bad_content" and expert.severity.WARN or expert.severity.ERROR
    experts[kind] =
      ProtoExpert.new(proto.name:lower() .. "." .. kind, text, expert.group.MALFORMED, severity)
  end
  local all = {}
  for _, one in pairs(experts) do
    all[#all + 1] = one
  end
  proto.experts = all
  return experts
end

local function register_fields(proto, fields)
  local all = {}
  for _, field in pairs(fields) do
    all[#all + 1] = field
  end
  proto.fields = all
end

-- bingo --------------------------------------------------------------------------------------------

local bingo = Proto("bingo", "Bingo")

-- Opcode, name, who sends it.
local OPCODES = {
  { 0x00, "Noop", "both" },
  { 0x01, "Identification", "client" },
  { 0x02, "Ready", "server" },
  { 0x03, "Ping", "server" },
  { 0x04, "Request", "both" },
  { 0x05, "Reply", "both" },
  { 0x06, "ErrorReply", "both" },
  { 0x07, "ProtocolError", "both" },
  { 0x08, "Event", "both" },
  { 0x09, "DataUpdate", "server" },
}

local bingo_experts = experts_of(bingo, {
  unknown_opcode = "Unknown opcode",
  payload_too_large = "Payload too large",
  unexpected_eof = "The stream ends inside a frame",
  wrong_direction = "Opcode of the other side",
  wrong_id_half = "Message id of the other side",
  reply_too_short = "No id of what is answered",
  payload_not_empty = "Payload that isn't empty",
  not_utf8 = "Not UTF-8",
  not_json = "Not JSON",
  not_an_object = "Not an object",
  too_deep = "Nested too deep",
  missing_key = "Missing key",
  not_a_string = "Not a string",
  duplicate_key = "Key twice",
})

local bf = {
  opcode = ProtoField.uint8("bingo.opcode", "Opcode", base.HEX),
  type = ProtoField.string("bingo.type", "Type"),
  message_id = ProtoField.uint16("bingo.message_id", "Message id", base.HEX),
  length = ProtoField.uint16("bingo.length", "Payload length", base.DEC),
  in_reply_to = ProtoField.uint16("bingo.in_reply_to", "In reply to", base.HEX),
  login = ProtoField.string("bingo.login", "Login"),
  username = ProtoField.string("bingo.username", "Username"),
  token = ProtoField.string("bingo.token", "Token"),
  token_hex = ProtoField.bytes("bingo.token_hex", "Token"),
  text = ProtoField.string("bingo.text", "Text"),
  payload = ProtoField.bytes("bingo.payload", "Payload"),
  rest = ProtoField.bytes("bingo.rest", "What can't be read any more"),
}
register_fields(bingo, bf)

bingo.prefs.ports = Pref.range("TCP ports", "4000", "Of servers", 65535)
bingo.prefs.byte_order = Pref.enum("Byte order", 1, "B1", ORDERS, false)
bingo.prefs.error_reply = Pref.enum(
  "ErrorReply",
  1,
  "B7: where the id is that it answers",
  { { 1, "Header", 1 }, { 2, "Payload", 2 } },
  false
)
bingo.prefs.max_payload = Pref.uint("max_payload", 65535, "B8")

local BY_OPCODE = {}
for _, row in ipairs(OPCODES) do
  BY_OPCODE[row[1]] = { name = row[2], sender = row[3] }
end

local ESCAPES =
  { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

-- A character as UTF-8.
local function character(code)
  local function tail(shift)
    return 0x80 + math.floor(code / shift) % 0x40
  end
  if code < 0x80 then
    return string.char(code)
  elseif code < 0x800 then
    return string.char(0xC0 + math.floor(code / 0x40), tail(1))
  elseif code < 0x10000 then
    return string.char(0xE0 + math.floor(code / 0x1000), tail(0x40), tail(1))
  end
  return string.char(0xF0 + math.floor(code / 0x40000), tail(0x1000), tail(0x40), tail(1))
end

local function skip_space(text, at)
  return text:match("^[ \t\r\n]*()", at)
end

-- Where this ends, which has to be there.
local function json_token(text, at, pattern, what)
  return text:match("^" .. pattern .. "()", at) or wrong("not_json", what, at - 1)
end

-- Where a string ends, and what it says, if that is text: surrogates may stand alone.
local function json_string(text, at)
  local said, is_text = {}, true
  at = json_token(text, at, '"', "a string")
  while text:sub(at, at) ~= '"' do
    local plain = text:match('^[^"\\\0-\31]+', at)
    if plain then
      said[#said + 1], at = plain, at + #plain
    else
      at = json_token(text, at, "\\", "no control character, and the string's end")
      local escape = ESCAPES[text:sub(at, at)]
      local digits = text:match("^u(%x%x%x%x)", at)
      if escape then
        said[#said + 1], at = escape, at + 1
      elseif digits then
        local code = tonumber(digits, 16)
        local low = text:match("^\\u([dD][c-fC-F]%x%x)", at + 5)
        at = at + 5
        if low and code >= 0xD800 and code < 0xDC00 then
          code, at = 0x10000 + (code - 0xD800) * 0x400 + tonumber(low, 16) - 0xDC00, at + 6
        end
        is_text = is_text and (code < 0xD800 or code > 0xDFFF)
        said[#said + 1] = is_text and character(code) or ""
      else
        wrong("not_json", "an escape", at - 1)
      end
    end
  end
  return at + 1, is_text and table.concat(said) or nil
end

-- Where a list of members ends, each of which `member` gives the end of.
local function json_members(text, at, close, level, member)
  if level > 128 then
    wrong("too_deep", "at most 128 levels", at - 1)
  end
  at = skip_space(text, at + 1)
  if text:sub(at, at) == close then
    return at + 1
  end
  while true do
    at = skip_space(text, member(skip_space(text, at)))
    if text:sub(at, at) == close then
      return at + 1
    end
    at = json_token(text, at, ",", "a comma or " .. close)
  end
end

-- Where the value ends that begins at `at`, its kind, and what a string says. `entry` is told of each key
-- and value of an object, and where they begin.
local function json_value(text, at, level, entry)
  local first = text:sub(at, at)
  if first == '"' then
    local stop, said = json_string(text, at)
    return stop, "string", said
  elseif first == "{" then
    local function member(start)
      local stop, key = json_string(text, start)
      stop = json_token(text, skip_space(text, stop), ":", "a colon")
      local value_start = skip_space(text, stop)
      local value_end, _, said = json_value(text, value_start, level + 1)
      if entry then
        entry(key, said, start, value_start)
      end
      return value_end
    end
    return json_members(text, at, "}", level, member), "object"
  elseif first == "[" then
    local function member(start)
      return (json_value(text, start, level + 1))
    end
    return json_members(text, at, "]", level, member), "array"
  end
  local word = text:match("^%l+", at)
  if word == "true" or word == "false" or word == "null" then
    return at + #word, "word"
  end
  local stop = text:match("^%-?0()", at) or json_token(text, at, "%-?[1-9]%d*", "a value")
  if text:sub(stop, stop) == "." then
    stop = json_token(text, stop + 1, "%d+", "a digit")
  end
  if text:match("^[eE]", stop) then
    stop = json_token(text, text:match("^[+-]?()", stop + 1), "%d+", "a digit")
  end
  return stop, "number"
end

-- The login and username of an Identification. Offsets of what is wrong are those of the payload.
local function identification(payload)
  local entries, places = {}, {}
  local bad = not_utf8(payload)
  if bad then
    wrong("not_json", "UTF-8", bad)
  end
  local start = skip_space(payload, 1)
  local stop, kind = json_value(payload, start, 1, function(key, said, at, value_at)
    if key == "login" or key == "username" then
      if places[key] then
        wrong("duplicate_key", key .. " once", at - 1)
      end
      entries[key], places[key] = said, value_at - 1
    end
  end)
  local behind = skip_space(payload, stop)
  if behind <= #payload then
    wrong("not_json", "nothing behind the value", behind - 1)
  elseif kind ~= "object" then
    wrong("not_an_object", "an object", start - 1)
  end
  for _, key in ipairs({ "login", "username" }) do
    if not places[key] then
      wrong("missing_key", "a " .. key, stop - 2)
    elseif not entries[key] then
      wrong("not_a_string", key .. " to be a text", places[key])
    end
  end
  return entries
end

-- Opcodes whose payload begins with the id of what is answered, as it is set.
local function has_prefix(name)
  return name == "Reply" or (name == "ErrorReply" and bingo.prefs.error_reply == 2)
end

-- Adds what a frame says to its items.
local function bingo_fields(data, row, sender, order, items)
  local function add(field, at, length, value)
    items[#items + 1] = { field = field, at = at, length = length, value = value }
  end
  local id = number(data:sub(2, 3), order)
  local names_other = row.name == "ErrorReply" and not has_prefix(row.name)
  add(names_other and bf.in_reply_to or bf.message_id, 1, 2, id)
  add(bf.length, 3, 2, #data - 5)
  if row.sender ~= "both" and row.sender ~= sender then
    wrong("wrong_direction", "an opcode that a " .. sender .. " may send", 0)
  end
  if (id < 0x8000) ~= ((sender == "client") ~= names_other) then
    wrong("wrong_id_half", id < 0x8000 and "an id from 8000" or "an id below 8000", 1)
  end
  local at = 5
  if has_prefix(row.name) then
    if #data < 7 then
      wrong("reply_too_short", "the 2 bytes of the id that is answered", 5)
    end
    add(bf.in_reply_to, 5, 2, number(data:sub(6, 7), order))
    at = 7
  end
  local payload = data:sub(at + 1)
  if row.name == "Ping" or (row.name == "ErrorReply" and sender == "client") then
    if payload ~= "" then
      wrong("payload_not_empty", "nothing", at)
    end
  elseif row.name == "Identification" then
    local good, entries = try(identification, payload)
    if not good then
      add(bf.payload, at, #payload)
      wrong(entries.kind, entries.expected, at + entries.at)
    end
    add(bf.login, at, #payload, entries.login)
    add(bf.username, at, #payload, entries.username)
  elseif row.name ~= "Reply" or payload ~= "" then
    local bad = not_utf8(payload)
    if bad and (row.name == "ErrorReply" or row.name == "ProtocolError") then
      add(bf.payload, at, #payload)
      wrong("not_utf8", "UTF-8", at + bad)
    end
    local is_token = row.name == "Ready"
    local field = is_token and (bad and bf.token_hex or bf.token) or (bad and bf.payload or bf.text)
    add(field, at, #payload)
  end
end

local function read_bingo(data, at, sender, state, is_last)
  local have = #data - at
  local items = {}
  local found = { length = have, title = "Bingo", items = items }

  local function add(field, start, length, value)
    items[#items + 1] = { field = field, at = start, length = length, value = value }
  end

  -- The rest of this direction can't be read.
  local function fatal(kind, expected, start)
    found.error = { kind = kind, expected = expected, at = start }
    found.learn = function(connection)
      connection[sender].is_lost = true
    end
    return found
  end

  if state.is_lost then
    add(bf.rest, 0, have)
    found.type = "lost"
    return found
  end
  local opcode = data:byte(at + 1)
  local row = BY_OPCODE[opcode]
  add(bf.opcode, 0, 1, opcode)
  if not row then
    return fatal("unknown_opcode", "an opcode", 0)
  end
  found.type = snake_case(row.name)
  found.title = "Bingo " .. row.name .. " of the " .. sender
  add(bf.type, 0, 1, found.type)
  if opcode == 0x00 then
    found.length = 1
    return found
  end
  local order = configured_order(bingo.prefs.byte_order)
  local length = have >= 5 and number(data:sub(at + 4, at + 5), order)
  if length and length > bingo.prefs.max_payload then
    return fatal("payload_too_large", "at most " .. bingo.prefs.max_payload .. " bytes", 3)
  end
  if not length or have < 5 + length then
    return is_last and fatal("unexpected_eof", "the rest of the frame", have) or nil
  end
  found.length = 5 + length
  local good, bad = try(bingo_fields, data:sub(at + 1, at + found.length), row, sender, order, items)
  if not good then
    found.error = bad
  end
  return found
end

dissector_of(bingo, bingo_experts, function()
  return { is_lost = false }
end, read_bingo)
serve_ports(bingo)

-- delimchat ----------------------------------------------------------------------------------------

local delimchat = Proto("delimchat", "Delimchat")

-- The table of SPEC.md, row by row.
local PACKETS = {
  { "S1",   0x01, "GuestUsername",             "username" },
  { "U2",   0x02, "Login",                     "username · b64 password · E" },
  { "S3",   0x03, "LoginResult",               "st U{01,02,03,06} st P{01,02,03,05} st E{01,02,03,05}" },
  { "S4",   0x04, "BadLogin",                  '"BAD"' },
  { "S5",   0x05, "MultipleEndpointsRefused",  '"BAD"' },
  { "U6",   0x06, "Register",                  "username · b64 password · text e-mail" },
  { "S7",   0x07, "RegisterResult",            "st U{01,02,03,07} st P{01,02,03,04,05} st E{01,02,03,05}" },
  { "S8",   0x08, "BadRegister",               '"BAD"' },
  { "S9",   0x09, "BadFirstPacket",            '"BAD"; the server closes' },
  { "U40",  0x28, "LogOff",                    '"BYE"' },
  { "U80",  0x50, "ShortMessage",              "cmid · room · b64 message" },
  { "S81",  0x51, "ShortMessageResult",        "cmid · st RID{01,02,03,08,09} st M{01,03,04,11,12}" },
  { "S82",  0x52, "BadShortMessage",           '"BAD"' },
  { "S83",  0x53, "ShortMessageDelivery",      "uid · room · username · text alias · b64 message" },
  { "U84",  0x54, "ShortMessageReceived",      "uid" },
  { "S85",  0x55, "UnknownReceipt",            "uid" },
  { "S86",  0x56, "BadReceipt",                '"BAD"' },
  { "U87",  0x57, "LongMessageHead",           "u32 TP · cmid · room · b64 message" },
  { "S88",  0x58, "LongMessageHeadResult",     "cmid · st TP{01,02,03} st RID{01,02,03,04} st M{01,02,03,04,05}" },
  { "S89",  0x59, "BadLongMessageHead",        '"BAD"' },
  { "S90",  0x5A, "ResendLongMessageHead",     "cmid" },
  { "U91",  0x5B, "LongMessageNext",           "u32 PN · cmid · b64 message" },
  { "S92",  0x5C, "LongMessageNextResult",     "cmid · st PN{01,02,03} st RID{01,02,03,04} st M{01,02,03,04,05}" },
  { "S93",  0x5D, "BadLongMessageNext",        '"BAD"' },
  { "S94",  0x5E, "ResendLongMessageNext",     "u32 PN · cmid" },
  { "S95",  0x5F, "LongMessageDeliveryHead",   "u32 TP · uid · room · b64 message" },
  { "S91",  0x5B, "LongMessageDeliveryNext",   "u32 PN · uid · b64 message (D10)" },
  { "U96",  0x60, "LongMessageReceived",       "uid" },
  { "S97",  0x61, "UnknownLongReceipt",        "uid8" },
  { "S98",  0x62, "BadLongReceipt",            '"BAD"' },
  { "U99",  0x63, "ResendDeliveryNext",        "u32 PN · uid8" },
  { "S100", 0x64, "ResendDeliveryResult",      "uid8 · st PN{01,02,03} st RID{01,02,03,04} st M{01,02,03,04,05} st A{00,01}" },
  { "S101", 0x65, "UnknownResend",             "u32 PN · uid" },
  { "S102", 0x66, "BadResend",                 '"BAD"' },
  { "U160", 0xA0, "JoinRoom",                  "room · b64 password, may be empty" },
  { "S161", 0xA1, "JoinRoomResult",            "room · st RID{01,02,03,08,09,10}" },
  { "S162", 0xA2, "UserJoined",                "room · username · text alias" },
  { "U163", 0xA3, "PartRoom",                  "room · text part message (D9)" },
  { "S164", 0xA4, "PartRoomResult",            "room · st RID{01,02,03,09}" },
  { "S165", 0xA5, "UserParted",                "room · username · text alias" },
  { "U166", 0xA6, "ChangeAlias",               "text new alias" },
  { "S167", 0xA7, "ChangeAliasResult",         "st ALIAS{01,02,03,07}" },
  { "S168", 0xA8, "AliasChanged",              "username · text old alias · text new alias" },
  { "U169", 0xA9, "InviteUser",                "room · username · text alias, may be empty: every endpoint" },
  { "S251", 0xFB, "PacketNotSupported",        '"PNS"' },
  { "U252", 0xFC, "SupportedPacketsRequest",   '"SP"' },
  { "S253", 0xFD, "ServerSupports",            "one packet id in each group, 1–n groups" },
  { "U254", 0xFE, "ClientSupports",            "one packet id in each group, 1–n groups" },
}

-- What the fields of a layout are called.
local NAMES = {
  ["cmid"] = "client_message_id",
  ["room"] = "room",
  ["uid"] = "unique_id",
  ["uid8"] = "unique_id_prefix",
  ["u32 TP"] = "remaining",
  ["u32 PN"] = "number",
  ["username"] = "username",
  ["E"] = "byte_order",
  ["b64 password"] = "password",
  ["b64 message"] = "message",
  ["text e-mail"] = "email",
  ["text alias"] = "alias",
  ["text old alias"] = "old_alias",
  ["text new alias"] = "new_alias",
  ["text part message"] = "part_message",
  ["one packet id in each group"] = "packets",
}
local STATUS_NAMES = {
  U = "username_status",
  P = "password_status",
  RID = "room_status",
  M = "message_status",
  TP = "remaining_status",
  PN = "number_status",
  ALIAS = "alias_status",
  A = "authorized",
}
local STATUSES = {
  [1] = "empty_field",
  [2] = "invalid",
  [3] = "okay",
  [4] = "bad_base64",
  [5] = "unchecked",
  [6] = "already_validated",
  [7] = "already_in_use",
  [8] = "not_authorized",
  [9] = "not_in_room",
  [10] = "already_in_room",
  [11] = "empty_message",
  [12] = "message_too_long",
}
-- In S88, S92 and S100.
local LONG_RESULTS = { S88 = true, S92 = true, S100 = true }
local LONG_STATUSES = { RID = { [4] = "not_authorized" }, M = { [5] = "empty_message" } }
-- D8: these may be written as decimal digits, too.
local SPELT = { [0x10] = 10, [0x11] = 11, [0x12] = 12 }
local WIDTHS = { u32 = 4, cmid = 4, room = 8, uid = 16, uid8 = 8 }
-- D1, D5.
local LIMITS =
  { username = 64, alias = 64, old_alias = 64, new_alias = 64, email = 254, b64 = 4000, byte_order = 1 }
local TEXT_LIMIT = 1024
local TOLD_APART = { U80 = true, U87 = true, U91 = true }
-- D7.
local MARKERS = { ["\1"] = "little", ["L"] = "little", ["\2"] = "big", ["B"] = "big" }

local delimchat_experts = experts_of(delimchat, {
  malformed = "Malformed packet",
  unknown_packet = "Unknown packet",
  message_too_long = "Message too long",
  unexpected_eof = "The stream ends inside a packet",
  bad_content = "Bad content",
})

local df = {
  id = ProtoField.uint8("delimchat.id", "Packet id", base.HEX),
  type = ProtoField.string("delimchat.type", "Type"),
  client_message_id = ProtoField.bytes("delimchat.client_message_id", "Client message id"),
  room = ProtoField.bytes("delimchat.room", "Room"),
  unique_id = ProtoField.bytes("delimchat.unique_id", "Unique id"),
  unique_id_prefix = ProtoField.bytes("delimchat.unique_id_prefix", "First half of the unique id"),
  remaining = ProtoField.uint32("delimchat.remaining", "Parts to come", base.DEC),
  number = ProtoField.uint32("delimchat.number", "Number of the part", base.DEC),
  username = ProtoField.string("delimchat.username", "Username"),
  byte_order = ProtoField.string("delimchat.byte_order", "Byte order"),
  password = ProtoField.string("delimchat.password", "Password (base64)"),
  message = ProtoField.string("delimchat.message", "Message (base64)"),
  email = ProtoField.string("delimchat.email", "E-mail address"),
  alias = ProtoField.string("delimchat.alias", "Alias"),
  old_alias = ProtoField.string("delimchat.old_alias", "Old alias"),
  new_alias = ProtoField.string("delimchat.new_alias", "New alias"),
  part_message = ProtoField.string("delimchat.part_message", "Part message"),
  packets = ProtoField.uint8("delimchat.packets", "Supported packet", base.DEC),
  username_status = ProtoField.string("delimchat.username_status", "Status of the username"),
  password_status = ProtoField.string("delimchat.password_status", "Status of the password"),
  byte_order_status = ProtoField.string("delimchat.byte_order_status", "Status of the byte order"),
  email_status = ProtoField.string("delimchat.email_status", "Status of the e-mail address"),
  room_status = ProtoField.string("delimchat.room_status", "Status of the room"),
  message_status = ProtoField.string("delimchat.message_status", "Status of the message"),
  remaining_status = ProtoField.string("delimchat.remaining_status", "Status of the parts to come"),
  number_status = ProtoField.string("delimchat.number_status", "Status of the number"),
  alias_status = ProtoField.string("delimchat.alias_status", "Status of the alias"),
  authorized = ProtoField.bool("delimchat.authorized", "Authorized"),
  text = ProtoField.string("delimchat.text", "Decoded"),
  payload = ProtoField.bytes("delimchat.payload", "Decoded"),
  raw = ProtoField.bytes("delimchat.raw", "Bytes"),
}
register_fields(delimchat, df)

delimchat.prefs.ports = Pref.range("TCP ports", "4004", "Of servers", 65535)
delimchat.prefs.byte_order = Pref.enum("Byte order", 1, "D6: before a Login that says", ORDERS, false)
delimchat.prefs.max_packet = Pref.uint("max_packet", 8192, "D5")

-- A field of a layout, as the table has it.
local function field_of(text, packet)
  local literal = text:match('^"(.-)"')
  if literal then
    return { kind = "literal", literal = literal }
  end
  local letter, values = text:match("^st (%u+){([%d,]+)}$")
  if letter then
    local name = STATUS_NAMES[letter] or (packet == "S3" and "byte_order_status" or "email_status")
    local special = LONG_RESULTS[packet] and LONG_STATUSES[letter] or {}
    local words = {}
    for value in values:gmatch("%d+") do
      words[tonumber(value)] = special[tonumber(value)] or STATUSES[tonumber(value)] or ""
    end
    return { kind = "status", name = name, words = words, values = values }
  end
  -- What is said of emptiness and numbers of decisions is no part of it.
  text = text:gsub(",.*", ""):gsub(" %(D%d+%)", "")
  local name = NAMES[text]
  local kind = name == "packets" and name or text:match("^%w+")
  return { kind = kind, name = name, most = LIMITS[name] or LIMITS[kind] or TEXT_LIMIT }
end

-- Packets by sender and id.
local BY_ID = { client = {}, server = {} }
for _, row in ipairs(PACKETS) do
  local groups = {}
  for group in (row[4] .. " · "):gmatch("(.-) · ") do
    local fields = {}
    for status in group:gmatch("st %u+{[%d,]+}") do
      fields[#fields + 1] = field_of(status, row[1])
    end
    groups[#groups + 1] = #fields > 0 and fields or { field_of(group, row[1]) }
  end
  local sender = row[1]:sub(1, 1) == "U" and "client" or "server"
  BY_ID[sender][row[2]] =
    { number = row[1], name = row[3], type = snake_case(row[3]), groups = groups }
end

-- What is wrong with content, if anything is.
local function bad_content(kind, content)
  if kind == "username" then
    return content:find("[^\x21-\x7E]") and "not printable ASCII"
  elseif kind == "text" then
    return not_utf8(content) and "not UTF-8"
  elseif kind == "E" then
    return not MARKERS[content] and "no byte order"
  elseif #content % 4 ~= 0 or not content:match("^[%w+/]*=?=?$") then
    return "not base64"
  end
  -- The last character before padding has bits that nothing is left for.
  local last, padding = content:match("(.)(=+)$")
  if padding and not (padding == "=" and "[AEIMQUYcgkosw048]" or "[AQgw]"):find(last, 1, true) then
    return "base64 with trailing bits"
  end
end

-- Takes a packet's fields off `data` at `start`; gives its length.
local function delimchat_fields(data, start, packet, order, items)
  local at, limit = 1, delimchat.prefs.max_packet

  -- The byte there, if it may be one of this packet.
  local function peek()
    if at >= limit then
      wrong("malformed", "its end, at most " .. limit .. " bytes in all", at)
    end
    return data:byte(start + at + 1) or short()
  end

  local function take(count)
    local from = at
    for _ = 1, count do
      peek()
      at = at + 1
    end
    return data:sub(start + from + 1, start + at)
  end

  local function expect(text, what)
    for i = 1, #text do
      if peek() ~= text:byte(i) then
        wrong("malformed", what, at)
      end
      at = at + 1
    end
  end

  local function add(field, from, value, extra)
    local item = { field = df[field], at = from, length = at - from, value = value }
    for key, more in pairs(extra or {}) do
      item[key] = more
    end
    items[#items + 1] = item
    return item
  end

  -- What comes before the next `00` or `FF`.
  local function delimited(field)
    local from = at
    local stop = data:find("[\0\xFF]", start + at + 1)
    local have = (stop or #data + 1) - (start + at + 1)
    if have > field.most and at + field.most < limit then
      local kind = TOLD_APART[packet.number] and "message_too_long" or "malformed"
      wrong(kind, "at most " .. field.most .. " bytes of " .. field.name, at + field.most)
    end
    at = math.min(at + have, limit)
    peek()
    return data:sub(start + from + 1, start + at)
  end

  local function add_content(field)
    local from = at
    local content = delimited(field)
    local bad = content ~= "" and bad_content(field.kind, content) or nil
    if field.kind == "E" then
      local word = MARKERS[content]
      add(field.name, from, word or content, { bad = bad })
      return word
    end
    local item = add(field.name, from, nil, { bad = bad })
    if field.kind == "b64" and content ~= "" and not bad then
      local payload = ByteArray.new(content, true):base64_decode()
      local said = not not_utf8(payload:raw(0, payload:len()))
      add(said and "text" or "payload", from, nil, { under = item, decoded = payload })
    end
  end

  local function add_status(field)
    local from, value = at, take(1):byte()
    local word = field.words[value] or field.words[SPELT[value]]
    if not word then
      wrong("malformed", "a " .. field.name .. " of " .. field.values, from)
    end
    if field.name == "authorized" then
      add(field.name, from, value == 1)
    else
      add(field.name, from, word)
    end
  end

  local function add_packets()
    repeat
      local from, id = at, take(1):byte()
      if id == 0x00 or id == 0xFF then
        wrong("malformed", "a packet id", from)
      end
      local row = BY_ID.client[id] or BY_ID.server[id]
      add("packets", from, id, { note = row and row.name })
      local next = peek()
      if next ~= 0x00 then
        expect("\xFF", "FF or 00")
      end
    until next == 0x00
  end

  local byte_order
  for index, group in ipairs(packet.groups) do
    -- D9: a part message may be missing with its FF.
    if group[1].name == "part_message" and peek() == 0x00 then
      break
    end
    expect("\xFF", "FF before group " .. index)
    for _, field in ipairs(group) do
      local from = at
      if field.kind == "literal" then
        expect(field.literal, '"' .. field.literal .. '"')
      elseif field.kind == "status" then
        -- D9: S7's last may have an FF of its own.
        if field.name == "email_status" and peek() == 0xFF then
          at = at + 1
        end
        add_status(field)
      elseif field.kind == "packets" then
        add_packets()
      elseif field.kind == "u32" then
        add(field.name, from, number(take(4), order))
      elseif WIDTHS[field.kind] then
        local text = take(WIDTHS[field.kind])
        add(field.name, from, nil, { note = text:match("^[%w]+$") })
      else
        byte_order = add_content(field) or byte_order
      end
    end
  end
  expect("\0", "00")
  return at, byte_order
end

local function read_delimchat(data, at, sender, state, is_last)
  -- D3: `00` where an id is expected is skipped.
  if data:byte(at + 1) == 0x00 and not state.is_dropping then
    return { length = 1 }
  end
  local id = data:byte(at + 1)
  local packet = BY_ID[sender][id]
  local items = {
    { field = df.id, at = 0, length = 1, value = id },
  }
  local found = { items = items, title = "Delimchat", type = "?" }
  local good, result, byte_order
  if state.is_dropping then
    result = { kind = "malformed", expected = "00, to go on behind it", at = 0, skip = 0 }
  elseif id == 0xFF then
    result = { kind = "malformed", expected = "a packet id", at = 0 }
  elseif not packet then
    result = { kind = "unknown_packet", expected = "an id that a " .. sender .. " may send", at = 0 }
  else
    found.type = packet.type
    found.title = "Delimchat " .. packet.number .. " " .. packet.name
    items[2] = { field = df.type, at = 0, length = 1, value = packet.type }
    good, result, byte_order = try(delimchat_fields, data, at, packet, state.order, items)
  end
  if good then
    found.length = result
    found.learn = function(connection)
      -- D6: whoever watches takes any Login with a byte order.
      if packet.number == "U2" and byte_order then
        connection.client.order = byte_order
      elseif packet.number == "S3" then
        connection.server.order = connection.client.order
      end
    end
    return found
  end
  if result.short then
    if not is_last then
      return nil
    end
    result = { kind = "unexpected_eof", expected = "the rest of the packet", at = #data - at }
  end
  -- It goes through the first `00` behind the id; behind its limit, if that is what is wrong (D3, D5).
  local behind = result.skip or (result.kind == "message_too_long" and result.at + 1) or 1
  local stop = data:find("\0", at + behind + 1, true)
  local limit = delimchat.prefs.max_packet
  local is_cut = not stop or stop - 1 - at > limit
  if is_cut and #data - at <= limit and not is_last then
    return nil
  end
  found.length = is_cut and math.min(limit, #data - at) or stop - at
  found.error = result
  found.known_by = math.max(result.at, is_cut and limit or stop - 1 - at)
  found.learn = function(connection)
    connection[sender].is_dropping = is_cut
  end
  -- What of it could be read, as far as it isn't in what comes next.
  for index = #items, 1, -1 do
    if items[index].at + items[index].length > found.length then
      table.remove(items, index)
    end
  end
  items[#items + 1] = { field = df.raw, at = 0, length = found.length }
  return found
end

dissector_of(delimchat, delimchat_experts, function()
  return { order = configured_order(delimchat.prefs.byte_order), is_dropping = false }
end, read_delimchat)
serve_ports(delimchat)
