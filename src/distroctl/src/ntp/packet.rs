//! The NTP packet of a client (RFC 5905 section 7.3 and 14, the subset of RFC 4330): 48 bytes, network byte order.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | leap (2 bits), version (3), mode (3) |
//! | 1 | 1 | stratum |
//! | 4, 8 | 4 each | root delay, root dispersion: seconds, 16.16 bits |
//! | 12 | 4 | reference id; of a refusal its reason, ASCII |
//! | 24, 32, 40 | 8 each | origin, receive, transmit timestamp: seconds since 1900, 32.32 bits |
//!
//! No authentication (MAC, NTS) and no extension fields.

/// Length of a packet without extensions.
pub(super) const LENGTH: usize = 48;

/// Version 4, mode 3 (client).
const CLIENT: u8 = 0x23;
const MODE_SERVER: u8 = 4;
const LEAP_UNKNOWN: u8 = 3;
/// Seconds from 1900 to 1970.
const UNIX_EPOCH: i64 = 2_208_988_800;
const NANOS: i64 = 1_000_000_000;
/// A server that is farther from its reference clock than that knows the time no better than we do (RFC 5905 MAXDIST).
const MAX_DISTANCE_NANOS: i64 = 1_500_000_000;

/// A server's answer that may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reply {
    /// When the request came there, nanoseconds since 1970.
    pub(super) receive: i64,
    /// When the answer left there.
    pub(super) transmit: i64,
    /// How far its time may be off: half the delay to its reference clock, and the dispersion. Nanoseconds.
    pub(super) distance: i64,
}

/// Why an answer is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is no answer to this request.
    Foreign,
    /// The server does not know the time.
    Unsynchronized,
    /// It wants to be asked less often.
    TooOften,
    /// It does not want to be asked.
    Denied,
}

/// A request. Its transmit timestamp is a random number, which the answer repeats: nobody who has not seen it can answer, and
/// it does not tell what time it is here.
pub(super) fn request(nonce: u64) -> [u8; LENGTH] {
    let mut packet = [0; LENGTH];
    packet[0] = CLIENT;
    packet[40..48].copy_from_slice(&nonce.to_be_bytes());
    packet
}

/// Reads the answer to the request with this number.
pub(super) fn read(packet: &[u8], nonce: u64) -> Result<Reply, Refusal> {
    let word = |at: usize| -> Option<u32> { Some(u32::from_be_bytes(packet.get(at..at + 4)?.try_into().ok()?)) };
    let fields = || {
        let [head, stratum, ..] = *packet else { return None };
        let long = |at: usize| Some((u64::from(word(at)?) << 32) | u64::from(word(at + 4)?));
        Some((head, stratum, word(4)?, word(8)?, word(12)?, long(24)?, long(32)?, long(40)?))
    };
    let (head, stratum, delay, dispersion, reference, origin, receive, transmit) = fields().ok_or(Refusal::Foreign)?;
    let (leap, version, mode) = (head >> 6, (head >> 3) & 7, head & 7);
    if mode != MODE_SERVER || !(1..=4).contains(&version) || origin != nonce {
        return Err(Refusal::Foreign);
    }
    if stratum == 0 {
        return Err(match &reference.to_be_bytes() {
            b"RATE" => Refusal::TooOften,
            b"DENY" | b"RSTR" => Refusal::Denied,
            _ => Refusal::Unsynchronized,
        });
    }
    let distance = short(delay) / 2 + short(dispersion);
    if leap == LEAP_UNKNOWN || stratum > 15 || transmit == 0 || receive == 0 || distance > MAX_DISTANCE_NANOS {
        return Err(Refusal::Unsynchronized);
    }
    Ok(Reply { receive: nanos(receive), transmit: nanos(transmit), distance })
}

/// Nanoseconds of seconds with 16.16 bits.
fn short(value: u32) -> i64 {
    (i64::from(value) * NANOS) >> 16
}

/// Nanoseconds since 1970. The seconds run over in 2036: numbers of the lower half are of the next era (RFC 4330 section 3).
fn nanos(timestamp: u64) -> i64 {
    let seconds = (timestamp >> 32) as i64;
    let era = if seconds < 1 << 31 { 1 << 32 } else { 0 };
    let fraction = ((timestamp & 0xffff_ffff) * NANOS as u64) >> 32;
    (seconds + era - UNIX_EPOCH) * NANOS + fraction as i64
}

/// The timestamp of a time: what a server writes.
#[cfg(test)]
pub(super) fn timestamp(nanos: i64) -> u64 {
    let seconds = (nanos.div_euclid(NANOS) + UNIX_EPOCH) as u32;
    let fraction = ((nanos.rem_euclid(NANOS) as u64) << 32) / NANOS as u64;
    (u64::from(seconds) << 32) | fraction
}

/// What a server answers.
#[cfg(test)]
pub(super) fn answer(request: &[u8], receive: i64, transmit: i64) -> Vec<u8> {
    let mut packet = vec![0x24, 2, 6, 0xec];
    packet.extend([0, 0, 0x10, 0, 0, 0, 0x08, 0, 127, 0, 0, 1]);
    packet.extend([0; 8]);
    packet.extend(&request[40..48]);
    packet.extend(timestamp(receive).to_be_bytes());
    packet.extend(timestamp(transmit).to_be_bytes());
    packet
}

#[cfg(test)]
mod tests {
    use super::{NANOS, Refusal, Reply, answer, read, request, timestamp};

    #[test]
    fn reads_an_answer() {
        let (receive, transmit) = (1_700_000_000 * NANOS + 250_000_000, 1_700_000_000 * NANOS + 500_000_000);
        let packet = answer(&request(77), receive, transmit);
        let distance = (1 << 12) * NANOS / 65536 / 2 + (1 << 11) * NANOS / 65536;
        assert_eq!(read(&packet, 77), Ok(Reply { receive, transmit, distance }));
        assert_eq!(read(&packet, 78), Err(Refusal::Foreign));
        assert_eq!(read(&packet[..47], 77), Err(Refusal::Foreign));
        let with = |at: usize, bytes: &[u8]| {
            let mut packet = packet.clone();
            packet[at..at + bytes.len()].copy_from_slice(bytes);
            read(&packet, 77)
        };
        assert_eq!(with(0, &[0x23]), Err(Refusal::Foreign));
        assert_eq!(with(0, &[0xe4]), Err(Refusal::Unsynchronized));
        assert_eq!(with(1, &[16]), Err(Refusal::Unsynchronized));
        assert_eq!(with(1, &[0]), Err(Refusal::Unsynchronized));
        assert_eq!(with(8, &[0, 2]), Err(Refusal::Unsynchronized));
        assert_eq!(with(40, &[0; 8]), Err(Refusal::Unsynchronized));
        let kiss = |reason: &[u8]| {
            let mut packet = packet.clone();
            packet[1] = 0;
            packet[12..16].copy_from_slice(reason);
            read(&packet, 77)
        };
        assert_eq!((kiss(b"RATE"), kiss(b"DENY")), (Err(Refusal::TooOften), Err(Refusal::Denied)));
    }

    #[test]
    fn knows_the_next_era() {
        // 2040-01-01.
        let later = 2_208_988_800 * NANOS;
        let packet = answer(&request(1), later, later);
        assert_eq!(read(&packet, 1).map(|reply| reply.transmit), Ok(later));
        assert_eq!(timestamp(0) >> 32, 2_208_988_800);
    }

    #[test]
    fn fuzz_ntp_packet() {
        let now = 1_700_000_000 * NANOS;
        let seed = answer(&request(0x4142_4344_4546_4748), now, now);
        fuzz::Fuzz::new("fuzz_ntp_packet").seed(seed).tokens(&["RATE", "DENY", "\u{24}", "ABCDEFGH"]).run(|input| {
            if let Ok(reply) = read(input, 0x4142_4344_4546_4748) {
                assert!(reply.distance >= 0 && reply.transmit.abs() < i64::MAX / 2, "{reply:?}");
            }
        });
    }
}
