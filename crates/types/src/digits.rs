//! Decimal digits, two at a time, into a buffer on the stack.

/// "00" to "99".
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let (mut tens, mut at) = (b'0', 0);
    while at < 100 {
        let mut ones = b'0';
        while ones <= b'9' {
            pairs[at] = [tens, ones];
            ones += 1;
            at += 1;
        }
        tens += 1;
    }
    pairs
};

/// The two digits of a number below 100.
pub(crate) fn pair(value: u32) -> [u8; 2] {
    let index = usize::try_from(value).unwrap_or(0);
    PAIRS.get(index).copied().unwrap_or([b'0'; 2])
}

/// The digits of one number; a zero has one.
pub(crate) struct Digits {
    /// Of the largest 128-bit number there are 39.
    bytes: [u8; 40],
    start: usize,
}

impl Digits {
    pub(crate) fn of(value: u128) -> Self {
        // 64-bit division is several times cheaper, and most values fit.
        const CHUNK: u128 = 10_000_000_000_000_000_000;
        let mut digits = Self {
            bytes: [b'0'; 40],
            start: 40,
        };
        let mut rest = value;
        while rest > u128::from(u64::MAX) {
            let end = digits.start - 19;
            digits.prepend(u64::try_from(rest % CHUNK).unwrap_or(0));
            // The zeros within the number.
            digits.start = end;
            rest /= CHUNK;
        }
        digits.prepend(u64::try_from(rest).unwrap_or(0));
        digits
    }

    fn prepend(&mut self, mut rest: u64) {
        let mut at = self.start;
        while rest >= 100 {
            at -= 2;
            self.put(at, pair(u32::try_from(rest % 100).unwrap_or(0)));
            rest /= 100;
        }
        let [tens, ones] = pair(u32::try_from(rest).unwrap_or(0));
        at -= 1;
        if let Some(slot) = self.bytes.get_mut(at) {
            *slot = ones;
        }
        if rest >= 10 {
            at -= 1;
            if let Some(slot) = self.bytes.get_mut(at) {
                *slot = tens;
            }
        }
        self.start = at;
    }

    fn put(&mut self, at: usize, two: [u8; 2]) {
        if let Some(slot) = self.bytes.get_mut(at..at + 2) {
            slot.copy_from_slice(&two);
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_number() {
        let mut value: u128 = 1;
        for _ in 0..128 {
            for near in [value - 1, value, value / 3, value / 10 * 10] {
                let text = String::from_utf8_lossy(Digits::of(near).as_bytes()).into_owned();
                assert_eq!(text, near.to_string());
            }
            value = value.wrapping_mul(2);
            if value == 0 {
                break;
            }
        }
        for value in [
            u128::MAX,
            10_u128.pow(19),
            10_u128.pow(38),
            10_u128.pow(19) * 7 + 5,
        ] {
            let text = String::from_utf8_lossy(Digits::of(value).as_bytes()).into_owned();
            assert_eq!(text, value.to_string());
        }
    }
}
