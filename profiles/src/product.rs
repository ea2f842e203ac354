//! Which implementation ran which matrix product.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::profile::Profile;

/// Products `y[m, n] = x[m, k]·w[n, k]ᵀ` of one shape in one step of the plan, and what ran them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Product {
    /// The step of the plan in which they ran.
    pub step: String,
    /// The format of x, w and y: `bf16`, or `bf16·f32→bf16` where they differ.
    pub dtype: String,
    /// Rows of x and of y: the tokens of a pass.
    pub m: u64,
    /// Rows of w: columns of y.
    pub n: u64,
    /// Columns of x and of w.
    pub k: u64,
    /// Who ran them: `own kernel`, or `cuBLASLt`.
    pub implementation: String,
    /// Our own kernel (`gemm_64x64_bf16 × 4`: with k in four shares), or the library with its version.
    pub kernel: String,
    /// How often it was enqueued or recorded into a graph; replays of a graph do not count.
    pub calls: u64,
}

/// Products that one kernel ran, of all shapes and steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductGroup<'a> {
    /// The format.
    pub dtype: &'a str,
    /// Who ran them.
    pub implementation: &'a str,
    /// The kernel or library.
    pub kernel: &'a str,
    /// `[m, n, k]` of each, from the fewest rows of x to the most.
    pub shapes: BTreeSet<[u64; 3]>,
    /// How often they were enqueued or recorded.
    pub calls: u64,
}

impl Profile {
    /// The products by format and kernel, in the order in which kernels first came; shares of k do not make another kernel.
    pub fn product_groups(&self) -> Vec<ProductGroup<'_>> {
        let mut groups: Vec<ProductGroup<'_>> = Vec::new();
        for product in &self.products {
            let kernel = product.kernel.split(" × ").next().unwrap_or_default();
            let (dtype, implementation) = (product.dtype.as_str(), product.implementation.as_str());
            let same = |group: &ProductGroup<'_>| {
                (group.dtype, group.implementation, group.kernel) == (dtype, implementation, kernel)
            };
            let at = groups.iter().position(same).unwrap_or_else(|| {
                groups.push(ProductGroup {
                    dtype,
                    implementation,
                    kernel,
                    shapes: BTreeSet::new(),
                    calls: 0,
                });
                groups.len() - 1
            });
            if let Some(group) = groups.get_mut(at) {
                group.shapes.insert([product.m, product.n, product.k]);
                group.calls = group.calls.saturating_add(product.calls);
            }
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assemble::tests::empty;

    #[test]
    fn products_are_grouped_by_their_kernel() {
        let product = |step: &str, m: u64, implementation: &str, kernel: &str, calls: u64| Product {
            step: step.into(),
            dtype: "bf16".into(),
            m,
            n: 64,
            k: 32,
            implementation: implementation.into(),
            kernel: kernel.into(),
            calls,
        };
        let mut profile = empty();
        profile.products = vec![
            product("trial-0", 16, "own kernel", "gemm_64x64_bf16 × 4", 3),
            product("trial-1", 16, "own kernel", "gemm_64x64_bf16", 5),
            product("sweep", 512, "cuBLASLt", "cuBLASLt 13.1.2", 7),
            product("sweep", 48, "own kernel", "gemm_64x64_bf16", u64::MAX),
        ];
        let groups = profile.product_groups();
        let told: Vec<_> =
            groups.iter().map(|g| (g.kernel, g.implementation, g.shapes.len(), g.calls)).collect();
        assert_eq!(
            told,
            [("gemm_64x64_bf16", "own kernel", 2, u64::MAX), ("cuBLASLt 13.1.2", "cuBLASLt", 1, 7),]
        );
        assert_eq!(groups[0].shapes.first(), Some(&[16, 64, 32]));
        assert_eq!(groups[0].dtype, "bf16");
    }
}
