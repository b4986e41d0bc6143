import ApusForesight
import Testing

/// Domain reference B8 and B9: the identities that the explanation teaches.
@Suite struct ExplainTests {
  @Test func allKernelsGiveTheSameProductAndTheLoadsOfTheirFormula() {
    let product = ExplainedProduct()
    let reference = product.run(.naive)
    for kernel in ExplainedProduct.Kernel.allCases {
      let result = product.run(kernel)
      #expect(result.product == reference.product)
      #expect(result.memory.elementLoads == product.expectedLoads(kernel))
      #expect(result.memory.warpLoads * WarpMemory.warpSize == result.memory.elementLoads)
    }
    let n = product.size
    #expect(product.expectedLoads(.naive) == 2 * n * n * n)
    #expect(product.expectedLoads(.tiled) * ExplainedProduct.tile == 2 * n * n * n)
  }

  /// A naive warp load of A touches 32 lines and of B one; coalesced, one each: 33 to 2.
  @Test func coalescedLoadsTouchOneLine() {
    let product = ExplainedProduct()
    let (naive, coalesced) = (product.run(.naive).memory, product.run(.coalesced).memory)
    #expect(naive.linesPerWarpLoad == 16.5)
    #expect(coalesced.linesPerWarpLoad == 1)
    #expect(naive.warpLoads == coalesced.warpLoads)
    #expect(product.run(.tiled).memory.linesPerWarpLoad == 1)
    #expect(product.run(.tiled).memory.transactions * ExplainedProduct.tile == coalesced.transactions)
    #expect(product.run(.coarsened).memory.transactions < product.run(.tiled).memory.transactions)
  }

  @Test(arguments: 1...9) func fusionLeavesOneReadAndOneWrite(_ k: Int) {
    let chain = FusedPointwise.chain(of: k)
    #expect(chain.unfusedBytes(count: 1000) == k * 2 * 4000)
    #expect(chain.fusedBytes(count: 1000) == 2 * 4000)
    #expect(FusedPointwise.elu.unfusedBytes(count: 10) == 7 * 40)
    #expect(FusedPointwise.elu.fusedBytes(count: 10) == 2 * 40)
  }
}
