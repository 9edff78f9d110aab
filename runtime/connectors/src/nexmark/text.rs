//! The words that nexmark events are written with.

use crate::random::RandomStream;
use std::sync::Arc;

pub(super) const FIRST_NAMES: [&str; 11] =
    ["Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"];
pub(super) const LAST_NAMES: [&str; 9] =
    ["Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"];
pub(super) const CITIES: [&str; 10] = [
    "Phoenix",
    "Los Angeles",
    "San Francisco",
    "Boise",
    "Portland",
    "Bend",
    "Redmond",
    "Seattle",
    "Kent",
    "Cheyenne",
];
pub(super) const STATES: [&str; 6] = ["AZ", "CA", "ID", "OR", "WA", "WY"];
const HOT_CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];
pub(super) const HOT_CHANNEL_COUNT: u64 = HOT_CHANNELS.len() as u64;
pub(super) const COLD_CHANNEL_COUNT: u64 = 10_000;

/// Letters of a pool; small enough to stay in a core's cache. A power of two.
pub(super) const POOL: usize = 1 << 18;
/// The longest text that is cut out of a pool.
const LONGEST: usize = 1024;

/// Texts that depend on the seed alone. Long values are cut out of pools of random letters: random enough to be
/// told apart, and as fast as copying.
pub(super) struct Vocabulary {
    /// letters, one in 13 a space: `POOL + LONGEST` bytes
    pub words: Vec<u8>,
    /// letters without spaces: `POOL + LONGEST` bytes
    pub letters: Vec<u8>,
    /// name and URL: first the hot ones
    pub channels: Vec<(String, String)>,
}

impl Vocabulary {
    pub fn of_seed(seed: u64) -> Arc<Vocabulary> {
        let pool = |name: &str, spaces: bool| -> Vec<u8> {
            let (letter, space) =
                (RandomStream::new(seed, name), RandomStream::new(seed, &format!("{name}.space")));
            let at = |n: u64| match spaces && space.below(n, 13) == 0 {
                true => b' ',
                false => b'a' + letter.below(n, 26) as u8,
            };
            (0..(POOL + LONGEST) as u64).map(at).collect()
        };
        let (words, letters) = (pool("words", true), pool("letters", false));
        let channels = channels(seed, &letters);
        Arc::new(Vocabulary { words, letters, channels })
    }
}

fn channels(seed: u64, letters: &[u8]) -> Vec<(String, String)> {
    let stream = RandomStream::new(seed, "channels");
    let mut position = 0;
    let mut part = || {
        let (start, length) =
            (stream.below(position, POOL as u64) as usize, 3 + stream.below(position + 1, 3) as usize);
        position += 2;
        String::from_utf8_lossy(&letters[start..start + length]).into_owned()
    };
    let mut url = || format!("https://www.nexmark.com/{}/{}/{}/item.htm?query=1", part(), part(), part());
    let mut channels: Vec<(String, String)> =
        HOT_CHANNELS.iter().map(|name| (name.to_string(), url())).collect();
    let with_id = RandomStream::new(seed, "channel.id");
    for channel in 0..COLD_CHANNEL_COUNT {
        let mut url = url();
        if with_id.below(channel, 10) > 0 {
            let id = (channel as u32).reverse_bits().cast_signed().unsigned_abs();
            url.push_str(&format!("&channel_id={id}"));
        }
        channels.push((format!("channel-{channel}"), url));
    }
    channels
}
