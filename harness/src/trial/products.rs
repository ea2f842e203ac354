//! Which implementation ran which product in this process.

use coldstart_kernels::{Dtype, Ops};
use coldstart_profiles::Product;

/// All products of the device so far. The step is for the parent to name.
pub(super) fn ran<O: Ops>(device: &O) -> Vec<Product> {
    let product = |ran: coldstart_kernels::Product| {
        let [m, n, k] = ran.shape.map(|number| number as u64);
        Product {
            step: String::new(),
            dtype: formats(ran.dtypes),
            m,
            n,
            k,
            implementation: ran.implementation.to_string(),
            kernel: ran.kernel,
            calls: ran.calls,
        }
    };
    device.products().into_iter().map(product).collect()
}

/// One name where x, w and y are of one format.
fn formats([x, w, y]: [Dtype; 3]) -> String {
    let name = |dtype: Dtype| dtype.to_string().to_lowercase();
    if x == w && x == y { name(x) } else { format!("{}·{}→{}", name(x), name(w), name(y)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_apart_where_they_differ() {
        assert_eq!(formats([Dtype::Bf16; 3]), "bf16");
        assert_eq!(formats([Dtype::F32, Dtype::F16, Dtype::F32]), "f32·f16→f32");
    }
}
