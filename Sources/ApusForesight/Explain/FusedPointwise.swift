/// Operations on one number after another, as kernels of their own or fused into one: what fusion saves is memory
/// traffic (domain reference B8, B9).
package struct FusedPointwise: Hashable, Sendable {
  /// One kernel: vectors read, vectors written.
  package struct Pass: Hashable, Sendable {
    package let name: String
    package let reads, writes: Int
  }

  package let name: String
  package let passes: [Pass]
  /// Vectors that the whole reads from and leaves in memory.
  package let inputs, outputs: Int

  /// ELU, `x < 0 ? exp(x) - 1 : x`, as a framework runs it operation by operation.
  package static let elu = FusedPointwise(
    name: "ELU",
    passes: [
      Pass(name: "e = exp(x)", reads: 1, writes: 1), Pass(name: "m = e - 1", reads: 1, writes: 1),
      Pass(name: "y = x < 0 ? m : x", reads: 2, writes: 1),
    ], inputs: 1, outputs: 1)

  /// `count` operations of one vector each: 2 · count · n numbers cross memory, fused 2 n.
  package static func chain(of count: Int) -> FusedPointwise {
    FusedPointwise(
      name: "\(count) operations in a row",
      passes: (1...count).map { Pass(name: "operation \($0)", reads: 1, writes: 1) }, inputs: 1, outputs: 1)
  }

  /// Bytes of `count` float32 numbers with a kernel for each operation.
  package func unfusedBytes(count: Int) -> Int { 4 * count * passes.reduce(0) { $0 + $1.reads + $1.writes } }

  /// Bytes with a single kernel.
  package func fusedBytes(count: Int) -> Int { 4 * count * (inputs + outputs) }
}
