//! In which order the items of a named run that have no result are computed.

use std::time::Duration;

use crate::digest::Purpose;

/// The order in which a named run computes what has no result yet. Results are in the order of the input all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// What took longest the last time goes first, so that no long item is left for the end; what is not known is taken to
    /// be as the function's calls are on average. Items of one cost keep their order.
    #[default]
    LongestFirst,
    /// That of the input.
    Input,
    /// A random one, the same for each seed and each set of items: so the first results are a picture of all.
    Shuffled(u64),
}

impl Order {
    /// Sorts the indices of items by what is known of them.
    pub(super) fn sort(
        self,
        indices: &mut [usize],
        cost: impl Fn(usize) -> Option<Duration>,
        mean: Option<Duration>,
        id: impl Fn(usize) -> [u8; 16],
    ) {
        match self {
            Order::Input => {}
            Order::LongestFirst => {
                indices.sort_by_cached_key(|index| std::cmp::Reverse(cost(*index).or(mean)));
            }
            Order::Shuffled(seed) => {
                indices.sort_by_cached_key(|index| {
                    Purpose::Shuffle.digest_of(&[&seed.to_le_bytes()[..], &id(*index)[..]])
                });
            }
        }
    }
}

#[cfg(test)]
mod test {
    use super::*;

    fn sorted(order: Order, costs: &[Option<u64>], mean: Option<u64>) -> Vec<usize> {
        let mut indices: Vec<usize> = (0..costs.len()).collect();
        let millis = |cost: Option<u64>| cost.map(Duration::from_millis);
        order.sort(&mut indices, |index| millis(costs[index]), millis(mean), |index| [index as u8; 16]);
        indices
    }

    #[test]
    fn the_longest_go_first_and_equals_keep_their_order() {
        let costs = [Some(1), None, Some(9), Some(1), None];
        assert_eq!(sorted(Order::LongestFirst, &costs, Some(5)), [2, 1, 4, 0, 3]);
        assert_eq!(sorted(Order::LongestFirst, &costs, None), [2, 0, 3, 1, 4]);
        assert_eq!(sorted(Order::Input, &costs, None), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_seed_gives_one_order_whatever_the_input_order_was() {
        let costs = [None; 40];
        let first = sorted(Order::Shuffled(7), &costs, None);
        assert_ne!(first, sorted(Order::Shuffled(8), &costs, None));
        assert_ne!(first, (0..40).collect::<Vec<_>>());
        let mut backwards: Vec<usize> = (0..40).rev().collect();
        Order::Shuffled(7).sort(&mut backwards, |_| None, None, |index| [index as u8; 16]);
        assert_eq!(backwards, first);
    }
}
