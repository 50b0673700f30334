//! Percent-decoding (RFC 3986 section 2.1), in the one way every room reads it.

/// The value of the two hexadecimal digits at the front, if there are two.
pub fn hex_pair(bytes: &[u8]) -> Option<u8> {
    let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    Some((digit(0)? * 16 + digit(1)?) as u8)
}

/// Decodes each `%XX` once; anything else stays as it is.
pub fn percent_decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        match (first, hex_pair(tail)) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                decoded.push(*first);
                rest = tail;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pair_is_decoded_once() {
        for (given, decoded) in
            [("a%2Fb", "a/b"), ("%252f", "%2f"), ("%", "%"), ("%2", "%2"), ("%zz", "%zz"), ("%+1", "%+1")]
        {
            assert_eq!(percent_decode(given.as_bytes()), decoded.as_bytes(), "{given}");
        }
    }
}
