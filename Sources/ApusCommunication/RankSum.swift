import ApusCore
import CApusKernels

/// Adds buffers of several ranks, or takes the largest numbers, in the given order of the buffers.
enum RankSum {
  /// Element by element from `inputs` to all `outputs`; an output may be one of the inputs.
  ///
  /// Sums of 16-bit types are taken in float32 and rounded once.
  static func run(
    _ reduction: Reduction, _ type: ElementType, inputs: [UnsafeRawPointer],
    outputs: [UnsafeMutableRawPointer],
    count: Int
  ) {
    let inputs = inputs.map { Optional($0) }
    let outputs = outputs.map { Optional($0) }
    inputs.withUnsafeBufferPointer { inputs in
      outputs.withUnsafeBufferPointer { outputs in
        var terms = apus_rank_terms(
          inputs: inputs.baseAddress, input_count: Int64(inputs.count), outputs: outputs.baseAddress,
          output_count: Int64(outputs.count), count: Int64(count), type: code(type),
          maximum: reduction == .maximum ? 1 : 0)
        apus_reduce_ranks(&terms)
      }
    }
  }

  private static func code(_ type: ElementType) -> Int32 {
    switch type {
    case .float32: return Int32(APUS_RANKS_F32)
    case .float64: return Int32(APUS_RANKS_F64)
    case .int32: return Int32(APUS_RANKS_I32)
    case .bfloat16: return Int32(APUS_RANKS_BF16)
    case .float16: return Int32(APUS_RANKS_F16)
    case .uint8:
      require(false, "bytes are exchanged, not added")
      return 0
    }
  }
}
