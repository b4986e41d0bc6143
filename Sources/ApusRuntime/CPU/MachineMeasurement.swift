import ApusCore
import ApusProgram
import CApusKernels
import CApusMatrix
import Foundation

/// What this machine's processor reaches: the bounds that a step is held against.
package struct MachineMeasurement: Sendable, Codable {
  /// Median FLOP/s of the square product of each size.
  package var productFLOPsPerSecond: [Int: Double]
  /// What these products multiply.
  package var type: ElementType
  /// The matrix library's name of the code that multiplied the largest, such as `gemm:jit` or `convert:sgemm`.
  package var implementation: String
  /// Bytes read and written a second by adding two long vectors into a third.
  package var memoryBytesPerSecond: Double
  package var threads: Int

  /// The best median over the sizes.
  package var peakFLOPsPerSecond: Double { productFLOPsPerSecond.values.max() ?? 0 }

  /// What the peak is a peak of: the operands, and how they are multiplied where not as they are stored.
  package var peakText: String {
    "square \(type.shortName) products"
      + (implementation.hasPrefix("convert:") ? ", widened to float32 block by block" : "")
  }

  /// Sizes of the square products that define the measured peak.
  package static let sizes = [1024, 1536, 2048, 3072, 4096]

  /// Runs each product of operands and results of `type` `repeats` times after one warm-up and keeps the median.
  package static func measure(
    threads: Int, sizes: [Int] = Self.sizes, repeats: Int = 5, measuresMemory: Bool = true,
    type: ElementType = .float32
  ) throws(RuntimeFailure) -> MachineMeasurement {
    apus_set_thread_count(Int32(threads))
    let products = ProductCache()
    defer { withExtendedLifetime(products) {} }
    var (results, implementation): ([Int: Double], String) = ([:], "")
    for size in sizes {
      let arena = try Arena(byteCount: 3 * size * size * 4)
      let floats = arena.base.assumingMemoryBound(to: Float.self)
      let count = size * size
      for index in 0..<2 * count { floats[index] = Float(index % 7) * 0.25 - 0.75 }
      let product: OpaquePointer
      do {
        product = try products.product(ProductShape(m: size, n: size, k: size).of(type, type, into: type))
      } catch {
        throw .matrixLibrary(label: "the machine measurement", reason: error.reason)
      }
      implementation = String(cString: apus_product_implementation(product))
      let scratch = UnsafeMutableRawPointer.allocate(
        byteCount: max(64, Int(apus_product_scratch_bytes(product))), alignment: 64)
      defer { scratch.deallocate() }
      let seconds = median(repeats) { run(product, floats, floats + count, floats + 2 * count, nil, scratch) }
      results[size] = 2 * Double(count) * Double(size) / seconds
    }
    return MachineMeasurement(
      productFLOPsPerSecond: results, type: type, implementation: implementation,
      memoryBytesPerSecond: measuresMemory ? try memoryBandwidth(repeats: repeats) : 0, threads: threads)
  }

  private static func memoryBandwidth(repeats: Int) throws(RuntimeFailure) -> Double {
    let count = 32 << 20
    let arena = try Arena(byteCount: 3 * count * 4)
    let floats = arena.base.assumingMemoryBound(to: Float.self)
    floats.update(repeating: 1, count: 3 * count)
    let seconds = median(repeats) {
      apus_add_f32(floats, floats + count, floats + 2 * count, Int64(count))
    }
    return 3 * 4 * Double(count) / seconds
  }

  static func median(_ repeats: Int, _ body: () -> Void) -> Double {
    body()
    var seconds: [Double] = []
    for _ in 0..<repeats {
      let start = DispatchTime.now().uptimeNanoseconds
      body()
      seconds.append(Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9)
    }
    return seconds.sorted()[repeats / 2]
  }
}

/// Versions of the libraries that do the arithmetic.
package enum ArithmeticLibrary {
  /// `oneDNN 2.6.3 (avx2)`
  package static var description: String {
    "oneDNN \(String(cString: apus_matrix_library_version())) "
      + "(\(String(cString: apus_matrix_library_isa())))"
  }

  /// Threads that are used when nothing is said: one a core this process may use.
  package static var defaultThreads: Int { ProcessInfo.processInfo.activeProcessorCount }
}
