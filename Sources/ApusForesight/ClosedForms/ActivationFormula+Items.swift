import ApusCore

extension ActivationFormula {
  /// The part of a layer that keeps a tensor.
  package enum Block: String, Hashable, Sendable, CaseIterable { case attention, feedForward, norms }

  /// One tensor that a layer keeps for backward.
  package struct Item: Hashable, Sendable {
    package let block: Block
    package let name: String
    package let size: ByteCount
    /// Whether the selective policy computes it again.
    package let isRecomputedSelectively: Bool
  }

  /// Everything a layer keeps without recomputation: attention 11 s b h + 5 a s² b, feed-forward
  /// 19 s b h, norms 4 s b h; together 34 s b h + 5 a s² b. Elements of two bytes, masks of one.
  ///
  /// Source: Korthikanti et al. 2022, section 4.1.
  package var items: [Item] {
    func item(_ block: Block, _ name: String, _ bytes: Int, selective: Bool = false) -> Item {
      Item(block: block, name: name, size: ByteCount(bytes), isRecomputedSelectively: selective)
    }
    return [
      item(.norms, "input of the first norm", 2 * hidden),
      item(.attention, "input of query, key and value", 2 * hidden),
      item(.attention, "query and key", 4 * hidden),
      item(.attention, "softmax", 2 * matrix, selective: true),
      item(.attention, "mask of the softmax's dropout", matrix, selective: true),
      item(.attention, "softmax after dropout", 2 * matrix, selective: true),
      item(.attention, "value", 2 * hidden),
      item(.attention, "input of the output projection", 2 * hidden),
      item(.attention, "mask of the output's dropout", hidden),
      item(.norms, "input of the second norm", 2 * hidden),
      item(.feedForward, "input of the first product", 2 * hidden),
      item(.feedForward, "input of GELU, 4 h wide", 8 * hidden),
      item(.feedForward, "input of the second product, 4 h wide", 8 * hidden),
      item(.feedForward, "mask of the output's dropout", hidden),
    ]
  }

  /// Bytes of one block of a layer.
  package func bytes(of block: Block) -> ByteCount {
    ByteCount(items.reduce(0) { $0 + ($1.block == block ? $1.size.bytes : 0) })
  }
}
