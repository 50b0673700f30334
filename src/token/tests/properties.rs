//! Whatever text comes as a token: no panic, and nothing but the token itself is one.

use super::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn any_text_ends_in_a_verdict(text in "[A-Za-z0-9_.=+/-]{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let keys = set(Algorithm::Hs256);
        let odd = URL_SAFE_NO_PAD.encode(&bytes);
        for text in [text.clone(), format!("{odd}.{odd}.{odd}"), format!("{text}.{odd}.")] {
            prop_assert!(verify(&text, &keys).is_err());
        }
    }

    /// One character changed, put in or taken out anywhere is another token, and none.
    #[test]
    fn nothing_but_the_token_is_one(at in any::<prop::sample::Index>(), letter in "[A-Za-z0-9_.=+/ -]", how in 0..3u8) {
        let keys = set(Algorithm::Hs256);
        let token = sign(&claims(), &keys).unwrap();
        prop_assert!(verify(&token, &keys).is_ok());
        let (before, after) = token.split_at(at.index(token.len()));
        let changed = match how {
            0 => format!("{before}{letter}{}", &after[1..]),
            1 => format!("{before}{letter}{after}"),
            _ => format!("{before}{}", &after[1..]),
        };
        prop_assert!(changed == token || verify(&changed, &keys).is_err(), "{}", changed);
    }

    /// Genuine signatures over any JSON: what is missing or odd in it is an error, never a panic.
    #[test]
    fn signed_nonsense_is_no_token(
        name in prop::sample::select(vec!["iss", "aud", "sub", "client_id", "iat", "exp", "jti", "secret_version", "scope"]),
        value in prop_oneof![
            any::<i64>().prop_map(|number| json!(number)),
            any::<f64>().prop_map(|number| json!(number)),
            ".{0,20}".prop_map(|text| json!(text)),
            any::<bool>().prop_map(|it| json!(it)),
            Just(json!([])),
            Just(json!({"a": 1})),
            Just(json!(null)),
        ],
    ) {
        let keys = set(Algorithm::Hs256);
        let mut payload = wire();
        payload[name] = value;
        if let Ok(claims) = verify(&forge(&keys, &header(&keys).to_string(), &payload.to_string()), &keys) {
            prop_assert_eq!(claims.client_id.as_str(), payload["sub"].as_str().unwrap());
        }
    }
}
