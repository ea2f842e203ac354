//! What ran which product: plans by shape, so that each is made once, and the account of them for the profile.

use std::collections::HashMap;

use super::{Key, Way};
use crate::{Implementation, Product};

/// Plans that are kept at most. A model has a few dozen shapes; a program that makes up new ones forever starts again.
const MOST: usize = 4096;

/// Plans and how often they were used.
#[derive(Debug, Default)]
pub(super) struct Record {
    ways: HashMap<Key, (Way, usize)>,
    products: Vec<Product>,
}

impl Record {
    /// The plan for a product, once more.
    pub(super) fn find(&mut self, key: &Key) -> Option<&mut Way> {
        let (way, product) = self.ways.get_mut(key)?;
        if let Some(product) = self.products.get_mut(*product) {
            product.calls += 1;
        }
        Some(way)
    }

    /// Keeps a plan that is used now for the first time.
    pub(super) fn add(&mut self, key: Key, way: Way) -> &mut Way {
        if self.ways.len() >= MOST {
            self.ways.clear();
        }
        let (implementation, kernel) = match &way {
            Way::Own(plan) if plan.grid[2] > 1 => {
                (Implementation::Own, format!("{} × {}", plan.kernel, plan.grid[2]))
            }
            Way::Own(plan) => (Implementation::Own, plan.kernel.to_owned()),
            Way::Lt(planned) => (Implementation::CublasLt, planned.name().to_owned()),
        };
        let shape = [key.m, key.n, key.k];
        let product = Product {
            shape,
            dtypes: [key.x, key.w, key.y].map(|x| x.dtype),
            implementation,
            kernel,
            calls: 0,
        };
        let same = |other: &Product| Product { calls: 0, ..other.clone() } == product;
        let known = self.products.iter().position(same);
        let at = known.unwrap_or(self.products.len());
        match self.products.get_mut(at) {
            Some(known) => known.calls += 1,
            // What is not kept is not counted, which takes a program that never repeats itself.
            None if at >= MOST => {}
            None => self.products.push(Product { calls: 1, ..product }),
        }
        &mut self.ways.entry(key).insert_entry((way, at)).into_mut().0
    }

    /// Lets products choose anew who runs them; those that ran stay on record.
    pub(super) fn forget_choices(&mut self) {
        self.ways.retain(|key, _| key.only.is_some());
    }

    /// All so far, in the order in which they first came.
    pub(super) fn products(&self) -> Vec<Product> {
        self.products.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Operand, choose};
    use super::*;
    use crate::Dtype;

    fn key(m: usize, offset: u32) -> Key {
        let x = Operand { dtype: Dtype::F32, stride: 8, alignment: 1 << offset };
        Key { m, n: 8, k: 8, x, w: x, y: x, bias: None, only: None }
    }

    fn use_once(record: &mut Record, key: Key) {
        if record.find(&key).is_none() {
            record.add(key, Way::Own(choose::plan(&key, 10)));
        }
    }

    #[test]
    fn products_are_counted_by_shape_and_kernel() {
        let mut record = Record::default();
        for key in [key(1, 8), key(1, 8), key(1, 5), key(100, 8), key(1, 2)] {
            use_once(&mut record, key);
        }
        let found: Vec<_> = record.products().into_iter().map(|p| (p.shape, p.kernel, p.calls)).collect();
        let expected = [
            ([1, 8, 8], "gemv_1_f32".to_owned(), 3),
            ([100, 8, 8], "gemm_64x64_f32".to_owned(), 1),
            ([1, 8, 8], "gemv_any".to_owned(), 1),
        ];
        assert_eq!(found, expected);
        record.forget_choices();
        assert!(record.find(&key(1, 8)).is_none());
        use_once(&mut record, key(1, 8));
        assert_eq!(record.products()[0].calls, 4);
    }

    #[test]
    fn what_never_repeats_takes_no_more_memory() {
        let mut record = Record::default();
        for m in 1..2 * MOST {
            use_once(&mut record, key(m, 8));
        }
        assert!(record.ways.len() <= MOST && record.products.len() <= MOST);
    }
}
