import ApusCore
import ApusForesight
import ApusReport

/// What `apus bench kernels --explain` teaches: what a GPU's memory would see.
enum KernelExplanation {
  static var text: String {
    let product = ExplainedProduct()
    let base = product.run(.naive).memory
    var table = TextTable([
      .text("kernel"), .number("numbers loaded"), .number("formula"), .number("loads of a warp"),
      .number("lines each"), .number("lines moved"), .number("of naive"),
    ])
    for kernel in ExplainedProduct.Kernel.allCases {
      let memory = product.run(kernel).memory
      table.add([
        kernel.rawValue, memory.elementLoads.grouped, formulas[kernel] ?? "", memory.warpLoads.grouped,
        memory.linesPerWarpLoad.formatted(decimals: 1), memory.transactions.grouped,
        "1/\((Double(base.transactions) / Double(memory.transactions)).formatted(decimals: 0))",
      ])
    }
    var fusion = TextTable([
      .text("pointwise, \(count.grouped) numbers"), .number("kernel by kernel"), .number("fused"),
      .number("saved"),
    ])
    for work in [FusedPointwise.elu, .chain(of: 2), .chain(of: 4), .chain(of: 8)] {
      let (apart, fused) = (work.unfusedBytes(count: count), work.fusedBytes(count: count))
      fusion.add([
        work.name, ByteCount(apart).description, ByteCount(fused).description,
        "\((Double(apart) / Double(fused)).formatted(decimals: 1))x",
      ])
    }
    return """
      A product of \(product.size) x \(product.size) matrices as a GPU's kernels load it: warps of \
      \(WarpMemory.warpSize) threads, lines of \(WarpMemory.lineBytes) bytes, tiles of \(ExplainedProduct.tile), \
      \(ExplainedProduct.coarsening) results a thread when coarsened.
      Counted by running all four on numbers; their products are equal.

      \(table)
      naive: the threads of a warp have neighbouring rows, so each load of A touches 32 lines for 32 numbers.
      coalesced: neighbouring columns; a load of A is one number for all, a load of B one line.
      tiled: each number that is loaded serves a whole row or column of a tile, T = \(ExplainedProduct.tile).
      coarsened: a tile of B serves R = \(ExplainedProduct.coarsening) tiles of A.

      Fusion: every kernel of its own reads its operands from memory and writes its result back.

      \(fusion)
      ELU is x < 0 ? exp(x) - 1 : x: \(FusedPointwise.elu.passes.map(\.name).joined(separator: ", ")).

      """
  }

  private static let count = 1 << 24
  private static let formulas: [ExplainedProduct.Kernel: String] = [
    .naive: "2 M N K", .coalesced: "2 M N K", .tiled: "2 M N K / T", .coarsened: "M N K / T (1 + 1/R)",
  ]
}
