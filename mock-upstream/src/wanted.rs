//! Which symbols a connection has subscribed to.

/// Places of symbols, in the order in which they were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    places: Vec<usize>,
    /// By place; beyond its end: not wanted.
    has: Vec<bool>,
}

impl Wanted {
    pub(crate) fn first(&self) -> Option<&usize> {
        self.places.first()
    }

    pub(crate) fn contains(&self, place: usize) -> bool {
        self.has.get(place).copied().unwrap_or(false)
    }

    /// Adds a place; one that is wanted twice counts twice.
    pub(crate) fn push(&mut self, place: usize) {
        if self.has.len() <= place {
            self.has.resize(place + 1, false);
        }
        self.has[place] = true;
        self.places.push(place);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.places.iter().copied()
    }
}

impl FromIterator<usize> for Wanted {
    fn from_iter<I: IntoIterator<Item = usize>>(places: I) -> Self {
        let mut wanted = Self::default();
        places.into_iter().for_each(|place| wanted.push(place));
        wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_stays_and_membership_is_known() {
        let wanted: Wanted = [7, 2].into_iter().collect();
        assert_eq!(wanted.iter().collect::<Vec<_>>(), [7, 2]);
        assert_eq!((wanted.first(), Wanted::default().first()), (Some(&7), None));
        assert_eq!([1, 2, 7, 8].map(|place| wanted.contains(place)), [false, true, true, false]);
    }
}
