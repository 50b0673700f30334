//! The literal steps of a whole tree in one table, found by their parent and their text without case: what a step
//! costs depends neither on how many there are nor on how many siblings it has.

/// A literal step: from a parent, by a text, to a child.
#[derive(Debug)]
pub(super) struct LiteralStep {
    parent: u32,
    /// The node behind it.
    pub(super) child: u32,
    /// Decoded.
    text: Box<[u8]>,
}

impl LiteralStep {
    /// Whether the text is this one, in this case.
    pub(super) fn is(&self, text: &[u8]) -> bool {
        // No bytes are not compared; `Pattern::between` says why.
        self.text.len() == text.len() && (text.is_empty() || self.text.as_ref() == text)
    }
}

/// An open-addressed table, at most half full. It is built once and never changes.
#[derive(Debug)]
pub(super) struct Literals {
    steps: Box<[LiteralStep]>,
    /// Hashes and places in `steps`; a power of two of them.
    slots: Box<[Slot]>,
}

/// Kept beside the hash so that a slot that is passed over costs no look at its text.
#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u64,
    at: Option<u32>,
}

impl Literals {
    /// Of (parent, text, child).
    pub(super) fn new(steps: Vec<(u32, Box<[u8]>, u32)>) -> Self {
        let size = (steps.len() * 2 + 1).next_power_of_two();
        let mut slots = vec![Slot { hash: 0, at: None }; size];
        for (at, (parent, text, _)) in (0u32..).zip(&steps) {
            let hash = hash(*parent, text);
            let mut place = first(hash, size);
            while slots.get(place).is_some_and(|slot| slot.at.is_some()) {
                place = (place + 1) & (size - 1);
            }
            if let Some(slot) = slots.get_mut(place) {
                *slot = Slot { hash, at: Some(at) };
            }
        }
        let steps = steps.into_iter().map(|(parent, text, child)| LiteralStep { parent, child, text }).collect();
        Self { steps, slots: slots.into() }
    }

    /// The step by exactly this text.
    pub(super) fn exact(&self, parent: u32, text: &[u8]) -> Option<&LiteralStep> {
        self.hashed(hash(parent, text)).find(|step| step.parent == parent && step.is(text))
    }

    /// The steps by this text in any case.
    pub(super) fn alike(&self, parent: u32, text: &[u8]) -> impl Iterator<Item = &LiteralStep> {
        self.hashed(hash(parent, text))
            .filter(move |step| step.parent == parent && step.text.eq_ignore_ascii_case(text))
    }

    /// The steps of this hash.
    fn hashed(&self, hash: u64) -> impl Iterator<Item = &LiteralStep> {
        let mut place = first(hash, self.slots.len());
        std::iter::from_fn(move || {
            loop {
                let slot = self.slots.get(place)?;
                // INVARIANT: the table is at most half full, so a free slot ends the search.
                let at = slot.at?;
                place = (place + 1) & (self.slots.len() - 1);
                if slot.hash == hash {
                    return self.steps.get(at as usize);
                }
            }
        })
    }
}

/// Where a search begins, in a table of this size (a power of two). The upper bits are the well-mixed ones.
const fn first(hash: u64, size: usize) -> usize {
    (hash >> 32) as usize & (size - 1)
}

/// The same for texts that differ in case alone. Eight bytes at a time; setting the bit of the case folds letters, and
/// what else it makes alike is told apart by comparing. Texts come from documents of operators, who have nothing to
/// gain from collisions; requests choose no text of the table.
fn hash(parent: u32, text: &[u8]) -> u64 {
    const FOLD: u64 = 0x2020_2020_2020_2020;
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| {
        let product = u128::from(hash ^ word) * u128::from(SPREAD);
        (product >> 64) as u64 ^ product as u64
    };
    let (words, tail) = text.as_chunks::<8>();
    let mut hash = mix(u64::from(parent) << 32 ^ text.len() as u64, SPREAD.rotate_left(32));
    for word in words {
        hash = mix(hash, u64::from_le_bytes(*word) | FOLD);
    }
    if !tail.is_empty() {
        let word = tail.iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
        hash = mix(hash, word | FOLD);
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_by_parent_and_in_any_case() {
        let texts = ["", "a", "Card", "cARD", "card", "customers", "CUSTOMERSessions", "@", "`"];
        let steps = (0u32..3).flat_map(|parent| texts.map(|text| (parent, Box::from(text.as_bytes()))));
        let literals =
            Literals::new((0u32..).zip(steps).map(|(child, (parent, text))| (parent, text, child)).collect());
        for parent in 0..3 {
            for (at, text) in (0u32..).zip(texts) {
                let found = literals.exact(parent, text.as_bytes()).map(|step| step.child);
                assert_eq!(found, Some(parent * 9 + at), "{parent} {text}");
            }
            let alike = |text: &str| literals.alike(parent, text.as_bytes()).count();
            assert_eq!((alike("CARD"), alike("a"), alike("customersessions"), alike("@"), alike("b")), (3, 1, 1, 1, 0));
            assert!(literals.exact(parent, b"CARD").is_none());
        }
        assert!(literals.exact(3, b"a").is_none());
        assert!(Literals::new(vec![]).exact(0, b"").is_none());
    }

    #[test]
    fn texts_that_look_alike_spread() {
        let steps = (0..20_000u32).map(|n| (n % 7, format!("item{n}").into_bytes().into(), n)).collect();
        let literals = Literals::new(steps);
        let longest = literals.slots.split(|slot| slot.at.is_none()).map(<[Slot]>::len).max().unwrap();
        assert!(longest < 64, "a run of {longest}");
    }
}
