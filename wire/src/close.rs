//! Close codes, and which of them may cross the wire (RFC 6455 section 7.4).

/// Normal closure.
pub const NORMAL: u16 = 1000;
/// The endpoint goes away: shutdown, drain.
pub const GOING_AWAY: u16 = 1001;
/// The peer broke the protocol.
pub const PROTOCOL_ERROR: u16 = 1002;
/// The peer sent data of a kind that cannot be accepted.
pub const UNSUPPORTED_DATA: u16 = 1003;
/// Only inside an endpoint: a Close frame without a code came. Never on the wire.
pub const NO_STATUS: u16 = 1005;
/// Only inside an endpoint: the connection ended without a Close frame. Never on the wire.
pub const ABNORMAL: u16 = 1006;
/// Text that is not UTF-8.
pub const INVALID_PAYLOAD: u16 = 1007;
/// The peer broke a rule of ours (a bad first message, too many symbols).
pub const POLICY_VIOLATION: u16 = 1008;
/// A message is too big.
pub const MESSAGE_TOO_BIG: u16 = 1009;
/// We failed.
pub const INTERNAL_ERROR: u16 = 1011;
/// We restart: come again.
pub const SERVICE_RESTART: u16 = 1012;
/// Overloaded: the client is too slow, or there are too many.
pub const TRY_AGAIN_LATER: u16 = 1013;
/// The server behind the gateway failed.
pub const BAD_GATEWAY: u16 = 1014;

/// Whether a Close frame may carry this code: 1000..=1003, 1007..=1014, 3000..=4999.
#[must_use]
pub fn is_lawful(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// What a code means, in a few words.
#[must_use]
pub fn word(code: u16) -> &'static str {
    match code {
        NORMAL => "normal",
        GOING_AWAY => "going away",
        PROTOCOL_ERROR => "protocol error",
        UNSUPPORTED_DATA => "unsupported data",
        NO_STATUS => "no code given",
        ABNORMAL => "broken",
        INVALID_PAYLOAD => "invalid payload",
        POLICY_VIOLATION => "policy violation",
        MESSAGE_TOO_BIG => "message too big",
        INTERNAL_ERROR => "internal error",
        SERVICE_RESTART => "service restart",
        TRY_AGAIN_LATER => "try again later",
        BAD_GATEWAY => "bad gateway",
        3000..=3999 => "registered by a library",
        4000..=4999 => "of the application",
        _ => "reserved",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_codes_never_cross_the_wire() {
        for code in [0, 999, 1004, NO_STATUS, ABNORMAL, 1015, 1016, 2999, 5000, u16::MAX] {
            assert!(!is_lawful(code), "{code}");
        }
        for code in [NORMAL, GOING_AWAY, INVALID_PAYLOAD, TRY_AGAIN_LATER, BAD_GATEWAY, 3000, 4999] {
            assert!(is_lawful(code), "{code}");
        }
    }
}
