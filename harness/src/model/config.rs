//! What a forward pass needs to know of a model: the validated content of config.json.

use super::rope::Rope;

/// Which forward pass a model has here.
#[derive(Clone, Debug, PartialEq)]
pub enum Forward {
    /// A causal language model: prefill, then decode with a KV cache.
    Decoder(DecoderConfig),
    /// A bidirectional encoder: embeddings in one pass.
    Encoder(EncoderConfig),
    /// None: an architecture or a variant of one that the reference runtime does not compute. Its weights are
    /// still loaded and timed.
    Unsupported {
        /// What is not computed here, and what measures it instead.
        why: String,
    },
    /// None: there is no config.json beside the weights.
    NoConfig {
        /// Where it was looked for, and what to do.
        why: String,
    },
}

impl Forward {
    /// Why there is no forward pass, or `None` where there is one.
    pub fn why_not(&self) -> Option<&str> {
        match self {
            Self::Decoder(_) | Self::Encoder(_) => None,
            Self::Unsupported { why } | Self::NoConfig { why } => Some(why),
        }
    }
}

/// The decoder families, which differ in biases, norms and attention windows only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecoderFamily {
    /// `LlamaForCausalLM`: Llama 2 and 3, and the many models of the same shape.
    Llama,
    /// `MistralForCausalLM`: a sliding window in every layer where the config has one.
    Mistral,
    /// `Qwen2ForCausalLM`: Qwen2 and Qwen2.5; biases on query, key and value.
    Qwen2,
    /// `Qwen3ForCausalLM`: RMSNorm on each head's query and key.
    Qwen3,
}

impl DecoderFamily {
    /// Its `model_type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        }
    }
}

/// A decoder: RMSNorm before each block, rotary positions, grouped-query attention, SiLU-gated MLP.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderConfig {
    /// The family, which also names the architecture in reports.
    pub family: DecoderFamily,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Blocks.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; each serves `heads / kv_heads` query heads.
    pub kv_heads: usize,
    /// Width of one head; `heads × head_dim` need not equal `hidden`.
    pub head_dim: usize,
    /// Width of the gated MLP.
    pub intermediate: usize,
    /// Rows of the token embedding.
    pub vocab: usize,
    /// Positions that the model was made for.
    pub max_positions: usize,
    /// ε inside the root of each RMSNorm.
    pub norm_eps: f32,
    /// Rotary positions.
    pub rope: Rope,
    /// The output projection is the embedding table.
    pub tied: bool,
    /// Query, key and value projections have biases.
    pub qkv_bias: bool,
    /// The attention's output projection has a bias.
    pub output_bias: bool,
    /// The three MLP projections have biases.
    pub mlp_bias: bool,
    /// RMSNorm on every head's query and key before the rotation.
    pub qk_norm: bool,
    /// For each layer how many positions a query sees, itself included; `None` is all before it.
    pub windows: Vec<Option<usize>>,
}

/// The activation of an encoder's MLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x·Φ(x)` with the error function.
    Gelu,
    /// Its tanh approximation (`gelu_new`, `gelu_pytorch_tanh`).
    GeluTanh,
}

/// An encoder of the BERT family: learned absolute positions, LayerNorm after each block.
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderConfig {
    /// Width of the residual stream and of the embedding.
    pub hidden: usize,
    /// Blocks.
    pub layers: usize,
    /// Attention heads, each `hidden / heads` wide.
    pub heads: usize,
    /// Width of the MLP.
    pub intermediate: usize,
    /// Rows of the token embedding.
    pub vocab: usize,
    /// Rows of the position embedding: no sequence can be longer.
    pub max_positions: usize,
    /// Rows of the token-type embedding; every token here is of type 0.
    pub type_vocab: usize,
    /// ε inside the root of each LayerNorm.
    pub norm_eps: f32,
    /// The MLP's activation.
    pub activation: Activation,
}

impl DecoderConfig {
    /// Width of all query heads together.
    pub fn q_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of all key heads together, which is also that of all value heads.
    pub fn kv_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }
}

impl EncoderConfig {
    /// Width of one attention head.
    pub fn head_dim(&self) -> usize {
        self.hidden / self.heads
    }
}
