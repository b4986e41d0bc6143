import ApusProgram
import ApusReport
import ApusRuntime

/// What one instruction is held against: the matrix peak for its FLOPs, the memory bandwidth for its bytes,
/// whichever takes longer (the roofline model, Williams et al. 2009).
package struct InstructionBound: Hashable, Sendable {
  package let seconds: Double
  package let isMatrix: Bool

  package init(_ cost: Cost, peakFLOPsPerSecond: Double, memoryBytesPerSecond: Double) {
    let arithmetic = Double(cost.flops) / peakFLOPsPerSecond
    let memory = Double(cost.bytes) / memoryBytesPerSecond
    seconds = max(arithmetic, memory)
    isMatrix = arithmetic >= memory
  }

  package var name: String { isMatrix ? "matrix peak" : "memory" }
}

/// Where a step's time goes, per kind of operation, against its own bound.
enum OperationShares {
  /// - Parameters:
  ///   - spans: the instructions of one step with their segments.
  ///   - stepSeconds: the whole step, data and host included.
  static func table(
    _ spans: [(segment: Segment.Kind, instruction: Instruction, seconds: Double)], stepSeconds: Double,
    bound: (Instruction) -> InstructionBound
  ) -> [ProfileReport.Operation] {
    struct Sum {
      var count = 0, seconds = 0.0, cost = Cost.zero, bound = 0.0, matrix = 0.0
    }
    struct Key: Hashable { var operation: String, segment: String }
    var sums: [Key: Sum] = [:]
    for span in spans {
      let limit = bound(span.instruction)
      let key = Key(operation: span.instruction.op.name, segment: span.segment.rawValue)
      var sum = sums[key] ?? Sum()
      sum.count += 1
      sum.seconds += span.seconds
      sum.cost = sum.cost + span.instruction.cost
      sum.bound += limit.seconds
      if limit.isMatrix { sum.matrix += limit.seconds }
      sums[key] = sum
    }
    return sums.map { key, sum in
      ProfileReport.Operation(
        operation: key.operation, segment: key.segment, count: sum.count, seconds: sum.seconds,
        share: sum.seconds / stepSeconds, flops: sum.cost.flops, bytes: sum.cost.bytes,
        bound: 2 * sum.matrix >= sum.bound ? "matrix peak" : "memory", boundSeconds: sum.bound,
        shareOfBound: sum.bound / sum.seconds)
    }.sorted { ($1.seconds, $0.operation) < ($0.seconds, $1.operation) }
  }
}
